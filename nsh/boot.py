"""boot: a System with all devices, and a first process in the name space that a fresh nsh starts with.

That name space has Inferno's shape: a small synthetic root in front of the host's own, and devices
bound to their customary places. Everything after it is done with bind and mount.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from nsh import errors
from nsh.dev import TABLE
from nsh.kern.dev import Device
from nsh.kern.mnt import MAFTER, MCREATE, MREPL
from nsh.kern.proc import Proc, System

NAMESPACE = (
    ("#U", "/", MAFTER | MCREATE),
    ("#B", "/bin", MREPL),
    ("#c", "/dev", MREPL),
    ("#e", "/env", MREPL | MCREATE),
    ("#d", "/fd", MREPL),
    ("#s", "/srv", MREPL | MCREATE),
    ("#m", "/n", MREPL),
    ("#m", "/remote", MREPL),
    ("#T", "/task", MREPL),
)


def devices() -> dict[str, str | type[Device]]:
    """Our own devices, and those that installed packages offer (entry points of group nsh.devices)."""
    from importlib.metadata import entry_points

    table: dict[str, str | type[Device]] = dict(TABLE)
    for entry in entry_points(group="nsh.devices"):
        letter = entry.name
        table[letter] = entry.value
    return table


async def boot(table: Mapping[str, str | type[Device]] | None = None) -> Proc:
    """Start a kernel; the returned process stands in the host's current directory.

    A device that is not there is left out. Errors: those of the devices.
    """
    system = System(table if table is not None else devices())
    system.ndb = os.environ.get("NSH_NDB")
    p = await system.boot()
    for name, value in os.environb.items():
        p.egrp.set(os.fsdecode(name), value)
    for source, target, flag in NAMESPACE:
        if source[1] in system.letters():
            await p.bind(source, target, flag)
    try:
        await p.chdir(os.getcwd())
    except OSError as e:
        if not isinstance(e, errors.P9Error | FileNotFoundError):
            raise
    return p
