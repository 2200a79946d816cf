"""cleanname: print names without what is superfluous in them."""

from __future__ import annotations

from nsh.cmd.arg import Usage, parse
from nsh.kern.proc import Proc

USAGE = "[-d pwd] name ..."


async def main(p: Proc, argv: list[str]) -> str:
    options = parse(argv, "d:", USAGE)
    if not options.args:
        raise Usage(USAGE)
    directory = options.value("d")
    for name in options.args:
        if directory and name and not name.startswith(("/", "#")):
            name = f"{directory}/{name}"
        await p.print(cleaned(name) + "\n")
    return ""


def cleaned(name: str) -> str:
    """``name`` without empty elements and ``.``, and with ``..`` taken back by what is before it.

    Only the text is looked at: where a mount leads does not matter.
    """
    root, rest = _root(name)
    kept: list[str] = []
    for element in rest.split("/"):
        if element in ("", "."):
            continue
        if element != "..":
            kept.append(element)
        elif kept and kept[-1] != "..":
            kept.pop()
        elif not root:
            kept.append(element)
    between = "/" if root not in ("", "/") and kept else ""
    return root + between + "/".join(kept) or "."


def _root(name: str) -> tuple[str, str]:
    """What no ``..`` leads out of, ``/`` or a device with its spec such as ``#Rstdio``, and the rest."""
    if name.startswith("#") and len(name) > 1:
        end = name.find("/", 2)
        return (name, "") if end < 0 else (name[:end], name[end:])
    return name[: name.startswith("/")], name
