"""export: serve a part of the name space, over a connection that is already there."""

from nsh import errors
from nsh.cmd import Fail
from nsh.cmd.arg import Usage, parse
from nsh.kern.chan import Chan
from nsh.kern.namec import Access, namec
from nsh.kern.proc import Proc
from nsh.kern.stream import stream
from nsh.net import dial
from nsh.net.serve import Server
from nsh.p9.const import ORDWR

USAGE = "[-a] dir [connection]"


async def main(p: Proc, argv: list[str]) -> str:
    options = parse(argv, "a", USAGE)
    if len(options.args) not in (1, 2):
        raise Usage(USAGE)
    connection = await _connection(p, *options.args[1:])
    try:
        if connection.mode & 3 != ORDWR:
            raise Fail("export", f"can't export: {errors.Ebadusefd.text}")
        root = await exported(p, options.args[0])
        server = Server(p, root, stream(connection))
    except OSError:
        connection.close()
        raise
    if "a" not in options:
        await server.wait()
    return ""


async def exported(p: Proc, name: str) -> Chan:
    """The directory ``name``, to be the root of an export: what is mounted there later will be seen."""
    try:
        return await namec(p, name, Access.TODIR)
    except OSError as e:
        raise Fail("export", f"can't export: {e}") from None


async def serve(p: Proc, root: Chan) -> None:
    """Serve the tree of ``root`` to whoever is at the other end of standard input, until that goes."""
    await Server(p, root, stream(p.fgrp.get(0).incref())).wait()


async def _connection(p: Proc, name: str = "") -> Chan:
    """The open connection ``name``, descriptor 0 if there is none; with a reference of our own."""
    if not name:
        return p.fgrp.get(0).incref()
    if "!" in name and "/" not in name.partition("!")[0]:
        try:
            return await dial.call(p, name)
        except OSError as e:
            raise Fail("dial", f"can't dial {name}: {e}") from None
    try:
        fd = await p.open(name, ORDWR)
    except OSError as e:
        raise Fail("open", f"can't open {name}: {e}") from None
    c = p.fgrp.get(fd).incref()
    p.close(fd)
    return c
