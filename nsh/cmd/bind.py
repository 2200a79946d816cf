"""bind: let one name show what another shows."""

from nsh.cmd import Fail
from nsh.cmd.arg import Options, Usage, parse
from nsh.kern.mnt import MAFTER, MBEFORE, MCREATE, MREPL
from nsh.kern.proc import Proc

USAGE = "[-a|-b|-c|-ac|-bc] [-q] source target"


def flags(options: Options) -> int:
    """The mount flags that -a, -b and -c ask for; both orders together are for the kernel to refuse."""
    order = (MAFTER if "a" in options else MREPL) | (MBEFORE if "b" in options else MREPL)
    return order | (MCREATE if "c" in options else 0)


async def main(p: Proc, argv: list[str]) -> str:
    options = parse(argv, "abcqu", USAGE, dash=True)
    if len(options.args) != 2 or ("a" in options and "b" in options):
        raise Usage(USAGE)
    source, target = options.args
    try:
        await p.bind(source, target, flags(options), under="u" in options)
    except OSError as e:
        if "q" in options:
            return ""
        raise Fail("bind", await _reason(p, source, target, e)) from None
    return ""


async def _reason(p: Proc, source: str, target: str, error: OSError) -> str:
    """Which of the two names is to blame, if one is."""
    for name in (source, target):
        try:
            await p.stat(name)
        except OSError as e:
            return f"{name}: {e}"
    return f"cannot bind {source} onto {target}: {error}"
