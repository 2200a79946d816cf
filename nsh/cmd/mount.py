"""mount: let the files of a 9P server be seen at a name."""

from nsh.cmd import Fail
from nsh.cmd.arg import Options, Usage, parse
from nsh.cmd.bind import flags
from nsh.cmd.child import shell
from nsh.cmd.dial import call
from nsh.kern.chan import Chan
from nsh.kern.mnt import MCACHE
from nsh.kern.proc import RFFDG, Proc
from nsh.net.address import HANDED, address
from nsh.p9.const import ORDWR

USAGE = "[-a|-b] [-cCoAP9] [-k keyfile] [-q] net!addr|file|{command} mountpoint [spec]"


async def main(p: Proc, argv: list[str]) -> str:
    options = parse(argv, "abcCoAP9k:f:qv", USAGE)
    if len(options.args) not in (2, 3):
        raise Usage(USAGE)
    if "o" in options:
        _refuse_old(options)
    server, target, *spec = options.args
    service = "9fs" if "9" in options else "styx"
    conn = await connect(p, server, service, "A" in options, persistent="P" in options)
    fd = p.fgrp.new(conn)
    try:
        await p.mount(fd, target, flags(options) | (MCACHE if "C" in options else 0), "".join(spec))
    except OSError as e:
        if "q" in options:
            return ""
        raise Fail("mount failed", f"mount failed: {e}") from None
    finally:
        p.close(fd)
    return ""


def _refuse_old(options: Options) -> None:
    """-o asks for the protocol that Inferno spoke until 1995. Raises `Fail`."""
    if "9" in options:
        raise Fail("usage", "cannot combine -o and -9 options")
    raise Fail("error", "the Styx of 1995 is not spoken here")


async def connect(p: Proc, server: str, service: str, unasked: bool, persistent: bool = False) -> Chan:
    """The connection to ``server``, open: a command's pipe, a file, or a network connection.

    ``service``: of an address that names none; ``unasked``: the server need not prove who it is;
    ``persistent``: dial again when the connection is lost.
    """
    if server.startswith("{") and server.endswith("}"):
        _refuse_to_keep("a command", persistent)
        return (await run_server(p, server[1:-1]))[0]
    if "!" not in server:
        try:
            fd = await p.open(server, ORDWR)
        except OSError as e:
            if server.startswith("/"):
                raise Fail("open failed", f"can't open {server}: {e}") from None
        else:
            c = p.fgrp.get(fd).incref()
            p.close(fd)
            if persistent:
                c.close()
            _refuse_to_keep("a file", persistent)
            return c
    target = address(server, service=service)
    try:
        c = await call(p, target)
    except OSError as e:
        raise Fail("dial failed", f"can't dial {target}: {e}") from None
    if not unasked and target.net not in ("unix", *HANDED):
        c.close()
        raise Fail("error", f"{target}: no key to authenticate with; -A mounts without authentication")
    if not persistent:
        return c
    from nsh.dev import persist

    leader = p.leader
    return persist.keep(p, c, lambda: call(leader, target))


def _refuse_to_keep(what: str, persistent: bool) -> None:
    """Only what can be dialled can be dialled again. Raises `Fail`."""
    if persistent:
        raise Fail("usage", f"cannot persistently mount {what}")


async def run_server(p: Proc, command: str) -> tuple[Chan, Proc]:
    """Run a shell command with one end of a pipe as its descriptor 0.

    Returns the other end, open, and the process.

    Errors: `P9Error` when there is no shell.
    """
    run = shell(p)
    theirs, ours = await p.system.pipe()
    child = p.fork(RFFDG)
    child.args = ["{" + command + "}"]
    child.fgrp.put(0, theirs)
    child.atexit(p.leader.atexit(child.kill))
    child.start(lambda child: run(child, command))
    return ours, child
