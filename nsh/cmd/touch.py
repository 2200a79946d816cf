"""touch: set the modification time of files to now, and make those that are missing."""

from __future__ import annotations

import time

from nsh.cmd.arg import Usage, parse
from nsh.cmd.files import Complaints
from nsh.kern.proc import Proc
from nsh.p9.const import OEXCL, OREAD
from nsh.p9.stat import Dir

USAGE = "[-c] [-t time] file ..."


async def main(p: Proc, argv: list[str]) -> str:
    options = parse(argv, "ct:", USAGE)
    seconds = options.value("t", str(int(time.time())))
    if not options.args or not seconds.isdecimal() or int(seconds) >= 0xFFFFFFFF:
        raise Usage(USAGE)
    change = Dir.dont_touch(mtime=int(seconds))
    complaints = Complaints(p, "touch")
    for name in options.args:
        if "c" in options or await _exists(p, name):
            await _change_time(p, name, change, complaints)
        else:
            await _create(p, name, change, complaints)
    return complaints.status("touch")


async def _exists(p: Proc, name: str) -> bool:
    try:
        await p.stat(name)
    except OSError:
        return False
    return True


async def _change_time(p: Proc, name: str, change: Dir, complaints: Complaints) -> None:
    try:
        await p.wstat(name, change)
    except OSError as e:
        await complaints.say(f"{name}: cannot change time: {e}")


async def _create(p: Proc, name: str, change: Dir, complaints: Complaints) -> None:
    try:
        fd = await p.create(name, OREAD | OEXCL, 0o666)
    except OSError as e:
        await complaints.say(f"{name}: cannot create: {e}")
        return
    try:
        await p.fwstat(fd, change)
    except OSError:
        pass  # a server without times; the file is there, and new
    finally:
        p.close(fd)
