"""read: copy what one read of standard input gives, or whole lines, and not a byte more."""

from __future__ import annotations

from nsh.cmd import complain
from nsh.cmd.arg import Usage
from nsh.kern.proc import Proc

USAGE = "[-[ero] offset] count\n       read -n lines"
COUNT = 8192
"""Bytes that are read if nothing else is said, as in Inferno."""

_WHENCE = {"-o": 0, "-r": 1, "-e": 2}


async def main(p: Proc, argv: list[str]) -> str:
    args = argv[1:]
    try:
        data = await (_lines(p, args[1:]) if args[:1] == ["-n"] else _once(p, args))
        if data is None:
            return ""
        if not data:
            return "eof"
    except OSError as e:
        await complain(p, f"read: read error: {e}")
        return "error"
    await p.write(1, data)
    return ""


async def _once(p: Proc, args: list[str]) -> bytes | None:
    """One read, of ``count`` bytes; None: nothing was to be read. Raises `Usage`."""
    whence, offset = None, 0
    if args and args[0].startswith("-"):
        if args[0] not in _WHENCE or len(args) < 2:
            raise Usage(USAGE)
        whence, offset = _WHENCE[args[0]], _number(args[1].removeprefix("-"))
        if args[1].startswith("-"):
            offset = -offset
        args = args[2:]
    if len(args) > 1:
        raise Usage(USAGE)
    count = _number(args[0]) if args else COUNT
    if whence is not None:
        await p.seek(0, offset, whence)
    return await p.read(0, count) if count else None


async def _lines(p: Proc, args: list[str]) -> bytes:
    """``lines`` lines, byte by byte: what follows them is for whoever reads next. Raises `Usage`."""
    if len(args) != 1:
        raise Usage(USAGE)
    wanted = _number(args[0])
    data = bytearray()
    while wanted and (byte := await p.read(0, 1)):
        data += byte
        wanted -= byte == b"\n"
    return bytes(data)


def _number(word: str) -> int:
    if not word.isdecimal():
        raise Usage(USAGE)
    return int(word)
