"""os: run a program of a host, by way of a cmd device, or with this name space as its file tree."""

from __future__ import annotations

import asyncio

from nsh.cmd import complain
from nsh.cmd.arg import Usage, parse
from nsh.errors import P9Error
from nsh.kern.ctlmsg import requote, words
from nsh.kern.mnt import MBEFORE
from nsh.kern.proc import RFNAMEG, Proc
from nsh.p9.const import ORDWR, OREAD, OWRITE

USAGE = "[-d dir] [-m mount] [-N nice] [-b] command [arg...]\n       os -n [-d dir] command [arg...]"


async def main(p: Proc, argv: list[str]) -> str:
    options = parse(argv, "d:m:nN:b", USAGE)
    if not options.args:
        raise Usage(USAGE)
    if "n" in options:
        if any(letter in options for letter in "mNb"):
            raise Usage(USAGE)
        return await _inside(p, options.value("d"), options.args)
    mountpoint = options.value("m") or await _own_device(p)
    clone = f"{mountpoint}/clone"
    try:
        ctl = await p.open(clone, ORDWR)
    except OSError as e:
        raise P9Error(f"cannot open {clone}: {e}") from None
    directory = f"{mountpoint}/{(await p.read(ctl, 32)).decode()}"
    wait = await p.open(f"{directory}/wait", OREAD)
    if "N" in options:
        await _warn(p, ctl, f"nice {options.value('N')}", "can't set nice priority")
    if "d" in options:
        await _control(p, ctl, requote(["dir", options.value("d")]), "cannot set cwd")
    if "b" not in options:
        await _warn(p, ctl, "killonclose", "cannot write killonclose")
    await _control(p, ctl, f"exec {requote(options.args)}", "cannot exec")
    if "b" not in options:
        await _connect(p, directory)
    status = words((await p.read(wait, 1024)).decode("utf-8", "surrogateescape"))
    if len(status) < 5:
        raise P9Error(f"wait error: odd status: {requote(status)}")
    return f"host: {status[4]}" if status[4] else ""


async def _inside(p: Proc, directory: str, words: list[str]) -> str:
    """Run a program of this host with the name space of ``p`` as its file tree; returns its status."""
    from nsh.dev.spawn import host_environment
    from nsh.net.inside import Refused, run

    if directory:
        await p.chdir(directory)
    environ, _ = host_environment(p.egrp)
    try:
        return await run(p, words[0], words, environ)
    except Refused as e:
        raise P9Error(f"-n: {e}") from None
    except OSError as e:
        raise P9Error(f"{words[0]}: {e}") from None


async def _own_device(p: Proc) -> str:
    """The name of this host's device, which is bound if it is not there; nobody else sees that."""
    try:
        await p.stat("/cmd/clone")
    except OSError:
        p.rfork(RFNAMEG)
        try:
            await p.bind("#C", "/", MBEFORE)
        except OSError as e:
            raise P9Error(f"bind #C /: {e}") from None
    return "/cmd"


async def _control(p: Proc, ctl: int, message: str, trouble: str) -> None:
    """Write a control message. Errors: `P9Error` "TROUBLE: WHY"."""
    try:
        await p.write(ctl, message.encode("utf-8", "surrogateescape"))
    except OSError as e:
        raise P9Error(f"{trouble}: {e}") from None


async def _warn(p: Proc, ctl: int, message: str, trouble: str) -> None:
    """Write a control message that is not essential."""
    try:
        await _control(p, ctl, message, trouble)
    except OSError as e:
        await complain(p, f"os: warning: {e}")


async def _connect(p: Proc, directory: str) -> None:
    """Carry standard input to the program, and its output and errors here, until both have ended."""
    to, out = [await p.open(f"{directory}/data", mode) for mode in (OWRITE, OREAD)]
    err = await p.open(f"{directory}/stderr", OREAD)
    feeding = asyncio.create_task(_copy(p, 0, to, to))
    try:
        await asyncio.gather(_copy(p, out, 1, out), _copy(p, err, 2, err))
    finally:
        feeding.cancel()
        await asyncio.wait([feeding])


async def _copy(p: Proc, source: int, target: int, ours: int) -> None:
    """Copy to the end, then close ``ours``: the program sees the end of its input, or that nobody reads."""
    try:
        while data := await p.read(source):
            await p.write(target, data)
    except OSError:
        pass  # one side has gone: there is nothing more to carry
    finally:
        p.close(ours)
