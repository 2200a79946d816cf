"""``python -m tests.fuzz NAME [NUMBER]``: be hard on the server, or on the shell; scripts/fuzz calls it."""

from __future__ import annotations

import random
import sys

USAGE = """\
usage: scripts/fuzz p9 [SECONDS]           what a peer might send, to a server in the same process
       scripts/fuzz soak [SECONDS]         several clients, a real server, sockets
       scripts/fuzz connections [COUNT]    so many idle clients, and a tenth as many active ones
       scripts/fuzz dead                   peers that vanish without a word: are they found?
       scripts/fuzz rc [SECONDS]           random scripts, in nsh and in Plan 9's own rc"""

SECONDS = 60.0
COUNT = 10_000


def main(args: list[str]) -> int:
    """1 if something was found, 2 if there is no such thing to do."""
    match args:
        case ["p9", *rest] if len(rest) <= 1:
            from tests.fuzz.p9 import fuzz

            return fuzz(_number(rest, SECONDS), random.randrange(1 << 30))
        case ["soak", *rest] if len(rest) <= 1:
            from tests.fuzz.soak import soak

            return soak(_number(rest, SECONDS), random.randrange(1 << 30))
        case ["connections", *rest] if len(rest) <= 1:
            from tests.fuzz.connections import connections

            idle = int(_number(rest, COUNT))
            return connections(idle, max(idle // 10, 1), seconds=10)
        case ["rc", *rest] if len(rest) <= 1:
            from tests.fuzz.rc import fuzz as compare

            return compare(_number(rest, SECONDS), random.randrange(1 << 30))
        case ["dead"]:
            from tests.fuzz.dead import dead

            return dead()
    print(USAGE, file=sys.stderr)
    return 2


def _number(rest: list[str], default: float) -> float:
    try:
        return float(rest[0]) if rest else default
    except ValueError:
        sys.exit(f"fuzz: not a number: {rest[0]}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
