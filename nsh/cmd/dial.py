"""dial: run a command with a connection to an address."""

from nsh.cmd import Fail
from nsh.cmd.arg import Usage, parse
from nsh.cmd.child import command_text, shell
from nsh.cmd.listen import start
from nsh.errors import P9Error
from nsh.kern.chan import Chan
from nsh.kern.proc import Proc
from nsh.net import dial
from nsh.net.address import Address, address, port

USAGE = "[-A] [-k keyfile] [-a alg] addr command [arg...]"


async def main(p: Proc, argv: list[str]) -> str:
    options = parse(argv, "Ak:f:a:v", USAGE)
    if len(options.args) < 2:
        raise Usage(USAGE)
    where, *command = options.args
    target = address(where)
    if "A" not in options and target.net != "unix":
        raise Fail("bad keyfile", "no key to authenticate with; use -A to call without")
    shell(p)  # before anybody is called
    try:
        connection = await call(p, target)
    except OSError as e:
        raise Fail("errors", f"cannot dial {where}:: {e} ({_tried(target, e)})") from None
    child = start(p, connection, command_text(command))
    try:
        return await child.wait()
    finally:
        child.kill()


async def call(p: Proc, target: Address) -> Chan:
    """The connection to ``target``, open. Errors: those of dial(2), and one if no host is named."""
    if not target.host:
        raise P9Error("bad format request")
    return await dial.call(p, str(target))


def _tried(target: Address, error: OSError) -> str:
    """What failed with ``error``, as dial(2) adds it: opening the network's clone file, or the connection."""
    if target.net == "unix":
        return f"connect {target.host} "
    if isinstance(error, FileNotFoundError):
        return f"{target.net if '/' in target.net else f'/net/{target.net}'}/clone"
    try:
        service = str(port(target._replace(net="net")))
    except OSError:
        service = target.service
    return f"connect {target.host}!{service} "
