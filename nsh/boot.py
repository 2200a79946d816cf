"""boot: a System with all devices, and a first process in the name space that a fresh nsh starts with.

That name space has Inferno's shape: a small synthetic root in front of the host's own, and devices
bound to their customary places. Everything after it is done with bind and mount.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

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
    ("#p", "/prog", MREPL),
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


async def boot(
    table: Mapping[str, str | type[Device]] | None = None,
    namespace: Sequence[tuple[str, str, int]] = NAMESPACE,
) -> Proc:
    """Start a kernel; the returned process stands in the host's current directory, or else in the root.

    ``namespace``: source, target and flag of each bind that makes the first name space. A device that is
    not there is left out. Errors: those of the devices.
    """
    system = System(table if table is not None else devices())
    system.ndb = os.environ.get("NSH_NDB")
    p = await system.boot()
    for name, value in os.environb.items():
        p.egrp.set(os.fsdecode(name), value)
    for source, target, flag in namespace:
        if source[1] in system.letters():
            await p.bind(source, target, flag)
    try:
        await p.chdir(os.getcwd())
    except OSError:
        pass  # the host's current directory is gone, or not in this name space
    return p
