"""listen: run a command for everybody who connects to an address."""

from nsh.cmd import Fail, complain
from nsh.cmd.arg import Options, Usage, parse
from nsh.cmd.child import command_text, shell, unwrap
from nsh.kern.chan import Chan
from nsh.kern.proc import RFENVG, RFFDG, Proc
from nsh.net import serve
from nsh.net.address import Address, address
from nsh.net.dial import answer
from nsh.net.ip import Data

USAGE = "[-i {initscript}] [-Ast] [-k keyfile] [-a alg]... addr command [arg...]"


async def main(p: Proc, argv: list[str]) -> str:
    options, target, command = asked(argv, "i:Astk:f:a:v", USAGE)
    refuse_unknown(options, target, "bad keyfile", "callers")
    run = shell(p)
    try:
        listener = await answer(p, str(target))
    except OSError as e:
        raise Fail("cannot announce", f"failed to announce on '{target}': {e}") from None
    text = command_text(command)

    async def welcome(q: Proc, connection: Chan) -> None:
        if "v" in options and isinstance(connection.aux, Data):
            await complain(q, f"{argv[0]}: got connection on {target} from {connection.aux.conn.remote}")
        start(q, connection, text)

    if init := options.value("i"):
        await run(p, unwrap(init))
    return await stay(options, serve.listen(p, argv, listener, welcome))


def asked(argv: list[str], letters: str, usage: str) -> tuple[Options, Address, list[str]]:
    """The options, the address and the command that listen or styxlisten was given. Raises `Usage`."""
    options = parse(argv, letters, usage)
    if len(options.args) < 2:
        raise Usage(usage)
    return options, address(options.args[0], net="tcp"), options.args[1:]


def refuse_unknown(options: Options, target: Address, status: str, whom: str) -> None:
    """Refuse to serve those who need not say who they are, unless that is asked for. Raises `Fail`."""
    if "A" not in options and target.net != "unix":
        advice = "use -A to serve them without, or a unix! address"
        raise Fail(status, f"no key to authenticate {whom} with; {advice}")


async def stay(options: Options, server: Proc) -> str:
    """Let it serve; with -s until it ends, whose status is returned."""
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
