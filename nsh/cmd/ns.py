"""ns: print the commands that make this name space."""

from nsh.cmd import Fail
from nsh.cmd.arg import Options, Usage, parse
from nsh.kern.chan import Chan
from nsh.kern.mnt import MAFTER, MBEFORE, MCACHE, MCREATE, Mhead, Mount
from nsh.kern.proc import Proc
from nsh.net.ip import Data

USAGE = "[-r] [pid]\n       ns -g [dot|mermaid|svg] [pid]"

_SPECIAL = frozenset(" \t\n'\\$#;&|^`{}()<>*?[]")
_FLAGS = ((MAFTER, "a"), (MBEFORE, "b"), (MCREATE, "c"), (MCACHE, "C"))


async def main(p: Proc, argv: list[str]) -> str:
    options = parse(argv, "gr", USAGE)
    if "g" in options:
        return await _picture(p, options)
    if len(options.args) > 1:
        raise Usage(USAGE)
    whose = _process(p, *options.args)
    lines = [_line(head, mount, "r" in options) for head, mount in whose.pgrp.mounts()]
    lines.append(f"cd {quote(whose.getwd())}")
    await p.print("".join(line + "\n" for line in lines))
    return ""


async def _picture(p: Proc, options: Options) -> str:
    """Draw the name space; as SVG if no other form is asked for."""
    from nsh.cmd.nsgraph import FORMATS, graph

    args = list(options.args)
    form = args.pop(0) if args and args[0] in FORMATS else "svg"
    if len(args) > 1 or "r" in options or not all(word.isdecimal() for word in args):
        raise Usage(USAGE)
    whose = _process(p, *args)
    owner = f"process {whose.pid}, {' '.join(whose.args)}" if args else p.user
    await p.print(graph(whose, f"name space of {owner}", form))
    return ""


def _process(p: Proc, pid: str = "") -> Proc:
    found = p.system.find(int(pid)) if pid.isdecimal() else None if pid else p
    if found is None:
        raise Fail("open", f"can't open /prog/{pid}/ns: '/prog/{pid}' file does not exist")
    return found


def _line(head: Mhead, mount: Mount, raw: bool) -> str:
    """The command that makes this member of a mount point."""
    name = str(mount.to.path)
    if name == "#M" and mount.to.mchan is not None:
        command, source = "mount", _connection(mount.to.mchan, raw)
    else:
        command, source = "bind", _host_name(name)
    flags = "".join(letter for bit, letter in _FLAGS if mount.flag & bit)
    words = [command, *(["-" + flags] if flags else []), quote(source), quote(str(head.covered.path))]
    return " ".join(words)


def _connection(c: Chan, raw: bool) -> str:
    """The server's address, for a network connection; else, and with -r, the name of its file."""
    return c.aux.conn.address if isinstance(c.aux, Data) and not raw else str(c.path)


def _host_name(name: str) -> str:
    """A name in `#/` or `#U` as it is seen from the root."""
    return name[2:] if name.startswith(("#/", "#U")) and len(name) > 2 else name


def quote(word: str) -> str:
    """``word``, quoted if the shell would not read it as it stands."""
    if word and not _SPECIAL & set(word):
        return word
    return "'" + word.replace("'", "''") + "'"
