"""The recorded behaviour of Inferno's name space: every published case, run by our shell.

Each script runs in a fresh system whose world is the one that the recordings were made in
(tests/corpus/namespace/README.md). What it prints must be what Inferno printed, the lines of `ns` that
make the world itself taken out of both.
"""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

import pytest

from nsh.boot import boot
from nsh.dev.hostfd import HostFdDevice
from nsh.kern.mnt import MAFTER, MBEFORE, MCREATE, MREPL
from nsh.kern.proc import Proc, current
from nsh.rc.fault import RcError
from nsh.rc.parse import Parser, RcSyntaxError, Signal
from nsh.rc.run import Shell
from nsh.rc.session import connect

HERE = Path(__file__).parent / "namespace"
CASES = sorted((HERE / "cases").glob("*.rc"))
BASE = (HERE / "base-ns.txt").read_text()

OVERRULED = {
    "097-ns-quoting": "ns quotes what the shell would not read back as it stands, here a semicolon",
    "124-export-styxlisten-sees-later-binds": "who announces to everybody is told so in one line",
    "127-export-dial-errors": "service names are known without a connection server",
}
"""Cases that nsh decides otherwise, each with the reason."""


async def recorded_world(root: Path) -> Proc:
    """A system as the recordings had it: the built-in root and an almost empty host tree."""
    for name in ("dis", "tmp", "mnt", "n/local", "n/remote", "n/dev", "usr", "lib"):
        (root / name).mkdir(parents=True)
    p = await boot(
        namespace=(
            ("#B", "/bin", MREPL),
            (f"#U{root}", "/", MAFTER | MCREATE),
            ("#c", "/dev", MBEFORE),
            ("#p", "/prog", MREPL),
            ("#d", "/fd", MREPL),
            ("#I", "/net", MAFTER),
            ("#m", "/n", MREPL),
            ("#e", "/env", MREPL | MCREATE),
        )
    )
    p.dot = p.slash
    return p


async def run(script: str, scratch: Path) -> str:
    """What the script prints on standard output and standard error, as an interactive shell runs it."""
    p = await recorded_world(scratch / "root")
    current.set(p)
    connect(p)
    fds = p.system.device("f")
    assert isinstance(fds, HostFdDevice)
    out = os.open(scratch / "out", os.O_RDWR | os.O_CREAT | os.O_APPEND)
    for fd, host in ((0, os.open("/dev/null", os.O_RDONLY)), (1, out), (2, os.dup(out))):
        p.fgrp.put(fd, fds.chan(host, f"/fd/{fd}"))
    await p.fork().start(lambda q: interpret(q, "ns\n"))
    base = (scratch / "out").read_text().removesuffix("cd /\n")
    os.truncate(scratch / "out", 0)
    await p.fork().start(lambda q: interpret(q, script))
    await end(p)
    return (scratch / "out").read_text().replace(base, "")


async def interpret(p: Proc, script: str) -> str:
    """Run commands one after the other; errors do not stop the rest."""
    shell = Shell(p)
    shell.interactive = True
    parser = Parser(script)
    while True:
        try:
            command = parser.next()
            if isinstance(command, Signal):
                return ""
            await shell.run(command)
        except RcSyntaxError as e:
            await shell.syntax_error(e)
        except RcError as e:
            await shell.complain(str(e))


async def end(p: Proc) -> None:
    """End the system: what a script has left in the background, and all its connections."""
    for proc in list(p.system.procs.values()):
        proc.kill()
    p.exit()
    me = asyncio.current_task()
    while rest := [task for task in asyncio.all_tasks() if task is not me]:
        for task in rest:
            task.cancel()
        await asyncio.wait(rest)


def comparable(text: str) -> list[str]:
    """The lines, without the base of `ns` and without the shell's own name in front of a message."""
    text = re.sub(r"^(?:nsh|rc|sh): (?:\S+:\d+: )?", "sh: ", text.replace(BASE, ""), flags=re.MULTILINE)
    return text.splitlines()


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
async def test_a_script_prints_what_it_printed_on_inferno(case: Path, tmp_path: Path) -> None:
    got = await run(case.read_text(), tmp_path)
    want = case.with_suffix(".out").read_text()
    if case.stem in OVERRULED:
        assert comparable(got) != comparable(want), f"{case.stem} need not be excused any more"
        return
    assert comparable(got) == comparable(want)
