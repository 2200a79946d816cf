"""The benches run, on a small scale, and their tables say what was found. What they find is not tested."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import __main__ as program
from tests.bench import fuse, namespace, ninep, prompt, shell, taskfs
from tests.bench.table import Row, Target, heading, line, side_by_side


def test_the_name_space_is_measured_beside_a_smaller_one() -> None:
    rows = list(namespace.bench(few=1, many=3, directories=10, files=2))
    assert [row.what.split(",")[0] for row in rows] == [
        "resolve a name",
        "fork a name space",
        "the first bind after a fork",
        "list a union of 10 x 2 files",
    ]
    assert all(row.figure > 0 and row.base > 0 for row in rows)


@pytest.mark.requires("cc")
def test_9p_is_measured_beside_ready_answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = list(ninep.bench(seconds=0.02, rounds=1, entries=20, size=1 << 20))
    rows = {(row.what, row.yardstick): row for row in found if isinstance(row, Row)}
    for load in ninep.LOADS:
        what = load.what.format(entries=20)
        assert rows[f"{what}: memfs", "canned"].figure > 0
        assert rows[f"{what}: 50 binds", "memfs"].figure > 0
    assert rows["client: read of a file of 1 MiB", "asyncio copy"].figure > 0


@pytest.mark.requires("/dev/fuse", "fusermount3")
def test_a_mount_is_measured() -> None:
    rows = [row for row in fuse.bench(seconds=0.02, rounds=1) if isinstance(row, Row)]
    for what, _, _ in fuse.LOADS:
        assert next(row for row in rows if row.what == f"{what}: memfs").figure > 0


def test_taskfs_is_measured_beside_asyncio() -> None:
    found = taskfs.bench(
        numbers=(2,), rounds=1, tree=(1, 2), large=1 << 20, broadcast=1 << 18, sessions=20, lines=500
    )
    rows = {(row.what, row.yardstick): row for row in found if isinstance(row, Row)}
    for where in ("here", "3 hosts", "2 hosts in a tree"):
        assert rows[f"2 tasks, {where}", "asyncio"].figure > 0
    assert rows["100 MB through cat, over 9P", "asyncio"].figure > 0
    for where in ("here", "3 hosts"):
        assert rows[f"500 lines to 3 tasks, {where}", "asyncio"].figure > 0
    for how in ("cold", "warm"):
        assert rows[f"on -n 4 hostname, {how}", "xargs, cold"].figure > 0
    assert ("an idle session", "promised") in rows  # memory that is there already is used first


@pytest.mark.requires("a terminal")
def test_a_prompt_is_measured() -> None:
    rows = list(prompt.bench(commands=10, rounds=1))
    assert [row.what for row in rows] == ["a prompt", "a prompt, 10 commands in the history"]
    assert all(row.figure > 0 and row.base > 0 for row in rows)


@pytest.mark.requires("a terminal")
def test_a_shell_is_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    xonsh = tmp_path / "xonsh"
    xonsh.write_text("#!/bin/sh\n")
    xonsh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    rows = [row for row in shell.bench(10, lines=100, turns=10, rounds=1) if isinstance(row, Row)]
    assert [(row.what, row.yardstick) for row in rows] == [
        ("nsh -c true", "python3 -c pass"),
        ("nsh -c true", "xonsh --no-rc"),
        ("a prompt", "import prompt_toolkit"),
        ("a prompt, 10 commands in the history", "import prompt_toolkit"),
        ("rc, parsed", "ast.parse, of Python"),
        *((f"10 turns of {what}", "a tree walk") for what in shell.LOOPS),
    ]
    assert all(row.figure > 0 and row.base > 0 for row in rows)


@pytest.mark.requires("a terminal")
def test_a_shell_is_measured_without_xonsh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "true").symlink_to("/bin/true")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "not here: xonsh" in list(shell.bench(1, lines=1, turns=1, rounds=1))


def test_without_a_c_compiler_the_load_cannot_be_made(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match="there is no cc"):
        next(ninep.bench())


@pytest.mark.parametrize(
    ("target", "met", "text"),
    [
        (Target("ratio", most=1.2), True, "<= 1.2 x  ok"),
        (Target("ratio", most=1.0), False, "<= 1 x  MISSED"),
        (Target("ratio", least=0.5), True, ">= 0.5 x  ok"),
        (Target("figure", most=1e-3), False, "<= 1.00 ms  MISSED"),
        (Target("figure", least=1e-3), True, ">= 1.00 ms  ok"),
        (None, True, ""),
    ],
)
def test_a_line_says_whether_the_target_was_met(target: Target | None, met: bool, text: str) -> None:
    row = Row("walk", 0.011, "echo", 0.010, "ms", target)
    assert row.met is met
    words = line(row).split()
    assert words[:6] == ["walk", "11.00", "ms", "echo", "10.00", "ms"]
    assert words[6:8] == ["1.10", "x"]
    assert line(row).endswith(text)


def test_the_heading_names_the_machine_and_the_day() -> None:
    assert "CPython" in heading() and " cores, " in heading()


async def test_works_take_turns_and_the_best_round_counts() -> None:
    ticks = iter([0, 6, 6, 8, 8, 12, 12, 16])
    turns: list[str] = []

    async def one() -> None:
        turns.append("one")

    async def other() -> None:
        turns.append("other")

    best = await side_by_side([one, other], [2, 1], rounds=2, clock=lambda: next(ticks))
    assert turns == ["one", "one", "other"] * 2
    assert best == [2, 2]


def test_a_missed_target_is_the_exit_status(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Row("walk", 2.0, "echo", 1.0, "us", Target("ratio", most=1.5))
    monkeypatch.setattr(namespace, "bench", lambda: [row])
    assert program.main(["namespace"]) == 1
    monkeypatch.setattr(namespace, "bench", lambda: [row._replace(figure=1.0)])
    assert program.main(["namespace"]) == 0


def test_a_bench_that_is_not_there_is_named_with_those_that_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["nonsense"]) == program.main([]) == 2
    assert "usage: scripts/bench 9p|fuse|namespace|prompt|shell|taskfs" in capsys.readouterr().err
