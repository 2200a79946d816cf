"""man: print pages of the manual, or find them by a word of their summary."""

from __future__ import annotations

import os
import re
import shutil
import textwrap
from collections.abc import Iterator

from nsh.cmd import complain
from nsh.cmd.arg import Usage, parse
from nsh.dev import spawn
from nsh.kern.proc import Proc

USAGE = "[section] title ...\n       man -k word ..."
DIRECTORY = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "man")
NO_ENTRY = "no manual entry"
WIDTH = 78
MARGIN = 7
TAG = 8
"""How much further in the text of a .TP stands."""

_PAGE = re.compile(r"([^/]+)\.([1-9])")
_ESCAPE = re.compile(r"\\(?:f[BIRP]|f\(..|s[+-]?\d|\((..)|([&|^])|(.))")
_SPECIAL = {"em": "--", "bu": "*", "aq": "'", "dq": '"'}
_WORD = re.compile(r'"((?:[^"]|"")*)"|(\S+)')


async def main(p: Proc, argv: list[str]) -> str:
    options = parse(argv, "k", USAGE)
    names = options.args
    if "k" in options:
        return await _find(p, names)
    section = names.pop(0) if len(names) > 1 and names[0] in "123456789" else ""
    if not names:
        raise Usage(USAGE)
    status = ""
    for name in names:
        texts = _entries(name, section)
        if not texts:
            status = await _of_host(p, [section, name] if section else [name]) or status
        for text in texts:
            await p.print(render(text))
    return status


async def _of_host(p: Proc, args: list[str]) -> str:
    """Have the host's man print a page that is not ours, or say that there is none; returns its status."""
    environ, _ = spawn.host_environment(p.egrp)
    program = shutil.which("man", path=os.fsdecode(environ.get(b"PATH", b"")) or os.defpath)
    if program is None:
        await complain(p, f"man: {args[-1]}: {NO_ENTRY}")
        return NO_ENTRY
    status = await spawn.run(p, program, ["man", *args], environ)
    return NO_ENTRY if status.isdecimal() else status


def _entries(name: str, section: str) -> list[str]:
    """The pages called ``name``; where there is none, those with it among the names of their summary."""
    every = [(page, text) for page, number, text in pages() if section in ("", number)]
    found = [text for page, text in every if page == name]
    return found or [text for _, text in every if name in summary(text).partition(" - ")[0].split(", ")]


async def _find(p: Proc, words: list[str]) -> str:
    """Print the summaries that have all ``words``; where none has, those of pages that have them."""
    if not words:
        raise Usage(USAGE)
    every = [(f"{summary(text)} ({number})", text) for _, number, text in pages()]
    found = [line for line, _ in every if _has(line, words)]
    found = found or [line for line, text in every if _has(render(text), words)]
    await p.print("".join(line + "\n" for line in found))
    return "" if found else NO_ENTRY


def _has(text: str, words: list[str]) -> bool:
    return all(word.lower() in text.lower() for word in words)


def pages() -> Iterator[tuple[str, str, str]]:
    """(name, section, source) of every page, sorted."""
    for file in sorted(os.listdir(DIRECTORY)):
        match = _PAGE.fullmatch(file)
        if match is not None:
            with open(os.path.join(DIRECTORY, file), encoding="utf-8") as page:
                yield match[1], match[2], page.read()


def summary(source: str) -> str:
    """The line under NAME."""
    _, _, rest = source.partition(".SH NAME\n")
    return _plain(rest.partition("\n")[0])


# --- from man(7) to text -----------------------------------------------------------------------


def render(source: str) -> str:
    """A page as plain text, ``WIDTH`` columns wide. Macros that are not known are left out."""
    page = Page()
    for line in source.splitlines():
        page.line(line)
    page.flush()
    return "\n".join(page.out) + "\n"


def _plain(text: str) -> str:
    """The text without changes of font, and with the characters that escapes stand for."""
    return _ESCAPE.sub(lambda m: _SPECIAL.get(m[1], "") if m[1] else m[3] or "", text)


def _words(text: str) -> list[str]:
    """The arguments of a macro; quotes keep blanks together."""
    return [(quoted or word).replace('""', '"') for quoted, word in _WORD.findall(text)]


class Page:
    """The page as it is set: the lines that are done, and the paragraph that is being filled."""

    def __init__(self) -> None:
        self.out: list[str] = []
        self._filling: list[str] = []
        self._indent = MARGIN
        self._base = MARGIN
        self._filled = True
        self._tag: str | None = None
        self._tag_follows = False

    def line(self, line: str) -> None:
        """Take one line of the source."""
        if not line.startswith((".", "'")):
            self._text(_plain(line))
            return
        name, _, rest = line[1:].strip().partition(" ")
        words = _words(rest)
        if name in ("B", "I", "SM"):
            self._text(_plain(" ".join(words)))
        elif len(name) == 2 and set(name) <= set("BIR") and name[0] != name[1]:
            self._text(_plain("".join(words)))
        else:
            self._macro(name, [_plain(word) for word in words])

    def _text(self, text: str) -> None:
        if self._tag_follows:
            self._tag, self._tag_follows = text, False
        elif self._filled:
            self._filling.append(text)
        else:
            self.out.append(" " * self._indent + text)

    def _macro(self, name: str, words: list[str]) -> None:
        if name == "TH":
            self.out.append(f"{words[0]}({words[1]})")
        elif name in ("SH", "SS"):
            self._space()
            self._indent = self._base = MARGIN
            self.out.append(("" if name == "SH" else "   ") + " ".join(words))
        elif name in ("PP", "LP", "P"):
            self._space()
            self._indent = self._base
        elif name == "TP":
            self._space()
            self._indent = self._base + TAG
            self._tag_follows = True
        elif name == "IP":
            self._space()
            self._indent = self._base + TAG
            self._tag = words[0] if words else None
        elif name in ("RS", "RE"):
            self.flush()
            self._base += TAG if name == "RS" else -TAG
            self._indent = self._base
        elif name in ("EX", "nf", "EE", "fi"):
            self.flush()
            self._filled = name in ("EE", "fi")
        elif name == "br":
            self.flush()

    def _space(self) -> None:
        """End the paragraph, with one empty line behind it, but none behind a heading."""
        self.flush()
        if self.out and self.out[-1] and (self.out[-1].startswith(" " * MARGIN) or len(self.out) == 1):
            self.out.append("")

    def flush(self) -> None:
        """Set the paragraph that was collected, behind its tag if it has one."""
        text, self._filling = " ".join(self._filling), []
        tag, self._tag = self._tag, None
        if not text and tag is None:
            return
        lines = textwrap.wrap(text, WIDTH - self._indent, break_on_hyphens=False, break_long_words=False)
        out = [" " * self._indent + line for line in lines]
        if tag is not None:
            before = " " * (self._indent - TAG) + tag
            if out and len(before) < self._indent:
                out[0] = before.ljust(self._indent) + out[0].lstrip()
            else:
                out.insert(0, before)
        self.out += out
