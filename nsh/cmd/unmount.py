"""unmount: take away what was bound or mounted."""

from nsh.cmd import complain
from nsh.kern.proc import Proc


async def main(p: Proc, argv: list[str]) -> str:
    names = argv[1:]
    if len(names) not in (1, 2):
        await complain(p, f"Usage: {argv[0]} [source] target")
        return "usage"
    source = names[0] if len(names) == 2 else ""
    await p.unmount(source or None, names[-1])
    return ""
