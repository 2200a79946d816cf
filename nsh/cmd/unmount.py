"""unmount: take away what was bound or mounted."""

from nsh.cmd.arg import Usage
from nsh.kern.proc import Proc


async def main(p: Proc, argv: list[str]) -> str:
    names = argv[1:]
    if len(names) not in (1, 2):
        raise Usage("[source] target")
    source = names[0] if len(names) == 2 else ""
    await p.unmount(source or None, names[-1])
    return ""
