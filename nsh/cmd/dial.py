"""dial: run a command with a connection to an address."""

from nsh.cmd import Fail
from nsh.cmd.arg import Usage, parse
from nsh.cmd.child import command_text, shell
from nsh.cmd.listen import start
from nsh.kern.proc import Proc
from nsh.net import dial

USAGE = "[-A] [-k keyfile] [-a alg] addr cmd [arg...]"


async def main(p: Proc, argv: list[str]) -> str:
    options = parse(argv, "Ak:a:", USAGE)
    if len(options.args) < 2:
        raise Usage(USAGE)
    where, *command = options.args
    target = dial.address(where)
    if "A" not in options and target.net != "unix":
        raise Fail("errors", "no key to authenticate with; use -A to call without")
    shell(p)  # before anybody is called
    try:
        connection = await dial.call(p, str(target))
    except OSError as e:
        raise Fail("errors", f"cannot dial {target}:: {e}") from None
    child = start(p, connection, command_text(command))
    try:
        return await child.wait()
    finally:
        child.kill()
