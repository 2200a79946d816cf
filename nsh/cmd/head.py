"""head: print the beginning of files."""

from __future__ import annotations

import re

from nsh.cmd.arg import Usage, parse
from nsh.cmd.files import READSIZE, Complaints
from nsh.kern.proc import Proc

USAGE = "[-n lines | -c bytes] [file ...]"


async def main(p: Proc, argv: list[str]) -> str:
    if len(argv) > 1 and re.fullmatch(r"-\d+", argv[1]):  # head -5, as it used to be
        argv = [argv[0], "-n", argv[1][1:], *argv[2:]]
    options = parse(argv, "n:c:", USAGE)
    lines = "c" not in options
    number = options.value("n" if lines else "c", "10")
    if not number.isdecimal() or ("n" in options and "c" in options):
        raise Usage(USAGE)
    complaints = Complaints(p, "head")
    for i, name in enumerate(options.args):
        try:
            fd = await p.open(name)
        except OSError as e:
            await complaints.say(f"cannot open {name}: {e}")
            continue
        try:
            if len(options.args) > 1:
                await p.print("\n" * (i > 0) + f"==> {name} <==\n")
            await _head(p, fd, name, int(number), lines, complaints)
        finally:
            p.close(fd)
    if not options.args:
        await _head(p, 0, "<stdin>", int(number), lines, complaints)
    return complaints.status()


async def _head(p: Proc, fd: int, name: str, number: int, lines: bool, complaints: Complaints) -> None:
    while number > 0:
        try:
            data = await p.read(fd, READSIZE if lines else min(READSIZE, number))
        except OSError as e:
            await complaints.say(f"error reading {name}: {e}")
            return
        if not data:
            return
        if lines:
            data, found = first_lines(data, number)
            number -= found
        else:
            number -= len(data)
        await p.write(1, data)


def first_lines(data: bytes, number: int) -> tuple[bytes, int]:
    """What of ``data`` belongs to its first ``number`` lines, and how many lines end in it."""
    end = 0
    for found in range(number):
        end = data.find(b"\n", end) + 1
        if end == 0:
            return data, found
    return data[:end], number
