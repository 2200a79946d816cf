"""wc: count lines, words and characters."""

from __future__ import annotations

import codecs
import re
from typing import NamedTuple

from nsh.cmd.arg import parse
from nsh.cmd.files import READSIZE, Complaints
from nsh.kern.proc import Proc

_BAD = re.compile("[\udc80-\udcff]")
_SHAPE = bytes(b" x"[byte not in b" \t\n"] for byte in range(256))
"""Makes every byte of a word an x, and every other a blank."""


class Counts(NamedTuple):
    """In the order in which they are printed; ``bad`` are bytes that are no UTF-8. 0: nobody asked."""

    lines: int = 0
    words: int = 0
    characters: int = 0
    bad: int = 0
    bytes: int = 0


async def main(p: Proc, argv: list[str]) -> str:
    options = parse(argv, "lwceb", "[-lwcbe] [file ...]")
    shown = [letter in options for letter in "lwceb"]
    if not any(shown):
        shown = [True, True, True, False, False]
    complaints = Complaints(p, "wc")
    if not options.args:
        await _report(p, await _count(p, 0, "", complaints, shown), shown, "")
    total = Counts()
    for name in options.args:
        try:
            fd = await p.open(name)
        except OSError as e:
            await complaints.say(f"can't open {name}: {e}")
            continue
        counts = await _count(p, fd, name, complaints, shown)
        p.close(fd)
        await _report(p, counts, shown, name)
        total = Counts(*map(sum, zip(total, counts, strict=True)))
    if len(options.args) > 1:
        await _report(p, total, shown, "total")
    return complaints.status()


async def _count(p: Proc, fd: int, name: str, complaints: Complaints, shown: list[bool]) -> Counts:
    """Count what is ``shown`` of what ``fd`` has; a word or a character may lie in two reads."""
    of_lines, of_words, of_characters, of_bad, _ = shown
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    counts = Counts()
    last = b" "
    while True:
        try:
            data = await p.read(fd, READSIZE)
        except OSError as e:
            await complaints.say(f"error reading {name}: {e}")
            data = b""
        lines = data.count(b"\n") if of_lines else 0
        words = 0
        if of_words:
            shape = last + data.translate(_SHAPE)
            words, last = shape.count(b" x"), shape[-1:]
        text = decoder.decode(data, final=not data) if of_characters or of_bad else ""
        bad = len(_BAD.findall(text)) if of_bad else 0
        more = Counts(lines, words, len(text), bad, len(data))
        counts = Counts(*map(sum, zip(counts, more, strict=True)))
        if not data:
            return counts


async def _report(p: Proc, counts: Counts, shown: list[bool], name: str) -> None:
    columns = [f"{count:7}" for count, show in zip(counts, shown, strict=True) if show]
    await p.print(" ".join([*columns, name] if name else columns) + "\n")
