"""What the manual says about commands and devices, in a form that a program can use.

A page of man(7) is read as it is written. Its SYNOPSIS tells the arguments, of which what is in italics says
by its name what it is (``file``, ``pid``, ``address``); paragraphs whose tag begins with ``-`` tell the
options; in a section called ``Control messages`` each tag is a message of the device. Pages of the host's
programs are read in the same way as far as they can be, those of mdoc(7) too.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator
from typing import NamedTuple

OF_HOST = ("/usr/local/share/man", "/usr/share/man")
"""Where the manual of the host is."""

LARGEST = 2 << 20
"""Characters of a page of the host that are looked at."""

BOLD, ITALIC, ROMAN = "B", "I", "R"

Fragments = list[tuple[str, str]]
"""Pieces of text, each with its font."""


class Argument(NamedTuple):
    """What may stand at one place: ``literals``, or something of one of ``kinds``.

    ``optional``: it may be missing; ``repeats``: more of it may come.
    """

    literals: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    optional: bool = False
    repeats: bool = False


class Usage(NamedTuple):
    """One form of a command or a message.

    ``options``: for each that the form shows, of which kind its argument is, '' for none; ``about``: what it
    does, in a sentence.
    """

    name: str
    args: list[Argument]
    options: dict[str, str]
    about: str = ""


class Page(NamedTuple):
    """A page.

    ``options``: what each does, '' where that is not said; ``borrowed``: which page says what some of them
    do; ``messages``: of a device; ``builtins``: of rc(1); ``files``: the parts of each control file's name,
    None for one that differs.
    """

    summary: str
    usages: list[Usage]
    options: dict[str, str]
    messages: list[Usage]
    builtins: list[Usage]
    borrowed: dict[str, str]
    files: list[list[str | None]]


# --- finding pages -------------------------------------------------------------------------------


@functools.lru_cache(maxsize=64)
def page(name: str, section: str) -> Page | None:
    """The page of nsh's own manual called ``name``."""
    from nsh.cmd.man import DIRECTORY

    if "/" in name:
        return None
    try:
        with open(os.path.join(DIRECTORY, f"{name}.{section}"), encoding="utf-8") as file:
            found = parse(file.read())
    except OSError:
        return None
    for option, other in found.borrowed.items():
        source = page(other, "1") if other != name else None
        if source is not None:
            found.options[option] = source.options.get(option, "")
    return found


def command(name: str) -> Page | None:
    """The page of a command."""
    return page(name, "1") or page(name, "4")


@functools.cache
def builtins() -> dict[str, Usage]:
    """How the builtin commands of rc(1) are used."""
    found = page("rc", "1")
    return {usage.name: usage for usage in found.builtins} if found else {}


def builtin(name: str) -> Page | None:
    """What rc(1) says about a builtin command, and the page that it names says about its options."""
    usage = builtins().get(name)
    if usage is None:
        return None
    named = _see.search(usage.about)
    other = page(named[1], named[2]) if named else None
    options = {option: other.options.get(option, "") if other else "" for option in usage.options}
    return Page(usage.about, [usage], options, [], [], {}, [])


@functools.cache
def titles() -> dict[str, str]:
    """The names of all pages, each with its summary, of which only the line is read."""
    from nsh.cmd.man import pages, summary

    return {name: summary(text).partition(" - ")[2] for name, _, text in pages()}


@functools.cache
def devices() -> dict[str, Page]:
    """The pages of devices that take control messages."""
    from nsh.cmd.man import DIRECTORY

    names = (file.removesuffix(".3") for file in os.listdir(DIRECTORY) if file.endswith(".3"))
    return {name: found for name in names if (found := page(name, "3")) and found.messages}


def device_of(path: str) -> Page | None:
    """The page of the device that a control file seems to belong to, judged by its name.

    This is for files of other machines, of which no more is known. At least two parts must be as in the page.
    """
    parts = [part for part in path.split("/") if part]
    scored = ((_alike(parts, pattern), found) for found in devices().values() for pattern in found.files)
    score, best = max(scored, key=lambda pair: pair[0], default=(0, None))
    return best if score >= 2 else None


def _alike(parts: list[str], pattern: list[str | None]) -> int:
    """How many parts, from the last one on, are those of the pattern."""
    same = 0
    for part, wanted in zip(reversed(parts), reversed(pattern), strict=False):
        if wanted is not None and part != wanted:
            break
        same += wanted is not None
    return same


def of_host(name: str) -> Page | None:
    """The page of a program of the host. This reads files, which may be slow: call it in a thread."""
    for directory in OF_HOST:
        for section in "18":
            text = _host_text(f"{directory}/man{section}/{name}.{section}")
            if text.startswith(".so "):  # a page that is another one
                text = _host_text(f"{directory}/{text[4:].splitlines()[0].strip()}")
            if text:
                return parse(text)
    return None


def _host_text(path: str) -> str:
    """The source of a page, '' if there is none."""
    import gzip

    for file, opened in ((f"{path}.gz", gzip.open), (path, open)):
        try:
            with opened(file, "rt", encoding="utf-8", errors="replace") as source:
                return str(source.read(LARGEST))
        except (OSError, EOFError, ValueError):
            continue
    return ""


# --- reading a page ------------------------------------------------------------------------------


class _Paragraph(NamedTuple):
    """``heading``: of the section and subsection; ``tags``: what hangs in front of the text."""

    heading: str
    tags: list[Fragments]
    text: Fragments


_FONTS = {"B": BOLD, "I": ITALIC, "R": ROMAN, "1": ROMAN, "2": ITALIC, "3": BOLD, "CW": BOLD}
_font = re.compile(r"\\f(?:\[(\w*)\]|\((..)|(.))")
_escape = re.compile(
    r"""\\(?: \*?\((?P<two>..) | \*?\[(?P<name>[^\]]*)\] | s[+-]?\d+ | [hvwm](?:'[^']*'|\[[^\]]*\])
          | [&|^:/,cdu%] | (?P<char>.) )""",
    re.VERBOSE,
)
_SPECIAL = {"em": "--", "en": "-", "aq": "'", "Aq": "'", "dq": '"', "lq": '"', "rq": '"', "bu": "*"}
_CHARS = {"e": "\\", "~": " ", "0": " ", "t": " "}
_word = re.compile(r'"((?:[^"]|"")*)"|((?:\\.|\S)+)')
_part = re.compile(r"\.\.\.|[][|,]|[^][|,\s]+")
_option = re.compile(r"(?:^|[\s,|/\[])(--?[A-Za-z0-9][\w-]*|-[^\s\w\0-])(?=$|[\s,|/=\[<\0])")
_see = re.compile(r"see (\w+)\((\d)\)")
_borrowed = re.compile(r"([^.]*) (?:are|is) those? of (\w+) ?\(1\)")


def parse(source: str) -> Page:
    """Read a page."""
    found = Page("", [], {}, [], [], {}, [])
    summary = ""
    for heading, tags, text in _paragraphs(source):
        about = _sentence(plain(text))
        if heading == "NAME":
            summary = summary or plain(text).partition(" - ")[2]
        elif heading == "SYNOPSIS":
            found.usages.extend(usages(text))
            found.files.extend(_files(text))
        elif heading == "Control messages":
            found.messages.extend(usage._replace(about=about) for tag in tags for usage in usages(tag))
        elif heading == "Builtin commands":
            found.builtins.extend(usage._replace(about=about) for tag in tags for usage in usages(tag))
        else:
            for option in (option for tag in tags for option in _option.findall(_masked(tag))):
                found.options.setdefault(option, about)
            if others := _borrowed.search(plain(text)):
                found.borrowed.update((option, others[2]) for option in _option.findall(others[1]))
    for usage in found.usages:
        for option in usage.options.keys() - {"-", "--"}:
            found.options.setdefault(option, "")
    return found._replace(summary=summary)


def _paragraphs(source: str) -> Iterator[_Paragraph]:
    """The paragraphs of a page. A line of the synopsis that stands for itself is one, too."""
    heading, tags, text = "", [], Fragments()
    tag_follows = verbatim = False
    for line in source.splitlines():
        name, _, rest = line.partition(" ")
        if not line.startswith((".", "'")) or name in _SHOWS:
            shown = _fragments(line)
            if tag_follows:
                tags.append(shown)
                tag_follows = False
                continue
            text += [*shown, (ROMAN, " ")]
            if not verbatim:
                continue
        elif name in (".nf", ".fi"):
            verbatim = name == ".nf"
        elif name == ".RS" and not tags and plain(text).startswith("-"):  # a tag, as docbook writes it
            tags, text = [text], []
            continue
        elif name not in _BREAKS:
            continue
        if text or (tags and name != ".TQ"):
            yield _Paragraph(heading, tags, text)
            tags, text = [], []
        if name in _HEADINGS:
            heading = rest.strip().strip('"')
        elif name in (".TP", ".TQ"):
            tag_follows = True
        elif name in (".IP", ".It") and rest:
            tags.append([(ROMAN, plain(_fragments(f"{name} {rest}")))])
    if text or tags:
        yield _Paragraph(heading, tags, text)


_HEADINGS = frozenset((".SH", ".SS", ".Sh", ".Ss"))
_PARAGRAPHS = (".TP", ".TQ", ".IP", ".It", ".PP", ".P", ".LP", ".Pp", ".HP", ".RE", ".br", ".sp")
_BREAKS = _HEADINGS.union(_PARAGRAPHS)
_ALTERNATE = {f".{a}{b}": (a, b) for a in "BIR" for b in "BIR" if a != b}
_SHOWS = frozenset((*_ALTERNATE, ".B", ".I", ".SM", ".Fl", ".Ar", ".Nm", ".Xr", ".Pa", ".Ic", ".Cm", ".Nd"))


def _fragments(line: str) -> Fragments:
    """What a line shows, with its fonts."""
    if not line.startswith((".", "'")):
        return _switching(line, ROMAN)
    name, _, rest = line.partition(" ")
    words = [(quoted or word).replace('""', '"') for quoted, word in _word.findall(rest)]
    if name in _ALTERNATE:
        fonts = _ALTERNATE[name]
        return [piece for at, word in enumerate(words) for piece in _switching(word, fonts[at % 2])]
    if name in (".B", ".I"):
        return _switching(" ".join(words), name[1])
    if name == ".IP":
        return _switching(words[0] if words else "", ROMAN)
    if name == ".Nd":
        return [(ROMAN, " - " + " ".join(words))]
    text = rest if name in (".It", ".Fl") else " ".join(words)
    if name == ".Fl":
        text = "Fl " + text
    return _switching(re.sub(r"\bFl (?=\S)", "-", re.sub(r"\b(?:Ar|Ns|Cm|Ic|Xo|Oo|Oc) ?", "", text)), ROMAN)


def _switching(text: str, font: str) -> Fragments:
    """Text that begins in a font and may switch it."""
    found: Fragments = []
    before, at = font, 0
    for switch in _font.finditer(text):
        found.append((font, _shown(text[at : switch.start()])))
        new = _FONTS.get(switch[1] or switch[2] or switch[3] or "P", before)
        before, font, at = font, new, switch.end()
    found.append((font, _shown(text[at:])))
    return [piece for piece in found if piece[1]]


def _shown(text: str) -> str:
    """The characters that escapes stand for."""

    def char(found: re.Match[str]) -> str:
        special = found["two"] or found["name"]
        if special:
            return _SPECIAL.get(special, "")
        return _CHARS.get(found["char"], found["char"]) if found["char"] else ""

    return _escape.sub(char, text) if "\\" in text else text


def plain(fragments: Fragments) -> str:
    """The text without its fonts."""
    return " ".join("".join(text for _, text in fragments).split())


def _masked(fragments: Fragments) -> str:
    """The text with a NUL for all that is in italics, which is not to be taken literally."""
    return "".join("\0" if font == ITALIC else text for font, text in fragments).strip()


def _sentence(text: str) -> str:
    """The first sentence of a description, without its full stop."""
    end = re.search(r"(?<=\S)[.;:](?:\s|$)", text)
    return text[: end.start()] if end else text


# --- the synopsis --------------------------------------------------------------------------------


def usages(text: Fragments) -> Iterator[Usage]:
    """The forms that a synopsis, or the tag of a paragraph, shows; commas in roman stand between them."""
    words: list[tuple[str, str]] = []
    for font, shown in text:
        for part in _part.findall(shown):
            if part == "," and font == ROMAN:
                yield from _usage(words)
                words = []
            else:
                words.append((font, part))
    yield from _usage(words)


def _usage(words: list[tuple[str, str]]) -> Iterator[Usage]:
    """The form in these words; none if it does not begin with a name."""
    if not words or words[0][0] != BOLD:
        return
    args: list[Argument] = []
    options: dict[str, str] = {}
    option = ""
    alternative = False
    depth = 0
    for font, word in words[1:]:
        if word in ("[", "]", "|"):
            depth += (word == "[") - (word == "]")
            alternative = word == "|"
            option = ""
        elif word == "...":
            args[-1:] = [argument._replace(repeats=True) for argument in args[-1:]]
        elif word in ("{", "}", "option", "options"):
            continue
        elif word.startswith("-") and font != ITALIC:
            found = [word] if word.startswith("--") or word == "-" else [f"-{letter}" for letter in word[1:]]
            options.update(dict.fromkeys(found, ""))
            option = found[-1] if len(found) == 1 else ""
        elif option and font == ITALIC:
            options[option], option = word, ""
        else:
            before = args.pop() if alternative and args else Argument()
            if font == ITALIC:
                argument = Argument(before.literals, (*before.kinds, word), depth > 0)
            else:
                argument = Argument((*before.literals, word), before.kinds, depth > 0)
            args.append(argument)
            alternative, option = False, ""
    yield Usage(words[0][1], args, options)


def _files(text: Fragments) -> Iterator[list[str | None]]:
    """The names of control files in a line of the synopsis, as parts; None for what is in italics."""
    shown = _masked(text)
    if shown.startswith("/") and "ctl" in shown:
        parts = shown.split("/")[1:]
        if parts[-1] == "ctl" or "ctl" in parts[-1].strip("{}").split(","):
            yield [None if "\0" in part else part for part in parts[:-1]] + ["ctl"]
