"""Topology: what was reserved for a session, and what was reserved there, as far down as one can see.

Of the resources of a session we know the hosts. What these have reserved in turn is seen as directories below
theirs, wherever they are: of that only the numbers are known here.
"""

from __future__ import annotations

import asyncio

from nsh.kern.chan import Maybe
from nsh.kern.namec import quote
from nsh.kern.proc import Proc
from taskfs.child import Child
from taskfs.many import each

DEEPEST = 16
"""Levels of hosts that are told of."""
PATIENCE = 10.0
"""Seconds that one resource may take to tell of them."""


async def topology(p: Proc, place: str, children: list[Child]) -> str:
    """A line for each of the ``children`` of the session that ``p`` sees at ``place``, and below it,
    indented, for each resource there.

    It has the rank, the host, how that is (``-``: of what it is not known), and the number on its host.
    """

    async def describe(child: Child) -> str:
        asking: Maybe[str] = _below(p, f"{place}/{child.rank}", 1)
        try:
            async with asyncio.timeout(PATIENCE):  # of what it has reserved, nobody says that it is lost
                below = await child.host.ask(asking)
        except OSError:
            below = ""  # it is lost, or was removed
        return f"{child.rank} {quote(child.host.name)} {child.host.state} {child.number}\n{below}"

    lines = await each(children, describe)
    return "".join(line for line in lines if isinstance(line, str))


async def _below(p: Proc, place: str, level: int) -> str:
    if level == DEEPEST:
        return ""
    entries = await p.readdir(place)
    ranks = sorted(int(entry.name) for entry in entries if entry.isdir and entry.name.isdecimal())

    async def describe(rank: int) -> str:
        number = (await p.readfile(f"{place}/{rank}/ctl")).decode("ascii", "replace")
        below = await _below(p, f"{place}/{rank}", level + 1)
        return f"{'  ' * level}{rank} - - {quote(number)}\n{below}"

    lines = await each(ranks, describe)
    return "".join(line for line in lines if isinstance(line, str))
