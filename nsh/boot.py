"""boot: a System with all devices, and a first process in the name space that a fresh nsh starts with.

That name space has Inferno's shape: a small synthetic root in front of the host's own, and devices
bound to their customary places. Everything after it is done with bind and mount.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from typing import TypeVar

from nsh import errors, installed
from nsh.dev import TABLE
from nsh.kern.dev import Device
from nsh.kern.mnt import MAFTER, MCREATE, MREPL
from nsh.kern.proc import Proc, System, current

NAMESPACE = (
    ("#U", "/", MAFTER | MCREATE),
    ("#B", "/bin", MREPL),
    ("#c", "/dev", MREPL),
    ("#U/dev", "/dev", MAFTER),
    ("#e", "/env", MREPL | MCREATE),
    ("#d", "/fd", MREPL),
    ("#I", "/net", MAFTER),
    ("#p", "/prog", MREPL),
    ("#s", "/srv", MREPL | MCREATE),
    ("#m", "/n", MREPL),
    ("#m", "/remote", MREPL),
    ("#T", "/task", MREPL),
)

D = TypeVar("D", bound=type[Device])

_registered: dict[str, type[Device]] = {}


def register(device: D) -> D:
    """Have a device in every name space that begins from now on; may be used as a decorator.

    It takes the place of one with the same letter. Installed packages offer theirs by an entry point of
    the group nsh.devices instead, and the shell finds them. Errors: ValueError when it has no letter.

        >>> @nsh.register
        ... class Hello(nsh.Device):
        ...     letter, name = "h", "hello"
        ...     def tree(self):
        ...         return nsh.Directory("#h", nsh.Text("greeting", lambda: "hello\\n"))
        >>> async with nsh.Namespace() as ns:
        ...     print(await ns.read("#h/greeting"))
        b'hello\\n'
    """
    if len(device.letter) != 1 or device.letter in "?/M":
        raise ValueError(f"a device needs a letter of its own, not '{device.letter}'")
    _registered[device.letter] = device
    return device


def devices() -> dict[str, str | type[Device]]:
    """Our own devices, those that installed packages offer, and the registered ones."""
    return {**TABLE, **installed.devices(), **_registered}


async def boot(
    table: Mapping[str, str | type[Device]] | None = None,
    namespace: Sequence[tuple[str, str, int]] = NAMESPACE,
) -> Proc:
    """Start a kernel; the returned process stands in the host's current directory, or else in the root.

    ``namespace``: source, target and flag of each bind that makes the first name space. A device that is
    not there is left out, and so is a source that does not exist. Errors: those of the devices.
    """
    system = System(table if table is not None else devices())
    system.ndb = os.environ.get("NSH_NDB")
    system.newns = _newns
    p = await system.boot()
    for name, value in os.environb.items():
        p.egrp.set(os.fsdecode(name), value)
    token = current.set(p)
    try:
        for source, target, flag in namespace:
            if source[1] in system.letters():
                with contextlib.suppress(errors.Enonexist):
                    await p.bind(source, target, flag)
        try:
            await p.chdir(os.getcwd())
        except OSError:
            pass  # the host's current directory is gone, or not in this name space
    finally:
        current.reset(token)
    return p


async def _newns(p: Proc, text: str, name: str) -> bool:
    """What `nsh.nsfile.newns` does; it is imported when it is needed."""
    from nsh.nsfile import newns

    return await newns(p, text, name)
