"""listen: run a command for everybody who connects to an address."""

from nsh.cmd import Fail, complain
from nsh.cmd.arg import Usage, parse
from nsh.cmd.child import command_text, shell, unwrap
from nsh.kern.chan import Chan
from nsh.kern.proc import RFENVG, RFFDG, Proc
from nsh.net import serve
from nsh.net.dial import address, announce
from nsh.net.ip import Data

USAGE = "[-i {initscript}] [-Ast] [-k keyfile] [-a alg]... [-v] addr command [arg...]"


async def main(p: Proc, argv: list[str]) -> str:
    options = parse(argv, "i:Astk:a:v", USAGE)
    if len(options.args) < 2:
        raise Usage(USAGE)
    where, *command = options.args
    target = address(where, net="tcp")
    if "A" not in options and target.net != "unix":
        advice = "use -A to serve them without, or a unix! address"
        raise Fail("bad keyfile", f"no key to authenticate callers with; {advice}")
    run = shell(p)
    try:
        listener = await announce(p.system, str(target))
    except OSError as e:
        raise Fail("cannot announce", f"failed to announce on '{target}': {e}") from None
    text = command_text(command)

    async def welcome(q: Proc, connection: Chan) -> None:
        if "v" in options and isinstance(connection.aux, Data):
            await complain(q, f"{argv[0]}: got connection on {target} from {connection.aux.conn.remote}")
        start(q, connection, text)

    if init := options.value("i"):
        await run(p, unwrap(init))
    server = serve.listen(p, argv, listener, welcome)
    server.authenticated = "A" not in options
    return await server.wait() if "s" in options else ""


def start(p: Proc, connection: Chan, command: str) -> Proc:
    """Run ``command`` as a process with descriptors 0 and 1 on ``connection``, which it takes over.

    In its environment are $user and $net, the directory of the connection.
    """
    run = shell(p)
    child = p.fork(RFENVG | RFFDG)
    child.args = [command]
    child.fgrp.put(1, connection.incref())
    child.fgrp.put(0, connection)
    child.egrp.set("net", str(connection.path).removesuffix("/data").encode())
    child.egrp.set("user", p.user.encode())
    child.atexit(p.leader.atexit(child.kill))
    child.start(lambda child: run(child, command))
    return child
