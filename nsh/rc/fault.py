"""How a running command ends otherwise than by coming to its end.

These are the interpreter's own ways out; a syntax error is `nsh.rc.lex.RcSyntaxError`, and what a file or a
device refuses is a `nsh.errors.P9Error`.
"""

from __future__ import annotations


class RcError(Exception):
    """A mistake that shows when a command runs: a script ends, a prompt comes back.

    ``where`` is the place to begin the message with, filled in by the innermost command.
    """

    where = ""

    def __str__(self) -> str:
        return f"{self.where}{self.args[0]}"


class CommandError(RcError):
    """A mistake that ends one command: its status tells, and the script goes on."""


class Exit(Exception):
    """``exit``: the shell ends with ``status``.

    ``handler``: it runs sigexit first, which finds in ``$*`` what was there then: ``star``.
    """

    def __init__(self, status: list[str], star: list[str], handler: bool = True) -> None:
        super().__init__(status)
        self.status, self.star, self.handler = status, star, handler
