"""``nsh replay``: real worlds of processes, run as a user runs them, and what is left of them."""

from __future__ import annotations

import os
import pathlib
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

import pytest

from tests.conftest import available

TOP = pathlib.Path(__file__).parents[2]
SEED = TOP / "scripts" / "many-to-many.transcript"

HOST_NAMES = "a host name of its own"
REFUSED = "the kernel refuses a UTS name space: this machine's own name stands for those of the hosts"
"""What a replay says first where a host cannot have a name of its own."""


class Place:
    """A directory with transcripts, where replays run; their scratch directories are made in `scratch`."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path, self.scratch = path, path / "scratch"
        self.scratch.mkdir()

    def write(self, text: str) -> pathlib.Path:
        file = self.path / "x.transcript"
        file.write_text(text)
        return file

    def start(self, *argv: str | pathlib.Path, under: Sequence[str] = ()) -> subprocess.Popen[str]:
        return self._python("-m", "nsh", "replay", *argv, under=under)

    def _python(self, *argv: str | pathlib.Path, under: Sequence[str] = ()) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*under, sys.executable, *argv],
            cwd=self.path,
            env={**os.environ, "TMPDIR": str(self.scratch), "PYTHONPATH": str(TOP)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def replay(self, *argv: str | pathlib.Path, under: Sequence[str] = ()) -> tuple[int, list[str], str]:
        """Run a replay, by the command ``under``: its status, the lines of its report, its errors."""
        return self._result(self.start(*argv, under=under))

    def run(self, *argv: str) -> tuple[int, list[str], str]:
        """Run Python with these arguments, where a replay would: as `replay` says."""
        return self._result(self._python(*argv))

    @staticmethod
    def _result(process: subprocess.Popen[str]) -> tuple[int, list[str], str]:
        out, err = process.communicate()
        return process.returncode, out.splitlines(), err

    def processes(self) -> list[int]:
        """The processes of all worlds that have their scratch directory here."""
        found, mark = [], f"NSH_NDB={self.scratch}".encode()
        for environ in pathlib.Path("/proc").glob("[0-9]*/environ"):
            try:
                if mark in environ.read_bytes():
                    found.append(int(environ.parent.name))
            except OSError:
                continue
        return found

    def wait_for(self, file: str) -> None:
        """Wait until a command of a running session has made ``file`` in its home."""
        while not list(self.scratch.glob(f"*/home/{file}")):
            time.sleep(0.02)


@pytest.fixture
def place(tmp_path: pathlib.Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    assert place.processes() == []


def empty(directory: pathlib.Path) -> bool:
    return not list(directory.iterdir())


# --- the session of the seed -------------------------------------------------------------------


@pytest.mark.limit(60)
def test_the_seed_runs_as_it_was_recorded_and_leaves_nothing(place: Place) -> None:
    status, report, err = place.replay(SEED)
    assert (status, err) == (0, "")
    if not available(HOST_NAMES):
        assert report.pop(0).strip() == REFUSED
    verdicts = [line.split()[1] for line in report[:-1]]
    assert verdicts.count("ok") == len(report) - 2, "\n".join(report)  # one sentence, and the count
    assert report[-1] == f"{len(report) - 2} commands, 0 differ"
    assert empty(place.scratch)


@pytest.mark.limit(60)
@pytest.mark.requires("a user name space")
def test_where_the_kernel_refuses_host_names_it_says_so_and_compares_with_the_real_one(place: Place) -> None:
    refuse = 'echo 0 >/proc/sys/user/max_uts_namespaces && exec "$@"'
    status, report, err = place.replay(SEED, under=["unshare", "--map-root-user", "sh", "-c", refuse, "sh"])
    assert (status, err) == (0, ""), "\n".join(report)
    assert report[0].strip() == REFUSED
    assert report[-1].endswith(" commands, 0 differ")


@pytest.mark.limit(60)
@pytest.mark.requires(HOST_NAMES)
def test_each_changed_line_of_the_seed_is_shown_with_its_number(place: Place) -> None:
    lines = SEED.read_text().splitlines()
    changed = {
        lines.index("0"): "00",
        lines.index("6 directories, 11 files"): "6 directories, 12 files",
        lines.index("-r--r--r-- 1 pravin pravin 0 2010-01-14 17:12 wait"): (
            "-r--r--r-- 1 pravin pravin 0 2010-01-14 17:13 wait"
        ),
        lines.index("BlackPearl"): "inferno-test",
        lines.index("10 directories, 51 files"): "",
        lines.index("| | |-- args"): "| | |-- arg",
    }
    for number, text in changed.items():
        lines[number] = text
    status, report, _ = place.replay("-k", place.write("\n".join(lines)))
    assert status == 1
    shown = {int(line.split()[0]) - 1 for line in report if re.match(r"\s+\d+ - ", line)}
    assert shown == {number for number, text in changed.items() if text}
    assert report[-1].endswith(" commands, 5 differ")


@pytest.mark.limit(120)
@pytest.mark.requires(HOST_NAMES)
def test_the_seed_with_seven_resources_is_recorded_anew_and_replays(place: Place) -> None:
    file = place.write(SEED.read_text().replace("$ echo res 4 > ctl", "$ echo res 7 > ctl"))
    status, report, _ = place.replay("--update", file)
    assert status == 0, "\n".join(report)
    text = file.read_text()
    pearl, test = "BlackPearl", "inferno-test"
    assert "\n".join(["$ cat stdio", pearl, test, test, pearl, test, test, pearl, "$ cat stderr"]) in text
    before, after = SEED.read_text().split("$ echo res 4 > ctl\n")
    assert text.startswith(before + "$ echo res 7 > ctl\n")
    listing = after[after.index("$ cd 3\n") : after.index("$ cd ..\n")]
    assert listing.partition("$ cat status")[0] in text  # 2010-01-14 still stands for any day
    assert place.replay(file)[0] == 0


# --- verdicts and options ----------------------------------------------------------------------


def test_it_stops_at_the_first_difference_and_goes_on_with_k(place: Place) -> None:
    file = place.write("$ echo a\nb\n\n; echo c\nc\n; echo d\n")
    first = ["    1 differs  $ echo a", "                   2 - b", "                     + a"]
    status, report, _ = place.replay(file)
    assert (status, report) == (1, [*first, "1 commands, 1 differ"])
    status, report, _ = place.replay("-k", file)
    rest = ["    4 ok       ; echo c", "    6 differs  ; echo d", "                     + d"]
    assert (status, report) == (1, [*first, *rest, "3 commands, 2 differ"])


def test_with_v_the_output_is_shown_as_it_comes(place: Place) -> None:
    file = place.write("$ echo a; sleep 60\na\n")
    process = place.start("-v", file)
    assert process.stdout and process.stderr
    shown = [process.stdout.readline() for _ in range(2)]
    assert shown == ["    1          $ echo a; sleep 60\n", "               a\n"]
    process.terminate()
    assert process.stderr.read() == "nsh replay: ended by SIGTERM\n"
    process.stdout.close()
    process.stderr.close()
    assert process.wait() == 128 + signal.SIGTERM
    assert empty(place.scratch)


def test_a_command_that_hangs_is_named_and_interrupted(place: Place) -> None:
    file = place.write("$ echo a; sleep 60\n$ echo b\nb\n; sleep 60\n; echo c\nc\n")
    status, report, _ = place.replay("-k", "--timeout", "0.3", file)
    assert status == 1
    assert report == [
        "    1 differs  $ echo a; sleep 60",
        "                     + a",
        "               timed out after 0.3 s",
        "    2 ok       $ echo b",
        "    4 differs  ; sleep 60",
        "               timed out after 0.3 s",
        "    5 ok       ; echo c",
        "4 commands, 2 differ",
    ]


def test_a_shell_that_ends_is_a_difference(place: Place) -> None:
    status, report, _ = place.replay("-k", place.write("$ eval exit 3\n; echo a\na\n$ echo b\nb\n"))
    assert status == 1
    assert report == [
        "    1 differs  $ eval exit 3",
        "               the shell has ended (exit status 3)",
        "    2 ok       ; echo a",
        "    4 differs  $ echo b",
        "                   5 - b",
        "               the shell has ended (exit status 3)",
        "3 commands, 2 differ",
    ]


def test_a_shell_may_be_left_with_exit(place: Place) -> None:
    status, report, _ = place.replay("-k", place.write("; exit\n$ exit 1\n; echo\n"))
    assert (status, report[-1]) == (1, "3 commands, 1 differ")
    assert report[:2] == ["    1 ok       ; exit", "    2 ok       $ exit 1"]


def test_output_behind_a_prompt_at_which_nothing_was_typed_is_a_difference(place: Place) -> None:
    file = place.write("$ echo a\na\n$\n; \nzzz\n$ \n...\n$")
    status, report, _ = place.replay("-k", file)
    assert status == 1
    assert report == [
        "    1 ok       $ echo a",
        "    4 differs  ;",
        "                   5 - zzz",
        "    6 ok       $",
        "3 commands, 1 differ",
    ]
    assert place.replay("--update", file)[0] == 0
    assert file.read_text() == "$ echo a\na\n$\n; \n$ \n...\n$"


def test_update_rewrites_what_differs_and_nothing_else(place: Place) -> None:
    text = (
        "# where MINE is $home\n# comment\n; echo  a\na   \n; echo b c\n\nb\n# here\n$ pwd\n/x\n$ echo '; d'"
    )
    file = place.write(text)
    file.chmod(0o640)
    status, report, _ = place.replay("--update", file)
    assert status == 0
    assert report[-2:] == [f"               3 outputs recorded anew in {file}", "4 commands, 0 differ"]
    assert file.read_text() == text.replace("\nb\n", "\nb c\n").replace("/x", "MINE") + "\n ; d"
    assert file.stat().st_mode & 0o777 == 0o640
    assert place.replay(file)[0] == 0


# --- the world ---------------------------------------------------------------------------------


def test_dial_strings_reach_the_hosts_and_no_other_address(place: Place) -> None:
    file = place.write(
        "# host far at tcp!192.0.2.1!6666 hostname far-away root /far\n"
        "mount -A tcp!192.0.2.1!6666 /remote/far\n"
        "; ls /remote/far/remote\n...\n/remote/far/remote/clone\n...\n"
        "; mount -A tcp!192.0.2.2!6666 /n/x\n"
    )
    status, report, _ = place.replay("-k", file)
    assert status == 1
    assert report[-1] == "3 commands, 1 differ"
    assert re.fullmatch(r" +\+ mount: .*tcp!192\.0\.2\.2!6666.*", report[-2])


def test_a_host_that_cannot_be_what_its_line_says_is_an_error_of_the_file(place: Place) -> None:
    status, report, err = place.replay(place.write("\n# host a at nowhere!1!2\n; echo\n"))
    assert (status, report) == (2, [])
    assert re.fullmatch(r"nsh replay: .*/x\.transcript:2: host a: styxlisten: .*nowhere.*\n", err)
    assert empty(place.scratch)


def test_the_linux_shell_sees_the_machines_files_and_our_commands_only(place: Place) -> None:
    file = place.write(
        "# where HOME is $home\n"
        "$ ls -d /task /remote /n\n"
        "ls: /task: '/task' file does not exist\n"
        "ls: /remote: '/remote' file does not exist\n"
        "ls: /n: '/n' file does not exist\n"
        "$ pwd\nHOME\n$ echo x > HOME/f\n$ cat $home/f\nx\n; cat f\nx\n"
    )
    status, report, _ = place.replay(file)
    assert status == 0, "\n".join(report)


def test_a_host_that_dies_is_not_a_hang_and_is_reported(place: Place) -> None:
    kill = "cd /proc; for p in [0-9]*; do grep -qsz ^HOME=SCRATCH/host-a $p/environ && kill -9 $p; done; true"
    file = place.write(
        "# host a at tcp!192.0.2.1!1\n# host b at tcp!192.0.2.1!2\n# where SCRATCH is $scratch\n"
        "mount -A tcp!192.0.2.1!1 /remote/a\nmount -A tcp!192.0.2.1!2 /remote/b\n"
        f"; sh -c '{kill}'\n; cat /remote/a/remote/clone\n; cat /remote/b/remote/clone; echo\n0\n"
    )
    status, report, _ = place.replay("-k", "--timeout", "10", file)
    assert status == 1
    assert report[-1] == "5 commands, 1 differ", "\n".join(report)
    assert "               host a has ended (killed by SIGKILL)" in report


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_world_in_order(place: Place, number: signal.Signals) -> None:
    process = place.start(place.write("; sleep 100 &\n$ sh -c 'sleep 100 & touch started; sleep 100'\n"))
    place.wait_for("started")
    process.send_signal(number)
    _, err = process.communicate()
    assert (process.returncode, err) == (128 + number, f"nsh replay: ended by {number.name}\n")
    assert place.processes() == []
    assert empty(place.scratch)


def test_nothing_is_left_when_the_replay_is_killed(place: Place) -> None:
    process = place.start(place.write("# host a at tcp!192.0.2.1!1\n$ touch started; sleep 100\n"))
    place.wait_for("started")
    process.kill()
    process.communicate()
    while place.processes() or not empty(place.scratch):
        time.sleep(0.05)


HOOKED = """
import os, signal, sys
from nsh.replay import main
starts = iter(range(1000))
def interrupt():
    if next(starts) == {start}:
        os.kill(os.getpid(), signal.SIGINT)
os.register_at_fork({when}=interrupt)
sys.exit(main(["x.transcript"]))
"""
"""A replay that is interrupted within a fork, where Python has nobody to give an exception to."""


@pytest.mark.parametrize("when", ["before", "after_in_parent"])
@pytest.mark.parametrize("start", [0, 1, 3])
def test_a_signal_is_not_lost_while_a_shell_is_started(place: Place, when: str, start: int) -> None:
    place.write("# host a at tcp!192.0.2.1!1\n$ sleep 100\n")
    status, report, err = place.run("-c", HOOKED.format(start=start, when=when))
    assert (status, report, err) == (128 + signal.SIGINT, [], "nsh replay: ended by SIGINT\n")
    assert empty(place.scratch)


EARLY = """
import os, signal, sys
from importlib.abc import MetaPathFinder
from nsh.replay import main
class Interrupt(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupt())
sys.exit(main(["x.transcript"]))
"""


@pytest.mark.parametrize("module", ["nsh.replay.signals", "nsh.replay.run", "lark", "nsh.rc.parse"])
def test_a_signal_while_it_is_loaded_is_told_in_one_line(place: Place, module: str) -> None:
    place.write("; echo\n")
    status, report, err = place.run("-c", EARLY.format(module=module))
    assert (status, report, err) == (128 + signal.SIGINT, [], "nsh replay: ended by SIGINT\n")


def test_what_commands_leave_running_is_gone_at_the_end(place: Place) -> None:
    status, report, _ = place.replay(
        place.write("$ setsid sh -c 'trap '''' 1 2 15; sleep 100' >/dev/null &\n$ echo\n")
    )
    assert status == 0, "\n".join(report)
    assert place.processes() == []


# --- files that cannot be used -----------------------------------------------------------------


def test_a_file_that_cannot_be_used_is_named_with_the_reason(place: Place) -> None:
    assert place.replay("missing") == (2, [], "nsh replay: missing: No such file or directory\n")
    place.write("# host a\n; echo\n")
    what = "a host line reads: # host NAME at DIALSTRING [hostname H] [root DIR] [over NAME,...]"
    assert place.replay("x.transcript") == (2, [], f"nsh replay: x.transcript:1: {what}\n")


@pytest.mark.parametrize(
    "argv", [[], ["--timeout", "0", "x"], ["--timeout", "soon", "x"], ["-z", "x"], ["x", "y"]]
)
def test_bad_arguments_are_status_2_with_the_usage(place: Place, argv: list[str]) -> None:
    status, report, err = place.replay(*argv)
    assert (status, report) == (2, [])
    assert err.startswith("usage: nsh replay [-h] [-k] [-v] [--host] [--update] [--timeout S] FILE\n")


@pytest.mark.parametrize("limit", ["0", "-1", "inf", "nan", "soon"])
def test_a_time_limit_that_is_none_is_told_what_it_has_to_be(place: Place, limit: str) -> None:
    status, _, err = place.replay(f"--timeout={limit}", "x")
    why = f"argument --timeout: not a number of seconds above 0: {limit}"
    assert (status, err.splitlines()[1:]) == (2, [f"nsh replay: error: {why}"])
