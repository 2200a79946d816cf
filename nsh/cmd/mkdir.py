"""mkdir: make directories."""

from __future__ import annotations

from nsh.cmd.arg import parse
from nsh.cmd.files import Complaints
from nsh.kern.proc import Proc
from nsh.p9.const import DMDIR, OREAD


async def main(p: Proc, argv: list[str]) -> str:
    options = parse(argv, "p", "[-p] dir ...")
    complaints = Complaints(p, "mkdir")
    for name in options.args:
        if "p" in options:
            await _make_path(p, name, complaints)
        elif await _is_directory(p, name) is not None:
            await complaints.say(f"{name} already exists")
        else:
            await _make(p, name, complaints)
    return complaints.status("error")


async def _is_directory(p: Proc, name: str) -> bool | None:
    """None: there is no such file."""
    try:
        return (await p.stat(name)).isdir
    except OSError:
        return None


async def _make(p: Proc, name: str, complaints: Complaints) -> bool:
    try:
        p.close(await p.create(name, OREAD, DMDIR | 0o777))
    except OSError as e:
        await complaints.say(f"can't create {name}: {e}")
        return False
    return True


async def _make_path(p: Proc, name: str, complaints: Complaints) -> None:
    """Make ``name`` and all that is missing above it; what is there already is no error."""
    reached = "" if name.startswith("/") else "."
    for element in name.split("/"):
        if not element:
            continue
        reached += "/" + element
        is_directory = await _is_directory(p, reached)
        if is_directory is None:
            if not await _make(p, reached, complaints):
                return
        elif not is_directory:
            await complaints.say(f"can't create {name}: {reached} not a directory")
            return
