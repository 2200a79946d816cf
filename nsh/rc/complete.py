"""Completion at the prompt: names of commands and of the host's programs, and of files in the name space.

Nothing here may block: a directory is read by the loop, and one that does not answer within `PATIENCE` (a
dead mount, say) offers nothing. A directory of the host's $PATH is read by a thread, and again only when it
has changed. This is imported only on a terminal.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import AsyncGenerator, Iterable
from functools import partial
from typing import TYPE_CHECKING

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from nsh.dev.patience import Place, patiently
from nsh.p9.const import DMDIR
from nsh.rc.builtins import BUILTINS
from nsh.rc.find import host_directories, runnable
from nsh.rc.lex import KEYWORDS
from nsh.rc.var import quoted

if TYPE_CHECKING:
    from nsh.p9.stat import Dir
    from nsh.rc.run import Shell

PATIENCE = 1.0
"""Seconds that a directory may take."""

_word = re.compile(r"(?:'(?:[^']|'')*'?|[^\s#;&|^$=`'{}()<>])*\Z")
_starts_command = re.compile(r"(?:^|[;&|{(\n`]|(?:^|\s)[!@])[ \t]*\Z")


def split_word(text: str) -> tuple[str, str]:
    """The text before the word that the cursor is in, and that word as it is written."""
    found = _word.search(text)
    at = found.start() if found else len(text)
    return text[:at], text[at:]


def unquoted(word: str) -> str:
    """What a word stands for, also when its last quote is still open."""
    parts = re.findall(r"'((?:[^']|'')*)'?|([^']+)", word)
    return "".join(plain or inner.replace("''", "'") for inner, plain in parts)


class CommandCompleter(Completer):
    """Completes for one shell."""

    def __init__(self, sh: Shell) -> None:
        self._shell = sh
        self._programs: dict[str, tuple[int, frozenset[str]]] = {}
        self._place = Place("$PATH")

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """Without waiting there is nothing to offer: directories are read by the loop."""
        return ()

    async def get_completions_async(
        self, document: Document, complete_event: CompleteEvent
    ) -> AsyncGenerator[Completion, None]:
        before, written = split_word(document.text_before_cursor)
        word = unquoted(written)
        if _starts_command.search(before) and "/" not in word:
            found = {name: quoted(name) for name in await self._commands() if name.startswith(word)}
        else:
            found = await self._files(word)
        for shown in sorted(found):
            yield Completion(found[shown], start_position=-len(written), display=shown)

    async def _commands(self) -> set[str]:
        sh = self._shell
        names = {*sh.var.functions, *BUILTINS, *KEYWORDS}
        for directory in sh.var.get("path"):
            if directory != ".":
                names.update(d.name for d in await self._entries(directory) if not d.mode & DMDIR)
        if sh.var.get("path"):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    names |= await patiently(self._place, partial(self._of_host, host_directories(sh)))
        return names

    def _of_host(self, directories: list[str]) -> set[str]:
        """The programs in directories of the host; runs in a thread."""
        names: set[str] = set()
        for directory in directories:
            try:
                changed = os.stat(directory).st_mtime_ns
                if self._programs.get(directory, (0, ()))[0] != changed:
                    found = frozenset(e.name for e in os.scandir(directory) if runnable(e.path))
                    self._programs[directory] = changed, found
            except OSError:
                continue
            names |= self._programs[directory][1]
        return names

    async def _files(self, word: str) -> dict[str, str]:
        """Names of the files that begin with ``word``, and how each is written."""
        directory, slash, start = word.rpartition("/")
        found = {}
        for d in await self._entries((directory or slash) or "."):
            if d.name.startswith(start):
                end = "/" if d.mode & DMDIR else ""
                found[d.name + end] = quoted(directory + slash + d.name + end)
        return found

    async def _entries(self, directory: str) -> list[Dir]:
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._shell.proc.readdir(directory)
        except (OSError, TimeoutError):
            return []
