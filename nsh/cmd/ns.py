"""ns: print the commands that make this name space."""

from nsh.cmd import Fail
from nsh.cmd.arg import Options, Usage, parse
from nsh.kern.proc import Proc
from nsh.kern.recipe import recipe

USAGE = "[-r] [pid]"
USAGE_PICTURE = "-g [dot|mermaid|svg] [pid]"


async def main(p: Proc, argv: list[str]) -> str:
    options = parse(argv, "gr", USAGE)
    if "g" in options:
        return await _picture(p, options)
    if len(options.args) > 1:
        raise Usage(USAGE)
    if not all(word.isdecimal() for word in options.args):
        raise Fail("bad pid", f"bad process number: {options.args[0]}")
    raw = "r" in options
    if options.args and not raw:
        await _copy(p, f"/prog/{options.args[0]}/ns")
    else:
        await p.print("".join(line + "\n" for line in recipe(_process(p, *options.args), raw)))
    return ""


async def _copy(p: Proc, name: str) -> None:
    """Print what a process' own file says; /prog may be that of another machine."""
    try:
        text = await p.readfile(name)
    except OSError as e:
        raise Fail("open", f"can't open {name}: {e}") from None
    await p.write(1, text)


async def _picture(p: Proc, options: Options) -> str:
    """Draw the name space; as SVG if no other form is asked for."""
    from nsh.cmd.nsgraph import FORMATS, graph

    args = list(options.args)
    form = args.pop(0) if args and args[0] in FORMATS else "svg"
    if len(args) > 1 or "r" in options or not all(word.isdecimal() for word in args):
        raise Usage(USAGE_PICTURE)
    whose = _process(p, *args)
    owner = f"process {whose.pid}, {' '.join(whose.args)}" if args else p.user
    await p.print(graph(whose, f"name space of {owner}", form))
    return ""


def _process(p: Proc, pid: str = "") -> Proc:
    found = p.system.find(int(pid)) if pid.isdecimal() else None if pid else p
    if found is None:
        raise Fail("open", f"can't open /prog/{pid}/ns: '/prog/{pid}' file does not exist")
    return found
