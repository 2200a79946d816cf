"""ndb: a table of addresses that stands for the network, for worlds that must not reach the real one.

With `System.ndb` set (NSH_NDB in the environment) only the addresses of that file can be dialled, and
an announced address gets a free port of the loopback interface, which is written there. So several
programs on one machine can play several machines of a network under their recorded addresses:

    tcp!9.3.61.180!6666 tcp!127.0.0.1!40001

Of two lines for one address the later one counts. Only the file is known here, no socket.
"""

from __future__ import annotations

from nsh.errors import P9Error

LOOPBACK = "127.0.0.1"


def canonical(net: str, host: str, service: str) -> str:
    """An address as the table has it: ``*`` and ``localhost`` are the loopback address."""
    return f"{net}!{LOOPBACK if host in ('*', 'localhost', '::1') else host}!{service}"


def lookup(path: str, address: str) -> str:
    """Where the canonical ``address`` really is. Raises `P9Error` when the table does not say."""
    found = ""
    with open(path, encoding="utf-8") as table:
        for line in table:
            words = line.split()
            if len(words) == 2 and words[0] == address:
                found = words[1]
    if not found:
        raise P9Error(f"address not in ndb: {address}")
    return found


def enter(path: str, address: str, real: str) -> None:
    """Note that the canonical ``address`` is really at ``real``."""
    with open(path, "a", encoding="utf-8") as table:
        table.write(f"{address} {real}\n")
