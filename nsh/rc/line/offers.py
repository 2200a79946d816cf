"""What could stand at the cursor: completion, as far as the screen does not matter.

What is offered for an argument follows from the manual: what the arguments in a SYNOPSIS are called, such as
``pid`` or ``address``, says here what they are. Those that have other names are taken for files.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from nsh.kern.namec import Access, namec
from nsh.rc.line import manual
from nsh.rc.line.files import PATIENCE
from nsh.rc.line.place import NAME, OTHER, PLAIN, Piece, Place, Role, literal, place
from nsh.rc.line.sources import Offer, Sources, offers
from nsh.rc.line.usage import COMMANDS, following
from nsh.rc.var import quoted

if TYPE_CHECKING:
    from nsh.rc.line.history import History
    from nsh.rc.run import Shell

_SOURCES: dict[str, Callable[[Sources, str], Awaitable[list[Offer]]]] = {
    **dict.fromkeys(COMMANDS, Sources.commands),
    **dict.fromkeys(("address", "server"), Sources.addresses),
    **dict.fromkeys(("pid", "apid"), Sources.pids),
    **dict.fromkeys(("host", "hosts"), Sources.hosts),
    "job": Sources.jobs,
    "names": Sources.whatever_has_a_name,
    "session": Sources.sessions,
    "signal": Sources.signals,
    "title": Sources.titles,
}
"""Who knows what the arguments can be that are called so."""

_DIRECTORIES = frozenset(("dir", "directory", "todir"))
_NUMBERS = ("bytes", "count", "level", "lines", "n", "number", "offset", "offset1", "offset2", "s", "seconds")
_TEXTS = (
    "alg",
    "arch",
    "aname",
    "f",
    "group",
    "letters",
    "section",
    "size",
    "spec",
    "status",
    "tasks",
    "time",
    "word",
)
_NO_FILES = frozenset((*_NUMBERS, *_TEXTS, *_SOURCES)) - {"server"}
"""What arguments are called that are no files."""

_CTL = "ctl"
"""What control files are called."""


class Offers(NamedTuple):
    """Offers for the text from the offset ``start`` on. ``silent``: a directory that did not answer."""

    start: int
    found: list[Offer]
    silent: str = ""


class Completer:
    """Completes for one shell."""

    def __init__(self, sh: Shell, history: History) -> None:
        self._shell = sh
        self._sources = Sources(sh, history)

    async def offers(self, text: str, cursor: int) -> Offers:
        """What could stand at the cursor."""
        directories = self._sources.directories
        directories.silent = ""
        where = place(text, cursor)
        start, found = await self._at(where, text, cursor)
        return Offers(start, found, directories.silent)

    async def _at(self, where: Place, text: str, cursor: int) -> tuple[int, list[Offer]]:
        written = text[where.start : cursor]
        match where.role:
            case Role.TEXT:
                return cursor, []
            case Role.DESCRIPTOR:
                return where.start, await self._sources.descriptors(written, text[where.start - 1] == "=")
            case Role.VARIABLE:
                return where.start, await self._sources.variables(written)
        typed = literal(where.pieces)
        if typed is None:
            return await self._behind_variables(where)
        match where.role:
            case Role.COMMAND:
                found = await self._sources.commands(typed)
            case Role.FUNCTION:
                found = await self._sources.functions(typed)
            case Role.ARGUMENT:
                found = await self._argument(where, typed)
            case _:
                found = await self._sources.files(typed)
        if not found:
            return await self._behind_equals(where)
        return where.start, found

    # --- parts of words ------------------------------------------------------------------------

    async def _behind_equals(self, where: Place) -> tuple[int, list[Offer]]:
        """In ``of=/dev/nu`` and ``--file=x`` a file is what stands behind the =."""
        at = max((i for i, piece in enumerate(where.pieces) if piece[:2] == (PLAIN, "=")), default=-1)
        if at < 0:
            return where.start, []
        rest = where.pieces[at + 1 :]
        start = where.pieces[at].start + 1
        return start, await self._sources.files(literal(rest) or "")

    async def _behind_variables(self, where: Place) -> tuple[int, list[Offer]]:
        """In ``$home/sr`` what stands behind the last slash is completed, and the rest left as it is."""
        value = self._value(where.pieces)
        last = where.pieces[-1]
        if value is None or last.kind != PLAIN or "/" not in last.text:
            return where.start, []
        start = last.start + last.text.rindex("/") + 1
        return start, [offer._replace(text=quoted(offer.shown)) for offer in await self._sources.files(value)]

    def _value(self, pieces: list[Piece]) -> str | None:
        """What a word stands for, with the values of its variables; None if that is no single string."""
        parts = []
        for piece in pieces:
            value = self._shell.var.get(piece.text) if piece.kind == NAME else [piece.text]
            if len(value) != 1 or piece.kind == OTHER:
                return None
            parts += value
        return "".join(parts)

    # --- arguments -----------------------------------------------------------------------------

    async def _argument(self, where: Place, typed: str) -> list[Offer]:
        """An argument of a command, by the page that describes that, or by the file that it writes to."""
        found: list[Offer] = []
        if where.words[0] == "echo":
            found = await self._message(await self._messages(where), where.words, typed)
            if found and where.targets:
                return found
        return found + await self._of_command(where.words, typed)

    async def _message(
        self, messages: list[manual.Usage], words: list[str | None], typed: str
    ) -> list[Offer]:
        """A word of a control message that is made by echo."""
        given = [word for word in words[1:] if word != "-n"]
        if not given:
            return offers(typed, {message.name: message.about for message in messages})
        chosen = [message for message in messages if message.name == given[0]]
        return await self._following(chosen, given, typed) if chosen else []

    async def _of_command(self, words: Sequence[str | None], typed: str) -> list[Offer]:
        page = await self._sources.page(words[0]) if words[0] else None
        if page is None:
            return await self._sources.files(typed)
        if typed.startswith("-") and "--" not in words:
            found = offers(typed, page.options)
            kinds = [kind for usage in page.usages if (kind := usage.options.get("-"))]
            if "signal" in kinds:
                signals = await self._sources.signals(typed[1:])
                found += [o._replace(text="-" + o.text, shown="-" + o.shown) for o in signals]
            if found:
                return found
        return await self._following(page.usages, words, typed)

    async def _following(
        self, usages: list[manual.Usage], words: Sequence[str | None], typed: str
    ) -> list[Offer]:
        """What may follow the words by these usages."""
        next = following(usages, words, {"host": await self._sources.host_names()})
        if next.inner:
            return await self._of_command(words[next.inner :], typed)
        argument = next.argument
        found = offers(typed, dict.fromkeys(argument.literals, ""))
        kinds = [kind for kind in argument.kinds if "pid" not in argument.kinds or kind not in COMMANDS]
        for ask in dict.fromkeys(_SOURCES[kind] for kind in kinds if kind in _SOURCES):
            found += await ask(self._sources, typed)
        if (found and (typed or not kinds)) or (kinds and _NO_FILES.issuperset(kinds)):
            return found
        return found + await self._sources.files(
            typed, directories=bool(kinds) and _DIRECTORIES.issuperset(kinds)
        )

    # --- control files -------------------------------------------------------------------------

    async def _messages(self, where: Place) -> list[manual.Usage]:
        """The messages of the device whose control file is written to, or of this directory's."""
        for target in where.targets or [_CTL]:
            page = await self._device(target)
            if page is not None:
                return page.messages
        return []

    async def _device(self, name: str) -> manual.Page | None:
        """The page of the device that a control file belongs to."""
        if not name.endswith(_CTL):
            return None
        try:
            async with asyncio.timeout(PATIENCE):
                c = await namec(self._shell.proc, name, Access.ACCESS)
        except (OSError, TimeoutError):
            return None
        if c.dev.name == "mnt":  # of another machine no more is known than the name
            return await asyncio.to_thread(manual.device_of, str(c.path))
        return manual.page(c.dev.name, "3")
