"""Transcripts: recorded sessions that run again, and are compared (transcript(6), replay(1)).

* script.py: the file: its directives, commands and recorded outputs, and how outputs are rewritten in it.
* compare.py: a recorded output against a printed one.
* world.py: the processes of a run: the hosts, the name space shell, the Linux shell.
* run.py: the command ``nsh replay``: run, compare, report, update.
"""

from __future__ import annotations

__all__ = ["main"]


def main(argv: list[str]) -> int:
    """Run ``nsh replay`` with these arguments; the result is its exit status, see replay(1)."""
    from nsh.replay.run import main

    return main(argv)
