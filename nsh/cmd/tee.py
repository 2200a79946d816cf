"""tee: copy standard input to standard output and to files."""

from __future__ import annotations

from nsh.cmd import complain
from nsh.cmd.arg import parse
from nsh.cmd.files import READSIZE
from nsh.kern.proc import Proc
from nsh.p9.const import OWRITE


async def main(p: Proc, argv: list[str]) -> str:
    options = parse(argv, "a", "[-a] [file ...]")
    outputs: list[tuple[int, str]] = []
    try:
        for name in options.args:
            try:
                outputs.append((await _open(p, name, "a" in options), name))
            except OSError as e:
                return await _fail(p, f"cannot open {name}: {e}")
        return await _copy(p, [*outputs, (1, "standard output")])
    finally:
        for fd, _ in outputs:
            p.close(fd)


async def _open(p: Proc, name: str, append: bool) -> int:
    if append:
        try:
            fd = await p.open(name, OWRITE)
        except OSError:
            return await p.create(name, OWRITE, 0o666)
        await p.seek(fd, 0, 2)
        return fd
    return await p.create(name, OWRITE, 0o666)


async def _copy(p: Proc, outputs: list[tuple[int, str]]) -> str:
    while True:
        try:
            data = await p.read(0, READSIZE)
        except OSError as e:
            return await _fail(p, f"read error: {e}")
        if not data:
            return ""
        for fd, name in outputs:
            try:
                await p.write(fd, data)
            except OSError as e:
                return await _fail(p, f"error writing {name}: {e}")


async def _fail(p: Proc, text: str) -> str:
    await complain(p, f"tee: {text}")
    return "error"
