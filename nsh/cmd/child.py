"""Running other commands on behalf of a command: no command itself.

A command may be given as words or as a block in braces, such as ``{ls | wc}``; a shell runs it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from typing import Any

from nsh.errors import P9Error
from nsh.kern.proc import RFFDG, Proc

_PLAIN = re.compile(r"[\w./:+,%-]+")
_KEYWORDS = frozenset(("for", "in", "while", "if", "not", "switch", "fn"))


def shell(p: Proc) -> Callable[[Proc, str], Coroutine[Any, Any, str]]:
    """What runs command texts in this system. Errors: `P9Error` when there is nothing that does."""
    if p.system.shell is None:
        raise P9Error("no shell to run a command")
    return p.system.shell


async def call(p: Proc, words: list[str]) -> str:
    """Run the command ``words`` as a child of ``p`` to its end; returns its exit status.

    It has the descriptors of ``p``. Errors: `P9Error` when there is no shell.
    """
    run, text = shell(p), command_text(words)
    child = p.fork(RFFDG)
    child.args = words
    child.start(lambda child: run(child, text))
    try:
        return await child.wait()
    finally:
        child.kill()


def command_text(words: list[str]) -> str:
    """The words of a command as the shell reads them; one in braces is a command already."""
    if len(words) == 1 and words[0].startswith("{") and words[0].endswith("}"):
        return unwrap(words[0])
    return " ".join(map(_quoted, words))


def unwrap(block: str) -> str:
    """What stands in the braces of ``{...}``."""
    return block[1:-1] if block.startswith("{") and block.endswith("}") else block


def _quoted(word: str) -> str:
    """``word`` as a word of rc that means nothing but itself."""
    plain = _PLAIN.fullmatch(word) and word not in _KEYWORDS
    return word if plain else "'" + word.replace("'", "''") + "'"
