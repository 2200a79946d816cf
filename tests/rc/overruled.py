"""The recorded cases of plan9port's rc in which nsh decides otherwise, and why: the one list of them.

In all others standard output, the exit code, whether something is said on standard error, and the trees of
the commands are as recorded. The tests fail as well if one of these is no longer needed.
"""

from __future__ import annotations

from typing import NamedTuple


class Otherwise(NamedTuple):
    """Why, and of what: ``output`` and exit code, ``silent`` where rc says something, ``tree``."""

    why: str
    output: bool = False
    silent: bool = False
    tree: bool = False


AS_RECORDED = Otherwise("")

_HERE = "a here document is read at the next newline, as in 9front; plan9port calls what it does a bug"

OVERRULED = {
    "029-caret-null-list": Otherwise(
        "a null list in a concatenation ends the command, not the script", output=True
    ),
    "068-switch-empty-last-case": Otherwise(
        "the missing case is found by the parser, not after it", tree=True
    ),
    "079-if-not-misplaced": Otherwise("the missing if is found by the parser, not after it", tree=True),
    "120-redirect-missing-file": Otherwise(
        "a redirection that cannot be made ends the command, not the script", output=True
    ),
    "141-heredoc-in-block": Otherwise(_HERE, output=True, tree=True),
    "142-heredoc-in-function": Otherwise(_HERE, output=True, tree=True),
    "179-builtin-error-output": Otherwise("messages of builtins obey redirections", silent=True),
    "212-status-values": Otherwise("messages of builtins obey redirections", silent=True),
}
