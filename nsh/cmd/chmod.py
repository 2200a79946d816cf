"""chmod: change what may be done with files, by whom."""

from __future__ import annotations

import re
from typing import NamedTuple

from nsh.cmd import complain
from nsh.cmd.arg import Usage
from nsh.cmd.files import Complaints
from nsh.kern.proc import Proc
from nsh.p9.const import DMAPPEND, DMEXCL, DMTMP
from nsh.p9.stat import Dir

USAGE = "[8r]777 file ... or chmod [augo][+-=][rwxal] file ..."

_WHO = {"u": 0o700, "g": 0o070, "o": 0o007, "a": 0o777}
_WHAT = {"r": 0o444, "w": 0o222, "x": 0o111, "a": DMAPPEND, "l": DMEXCL, "t": DMTMP}
_OCTAL = re.compile(r"(?:8r)?([0-7]+)")
_CHANGE = re.compile(r"([ugoa]*)([+=-])([rwxalt]*)")


class Change(NamedTuple):
    """The bits of a mode that change, and what they become."""

    mask: int
    bits: int

    def apply(self, mode: int) -> int:
        return (mode & ~self.mask) | (self.bits & self.mask)


async def main(p: Proc, argv: list[str]) -> str:
    if len(argv) < 3:
        raise Usage(USAGE)
    spec, *names = argv[1:]
    change = parse_mode(spec)
    if change is None:
        await complain(p, f"chmod: bad mode '{spec}'")
        raise Usage(USAGE)
    complaints = Complaints(p, "chmod")
    for name in names:
        await _change(p, name, change, complaints)
    return complaints.status()


def parse_mode(spec: str) -> Change | None:
    """What ``644``, ``8r644`` or ``u+rw`` asks for; None: it is neither."""
    if octal := _OCTAL.fullmatch(spec):
        return Change(0o777, int(octal[1], 8))
    parts = _CHANGE.fullmatch(spec)
    if parts is None:
        return None
    who, operator, what = parts.groups()
    mask = DMAPPEND | DMEXCL | DMTMP | _union(_WHO, who or "a")
    bits = _union(_WHAT, what)
    if operator == "=":
        return Change(mask, bits)
    return Change(mask & bits, bits if operator == "+" else 0)


def _union(table: dict[str, int], letters: str) -> int:
    bits = 0
    for letter in letters:
        bits |= table[letter]
    return bits


async def _change(p: Proc, name: str, change: Change, complaints: Complaints) -> None:
    try:
        mode = (await p.stat(name)).mode
    except OSError as e:
        await complaints.say(f"cannot stat {name}: {e}")
        return
    try:
        await p.wstat(name, Dir.dont_touch(mode=change.apply(mode)))
    except OSError as e:
        await complaints.say(f"cannot wstat {name}: {e}")
