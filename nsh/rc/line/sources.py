"""Where offers come from: commands, files, variables, and the other things that words can be.

Each source is asked with what has been typed of a word, and gives what that may be meant to become. None runs
anything, and none waits for long (see `files`).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from nsh.dev.patience import Place, patiently
from nsh.rc.builtins import BUILTINS
from nsh.rc.lex import KEYWORDS
from nsh.rc.line import manual
from nsh.rc.line.files import Directories
from nsh.rc.line.match import best
from nsh.rc.line.seen import addresses
from nsh.rc.var import quoted

if TYPE_CHECKING:
    from nsh.kern.proc import Proc
    from nsh.rc.line.history import History
    from nsh.rc.run import Shell

SHOWN = 60
"""Characters of a value that are shown."""


class Offer(NamedTuple):
    """``text``: what the word becomes; ``shown``, ``about``: for the menu; ``ends``: a blank may follow."""

    text: str
    shown: str
    about: str = ""
    ends: bool = True


def offers(typed: str, names: dict[str, str], ends: bool = True) -> list[Offer]:
    """Those of ``names`` that are meant, each with what is known about it."""
    return [Offer(quoted(name), name, names[name], ends) for name in best(typed, names, str)]


class Sources:
    """The sources for one shell."""

    def __init__(self, sh: Shell, history: History) -> None:
        self._shell = sh
        self._history = history
        self._pages: dict[str, manual.Page | None] = {}
        self._manual = Place("manual")
        self.directories = Directories(sh)

    # --- commands ------------------------------------------------------------------------------

    async def commands(self, typed: str) -> list[Offer]:
        """What can be run under this name; files, once there is a slash in it."""
        if "/" in typed:
            return await self.files(typed, programs=True)
        return offers(typed, await self._commands())

    async def _commands(self) -> dict[str, str]:
        """All commands, and what is known about each."""
        names: dict[str, str] = {}
        if self._shell.var.get("path"):
            names |= await self.directories.programs()
        titles = manual.titles()
        for directory in self._shell.var.get("path"):
            if directory not in ("", "."):
                for entry in await self.directories.names(directory):
                    if entry.runnable and not entry.directory:
                        names[entry.name] = titles.get(entry.name) or names.get(entry.name, directory)
        names |= {name: _about_builtin(name) for name in BUILTINS}
        names |= dict.fromkeys(KEYWORDS, "keyword")
        return names | {name: _short(f.text) for name, f in self._shell.var.functions.items()}

    async def whatever_has_a_name(self, typed: str) -> list[Offer]:
        """Commands and variables."""
        return offers(typed, await self._commands() | self._values())

    async def page(self, name: str) -> manual.Page | None:
        """The page that describes a command: ours, or the host's."""
        if name in BUILTINS:
            return manual.builtin(name)
        if name in self._shell.var.functions:
            return None
        if name not in self._pages:
            ours = manual.command(name) if self._is_ours(name) else None
            self._pages[name] = ours or await self._of_host(os.path.basename(name))
        return self._pages[name]

    async def _of_host(self, name: str) -> manual.Page | None:
        return await patiently(self._manual, partial(manual.of_host, name))

    def _is_ours(self, name: str) -> bool:
        from nsh.rc.find import ours

        return ours(self._shell.proc, name)

    async def functions(self, typed: str) -> list[Offer]:
        return offers(typed, {name: _short(f.text) for name, f in self._shell.var.functions.items()})

    # --- files ---------------------------------------------------------------------------------

    async def files(self, typed: str, programs: bool = False, directories: bool = False) -> list[Offer]:
        """Files whose name is meant; only programs or directories. Directories always, as a way to more."""
        head, slash, stem = typed.rpartition("/")
        entries = await self.directories.names((head or slash) or ".")
        hidden = stem.startswith(".")
        wanted = [
            entry
            for entry in entries
            if (entry.directory or not (directories or (programs and not entry.runnable)))
            and (hidden or not entry.name.startswith("."))
        ]
        found = {}
        for entry in best(stem, wanted, lambda entry: entry.name):
            name = entry.name + "/" if entry.directory else entry.name
            found[name] = Offer(quoted(head + slash + name), name, "", not entry.directory)
        return list(found.values())

    # --- variables and descriptors -------------------------------------------------------------

    async def variables(self, typed: str) -> list[Offer]:
        """Variables, with their values."""
        return offers(typed, {n: about for n, about in self._values().items() if quoted(n) == n}, False)

    def _values(self) -> dict[str, str]:
        return {name: _short(" ".join(map(quoted, v))) for name, v in self._shell.var.values.items()}

    async def descriptors(self, typed: str, copies: bool) -> list[Offer]:
        """The descriptors that are open, with the rest of the brackets; ``copies``: after the =."""
        names = {}
        for fd, path in _open_files(self._shell.proc):
            names[f"{fd}]"] = path
            if not copies and fd:
                other = 2 if fd == 1 else 1
                names[f"{fd}={other}]"] = f"what descriptor {other} is"
        if copies:
            names["]"] = "closed"
        return [Offer(text, text, names[text]) for text in best(typed, names, str)]

    # --- what else arguments are ---------------------------------------------------------------

    async def addresses(self, typed: str) -> list[Offer]:
        """Where somebody has called before, the latest first."""
        found = list(addresses(self._history, self._shell.proc))
        return [Offer(quoted(address), address) for address in found if address.startswith(typed)] or offers(
            typed, dict.fromkeys(found, "")
        )

    async def pids(self, typed: str) -> list[Offer]:
        """Processes of nsh, but those that run this shell."""
        p: Proc | None = self._shell.proc
        procs = dict(self._shell.proc.system.procs)
        while p is not None:
            procs.pop(p.pid, None)
            p = p.parent
        return offers(typed, {str(pid): _short(" ".join(other.args)) for pid, other in procs.items()})

    async def jobs(self, typed: str) -> list[Offer]:
        """Jobs, by their numbers or by what their commands are."""
        jobs = [job for job in self._shell.jobs if job.number]
        found = [job for job in jobs if f"%{job.number}".startswith(typed)]
        if not found:
            found = best(typed.removeprefix("%"), jobs, lambda job: job.text)
        return [Offer(name := f"%{job.number}", name, _short(f"{job.state}: {job.text}")) for job in found]

    async def hosts(self, typed: str) -> list[Offer]:
        """The hosts on which taskfs can run something."""
        return offers(typed, dict.fromkeys(await self.host_names(), ""))

    async def host_names(self) -> list[str]:
        """What they are called."""
        return [entry.name for entry in await self.directories.names("/remote")]

    async def sessions(self, typed: str) -> list[Offer]:
        """The sessions of taskfs."""
        names = [entry.name for entry in await self.directories.names("/task/remote")]
        return offers(typed, {name: "" for name in names if name.isdecimal()})

    async def titles(self, typed: str) -> list[Offer]:
        """Pages of the manual."""
        return offers(typed, manual.titles())

    async def signals(self, typed: str) -> list[Offer]:
        """Names of signals, without SIG."""
        names = {s.name.removeprefix("SIG"): signal.strsignal(s) or "" for s in signal.Signals}
        return offers(typed, names)


def _about_builtin(name: str) -> str:
    usage = manual.builtins().get(name)
    return usage.about if usage else "builtin"


def _open_files(p: Proc) -> Iterable[tuple[int, str]]:
    """The descriptors of a process, and what each is open on."""
    for fd, c in p.fgrp.items():
        yield fd, str(c.path)


def _short(text: str) -> str:
    """The beginning of a text, in one line."""
    text = " ".join(text.split())
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."
