"""What Inferno does where its scripts cannot be run as they are: groups, dead servers, and its quirks.

Each script of `inferno` is one of the recorded scripts of `namespace/cases-inferno`, in the syntax of rc. It
prints what Inferno printed, except where `DIFFERENT` says why not; then what it prints is in a file beside
it. The scripts called quirk are those where Inferno is wrong.
"""

from __future__ import annotations

import getpass
import re
import socket
from pathlib import Path

import pytest

from tests.corpus.test_namespace import HERE, comparable, run

OURS = Path(__file__).parent / "inferno"
CASES = sorted(OURS.glob("*.rc"))
GROUPS = ("fork", "open", "dead", "stat", "mntgen", "ns", "perm", "quirk")

DOT = "the current directory belongs to the process, so a cd elsewhere moves nobody else"
DIFFERENT = {
    "001-fork-sh-c-forks-the-name-space": DOT,
    "002-fork-pctl-forkns": DOT,
    "004-fork-newns": "rfork N leaves the bare root, as on Plan 9; Inferno's newns the current directory",
    "005-fork-nodevs": "there is no #D; that nothing can be mounted any more is shown, too",
    "006-fork-cd-in-a-pipeline": DOT,
    "007-open-union-read-while-changing": "grep finds the names where strings is another program",
    "009-dead-hangup": "the way out of a dead server is remembered, the server need not be asked",
    "014-quirk-dotdot-by-alias": ".. comes out where one went in",
    "015-quirk-dotdot-below-itself": ".. comes out where one went in",
    "016-quirk-dotdot-after-unmount": ".. comes out where one went in, whatever has been unmounted since",
    "017-quirk-ns-with-spaces": "ns quotes what has blanks in it",
    "018-quirk-unmount-root": "the root that is left has the commands",
    "019-quirk-env-mkdir": "a variable is no directory",
    "020-quirk-ramfile-twice": "ramfiles of one directory share a place, where no name is there twice",
    "022-stat-qids-through-export": "the qids of an export are unique everywhere; the version of a file "
    "of memfs counts its changes, as stat(5) has it, where Inferno's is always 0",
    "023-stat-du-through-export": "the qids of an export are unique everywhere",
    "024-syntax-blocks": "who announces to everybody is told so in one line",
    "025-ns-raw": "ns shows the attach name; the file of a process has what ns prints, not the kernel's form",
    "026-ns-of-another-process": "what is no number is said to be none, where Inferno reads process 0",
    "029-perm-keyfile": "what is missing without -A is said in words",
    "031-quirk-crosses-twice": "a mount point is crossed once",
}
"""What nsh prints otherwise than Inferno, each with the reason."""


def on_free_ports(case: Path) -> str:
    """The script, with ports that nobody uses in the place of its own."""
    script = case.read_text()
    for port in set(re.findall(r"\b177\d\d\b", script)):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            script = script.replace(port, str(s.getsockname()[1]))
    return script


def without_ports(lines: list[str]) -> list[str]:
    return [re.sub(r"(127\.0\.0\.1|\*)!\d+", r"\1!PORT", line) for line in lines]


def recorded(case: Path) -> list[str]:
    """What Inferno printed, but for what its shell says of a process that was killed: rc says nothing."""
    lines = comparable((HERE / "cases-inferno" / f"{case.stem}.out").read_text())
    return without_ports([line for line in lines if not re.fullmatch(r'sh: \d+ "\w+":killed', line)])


def expected(case: Path) -> list[str]:
    """What nsh prints where it differs; USER is whoever runs the tests."""
    return case.with_suffix(".out").read_text().replace("USER", getpass.getuser()).splitlines()


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
async def test_a_script_prints_what_it_printed_on_inferno_or_what_is_right(
    case: Path, tmp_path: Path
) -> None:
    script = on_free_ports(case)
    got = without_ports(comparable(await run(script, tmp_path)))
    if case.stem not in DIFFERENT:
        assert got == recorded(case)
        return
    assert got == expected(case)
    assert got != recorded(case), f"{case.stem} need not be excused any more"


def test_every_recorded_script_of_these_groups_is_here() -> None:
    names = {path.stem for path in (HERE / "cases-inferno").glob("*.rc") if path.stem.split("-")[1] in GROUPS}
    assert names <= {case.stem for case in CASES}
    assert set(DIFFERENT) == {path.stem for path in OURS.glob("*.out")}
