"""Transcripts: recorded sessions that run again, and are compared (transcript(6), replay(1)).

* script.py: the file: its directives, commands and recorded outputs, and how outputs are rewritten in it.
* compare.py: a recorded output against a printed one.
* world.py: the processes of a run: the hosts, the name space shell, the Linux shell.
* shell.py: what is typed to: nsh, or bash; linux.py: the machine around that bash.
* remains.py: what is left of them, and who removes it.
* signals.py: the signals that end a run.
* run.py: the command ``nsh replay``: run, compare, report, update.
"""

from __future__ import annotations

import sys

__all__ = ["main"]


def main(argv: list[str]) -> int:
    """Run ``nsh replay`` with these arguments.

    The result is its exit status: 130 and the like when a signal ended it, else see `nsh.replay.run.main`.
    """
    try:
        from nsh.replay.signals import Ended, Signals

        with Signals() as signals:  # first of all: what is imported now takes most of the time of the start
            from nsh.replay.run import main

            return main(argv, signals)
    except KeyboardInterrupt:  # it came even before
        name, number = "SIGINT", 2
    except Ended as e:
        name, number = e.signal.name, int(e.signal)
    sys.stdout.flush()
    print(f"nsh replay: ended by {name}", file=sys.stderr)
    return 128 + number
