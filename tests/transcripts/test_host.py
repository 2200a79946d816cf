"""``nsh replay --host``: $ lines in a real bash, on a real FUSE mount, and nothing of it left at the end."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from nsh.replay.linux import find_plan9port
from tests.ordinary import environment, ordinary, python
from tests.transcripts.test_replay import SEED, Place, empty

pytestmark = pytest.mark.requires("fusermount3", "FUSE in a name space")

THEIRS = find_plan9port()

WORLD = """# host h at tcp!1.2.3.4!6666
; styxlisten -A tcp!*!5555 export /task
; mount -A tcp!1.2.3.4!6666 /remote/h
$ 9pfuse localhost:5555 m
"""


def mounts() -> list[str]:
    with open("/proc/self/mounts") as file:
        return [line for line in file if "nsh-replay" in line]


@pytest.fixture
def place(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A place where plan9port's 9pfuse is not the first one on the PATH."""
    place = Place(tmp_path)
    (place.path / "bin").mkdir()
    (place.path / "bin" / "9pfuse").write_text("#!/bin/false\n")
    (place.path / "bin" / "9pfuse").chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join([str(place.path / "bin"), os.environ["PATH"]]))
    yield place
    assert (place.processes(), mounts()) == ([], [])
    assert empty(place.scratch)


def shown(report: list[str], command: str) -> str:
    """The verdict on a command."""
    line = next(line for line in report if line.endswith(command))
    return line.split()[1]


@pytest.mark.limit(60)
def test_the_seed_runs_as_it_was_recorded(place: Place) -> None:
    status, report, err = place.replay("--host", SEED)
    assert (status, err) == (0, "")
    assert report[-1] == "27 commands, 0 differ"


@pytest.mark.limit(60)
def test_the_seed_runs_with_the_9pfuse_of_plan9port(place: Place) -> None:
    if not THEIRS:
        pytest.skip("needs plan9port's 9pfuse, which this machine lacks")
    (place.path / "bin" / "9pfuse").unlink()
    (place.path / "bin" / "9pfuse").symlink_to(THEIRS)
    assert place.replay("--host", SEED)[1][-1] == "27 commands, 0 differ"
    text = WORLD + "$ df --output=fstype m | tail -1\nfuse\n"
    assert place.replay("--host", place.write(text))[0] == 0


@pytest.mark.limit(60)
@pytest.mark.requires("an ordinary user")
def test_the_seed_runs_for_an_ordinary_user(tmp_path: pathlib.Path) -> None:
    argv = ordinary(python(), "-m", "nsh", "replay", "--host", str(SEED))
    done = subprocess.run(argv, env=environment(), cwd="/", capture_output=True, text=True)
    assert (done.stdout.splitlines()[-1:], done.stderr) == (["27 commands, 0 differ"], "")


def test_the_shell_is_bash_and_the_mount_is_one_of_linux(place: Place) -> None:
    text = (
        WORLD
        + """$ x=(a b c); echo ${x[1]} $((6 * 7))
b 42
$ df --output=fstype m | tail -1
fuse.9pfuse
$ cat m/remote/clone
0
$ ls m/remote
0
arch
clone
env
fs
ns
status
$ echo no > m/remote/arch/x 2>&1 | cat
...
$ cd nowhere
bash: cd: nowhere: No such file or directory
"""
    )
    status, report, err = place.replay("--host", place.write(text))
    assert (status, err) == (0, ""), "\n".join(report)


def test_a_difference_ends_it_with_nothing_mounted(place: Place) -> None:
    status, report, _ = place.replay("--host", place.write(WORLD + "$ cd m/remote\n$ cat clone\n1\n$ pwd\n"))
    assert status == 1
    assert report[-1] == "5 commands, 1 differ"


def test_a_read_that_blocks_is_interrupted_and_the_session_goes_on(place: Place) -> None:
    text = WORLD + "$ cat m/remote/clone\n0\n$ cat m/remote/0/wait\n$ echo still here\nstill here\n"
    status, report, _ = place.replay("--host", "-k", "--timeout", "2", place.write(text))
    assert (status, report[-1]) == (1, "6 commands, 1 differ"), report
    assert "timed out after 2 s" in "\n".join(report)
    assert shown(report, "$ echo still here") == "ok"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.limit(40)
def test_a_signal_leaves_nothing_mounted(place: Place, number: signal.Signals) -> None:
    text = WORLD + "$ cat m/remote/clone\n0\n$ cd m/remote/0; touch ~/ready; cat wait\n"
    process = place.start("--host", place.write(text))
    place.wait_for("ready")
    assert mounts()
    process.send_signal(number)
    process.communicate()
    assert process.returncode == (128 + number if number != signal.SIGKILL else -number)
    end = time.monotonic() + 15
    while (mounts() or place.processes() or not empty(place.scratch)) and time.monotonic() < end:
        time.sleep(0.05)


def test_a_dead_server_leaves_nothing_mounted(place: Place) -> None:
    text = WORLD + "; kill -9 $pid\n$ ls m\n"
    status, report, _ = place.replay("--host", "-k", place.write(text))
    assert status == 1
    assert any("the shell has ended" in line for line in report)
