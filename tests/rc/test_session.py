"""nsh as a program: how it is called, where commands come from, what its exit code says, what it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
NSH = [sys.executable, "-m", "nsh"]


@pytest.fixture(autouse=True)
def found(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have this source tree found from everywhere."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    yield


def nsh(*args: str, text: str = "", cwd: Path | None = None) -> tuple[str, str, int]:
    done = subprocess.run([*NSH, *args], input=text, text=True, capture_output=True, cwd=cwd)
    return done.stdout, done.stderr, done.returncode


def test_a_command_text_and_its_arguments() -> None:
    assert nsh("-c", "echo $* $0; exit 3", "a", "b c") == ("a b c nsh\n", "", 3)
    assert nsh("-xc", "x=1 echo $x '*'") == ("1 *\n", "echo 1 '*'\n", 0)


def test_s_tells_the_status_of_each_command_that_fails() -> None:
    text = "false\nfalse; ~ a b\ntrue\nif(@{exit 3}) echo\n"
    assert nsh("-sc", text) == ("", "status=1\nstatus='no match'\nstatus=3\n", 3)
    assert nsh("-si", text="prompt=('' '')\n~ a b\n")[1] == "% status='no match'\n"


def test_timings_tell_where_a_start_spends_its_time_and_each_command() -> None:
    text = "sleep 0.2\nfn f {echo f}; f >[2]/dev/null\neval true\nexit 3"
    out, err, code = nsh("--timings", "-c", text)
    assert (out, code) == ("f\n", 3)
    start, commands = err.split("       ms   CPU, ms  command\n")
    assert [line.split(maxsplit=1)[1] for line in start.splitlines()[1:]] == [
        "Python",
        "asyncio",
        "the modules of the shell",
        "the name space",
        "until the first command",
        "in all",
    ]
    times = [float(line.split()[0]) for line in start.splitlines()[1:]]
    assert min(times) >= 0 and sum(times[:-1]) == pytest.approx(times[-1], abs=0.5)
    rows = [line.split(maxsplit=3) for line in commands.splitlines()]
    assert [row[2:] for row in rows] == [
        ["-c:1:", "sleep 0.2"],
        ["-c:2:", "fn f {echo f};>[2]/dev/null f"],
        ["-c:3:", "eval true"],
        ["-c:4:", "exit 3"],
    ]
    assert float(rows[0][0]) >= 200 > float(rows[0][1])


def test_a_script_and_its_arguments(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("echo $0 $*\ncd\nexit")
    assert nsh("s", "a", cwd=tmp_path) == ("s a\n", "", 0)
    out, err, code = nsh("./none", cwd=tmp_path)
    assert (out, code) == ("", 1)
    assert re.fullmatch("nsh: cannot open .*'./none' file does not exist\n", err)


def test_standard_input_is_run_line_by_line_and_shared_with_commands() -> None:
    assert nsh(text="echo one\nsh -c 'read x; echo $x'\ntwo\necho three\n") == ("one\ntwo\nthree\n", "", 0)
    assert nsh(text="echo one\necho )\necho not reached\n")[0] == "one\n"


def test_standard_input_from_a_file_is_shared_with_commands(tmp_path: Path) -> None:
    (tmp_path / "script").write_text("echo one\ncat\nthe rest\n")
    with open(tmp_path / "script") as file:
        assert subprocess.run(NSH, stdin=file, capture_output=True).stdout == b"one\nthe rest\n"


def test_interactive_on_a_pipe_prompts_on_standard_error_and_goes_on_after_errors() -> None:
    text = "prompt=('' '')\necho (\nfn f {\necho $*\n}\nf a^()\necho (1 2)^(1 2 3)\nf $status\nexit 4\n"
    out, err, code = nsh("-i", text=text)
    assert (out, code) == ("error\n", 4)
    assert err.startswith("% nsh: stdin:1:7: ")
    assert err.endswith("nsh: null list in concatenation\nnsh: mismatched list lengths in concatenation\n")


def test_wrong_calls_are_told_in_one_line_and_the_usage() -> None:
    assert nsh("-q")[1].startswith("nsh: unknown flag -q\nusage: nsh ")
    assert nsh("-c")[1].startswith("nsh: -c needs a command\nusage: nsh ")
    assert nsh("--nonsense")[1].startswith("nsh: unknown option --nonsense\nusage: nsh ")
    assert nsh("--record")[1].startswith("nsh: --record needs a file\nusage: nsh ")
    assert nsh("--version")[0].startswith("nsh 0.")


def test_sigexit_runs_at_the_end_but_not_after_exec() -> None:
    assert nsh("-c", "fn sigexit { echo bye $status }; exit x") == ("bye x\n", "", 1)
    assert nsh("-c", "fn sigexit { echo bye }; exec echo done; echo no")[0] == "done\n"


def test_sigexit_and_the_functions_of_signals_find_the_arguments() -> None:
    assert nsh("-c", "fn sigexit { echo bye $* }; shift; echo on", "a", "b")[0] == "on\nbye b\n"
    assert nsh("-c", "fn f { fn sigexit { echo bye $* }; exit 3 }; f x y", "a") == ("bye x y\n", "", 3)
    assert nsh("-ec", "fn sigexit { echo bye $status $* }; false", "a") == ("bye 1 a\n", "", 1)
    assert nsh("-c", "fn sighup { echo hup $* }; kill -HUP $pid; true", "a")[0] == "hup a\n"


def test_output_that_nobody_reads_ends_the_script() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as closed:
        done = subprocess.run([*NSH, "-c", "cat /etc/passwd"], stdout=closed, stderr=subprocess.PIPE)
    assert done.stderr == b""


def test_descriptors_that_are_closed_are_missed_and_not_fatal() -> None:
    command = 'exec "$0" -m nsh -c "echo lost; cat; exit 5" <&- >&- 2>&-'
    assert subprocess.run(["/bin/sh", "-c", command, sys.executable]).returncode == 5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_script_and_what_it_runs(number: signal.Signals) -> None:
    text = "echo ready; sh -c 'echo $$; exec sleep 1000'; echo not reached"
    with subprocess.Popen([*NSH, "-c", text], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        child = int(process.stdout.readline())
        process.send_signal(number)
        assert process.stdout.read() == ""
    assert process.returncode == 128 + number
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


@pytest.mark.parametrize("how", ["echo kill >/prog/$pid/ctl", "echo killgrp >/prog/$pid/ctl", "kill $pid"])
def test_a_shell_that_is_killed_has_failed(how: str) -> None:
    assert nsh("-c", f"{how}; echo not reached") == ("", "", 1)


def test_an_interrupt_that_comes_before_the_shell_is_there_ends_it_without_a_word() -> None:
    code = """
import os, signal
from nsh import __main__, aio
aio.start = lambda: os.kill(os.getpid(), signal.SIGINT)
__main__.main(["-c", "echo not reached"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


def test_a_signal_runs_its_function_and_the_script_goes_on() -> None:
    text = "fn sighup { echo hup }; fn sigint {}; kill -HUP $pid; true; kill -INT $pid; true; echo end"
    assert nsh("-c", text) == ("hup\nend\n", "", 0)


def test_host_programs_in_the_background_go_on(tmp_path: Path) -> None:
    background = "sh -c 'echo $$ >pid; exec sleep 1000' >/dev/null >[2=1] &"
    out, err, code = nsh("-c", f"mkfifo pid; {background} cat pid", cwd=tmp_path)
    assert (err, code) == ("", 0)
    os.kill(int(out), signal.SIGKILL)


@pytest.mark.parametrize("later", ["{sleep 0.3; echo b}", "fn f {env sleep 0.3; echo b}; f", "{cat; echo b}"])
def test_a_script_ends_when_its_other_commands_in_the_background_have(later: str) -> None:
    assert nsh("-c", f"fn sigexit {{ echo a }}; {later} & exit 3") == ("a\nb\n", "", 3)


def test_the_environment_comes_in_and_functions_do_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("list", "a\1b c")
    monkeypatch.setenv("fn#f", "{echo f $*}")
    assert nsh("-c", "echo $#list $list; f x") == ("2 a b c\nf x\n", "", 0)
    assert nsh("-c", "fn g { echo g $* }; x=(1 2); $python -m nsh -c 'g $#x $x'".replace("$python", NSH[0]))[
        0
    ] == ("g 2 1 2\n")


def test_the_number_of_the_shell_is_that_of_the_program_and_of_its_process() -> None:
    text = "fn sighup { echo hup }; kill -HUP $pid; true; cat /prog/$pid/status; echo; kill $pid; echo no"
    process = subprocess.Popen([*NSH, "-c", text], stdout=subprocess.PIPE, text=True)
    out, _ = process.communicate()
    assert out.startswith("hup\n") and out.split()[1:3] == [str(process.pid)] * 2
    assert "no" not in out.splitlines()


def test_a_directory_is_no_script(tmp_path: Path) -> None:
    assert nsh(str(tmp_path)) == ("", f"nsh: cannot open {tmp_path}: file is a directory\n", 1)
    assert nsh("-c", f". {tmp_path}")[1] == f"nsh: -c:1: . cannot open {tmp_path}: file is a directory\n"


def test_a_standard_output_that_was_closed_is_not_open() -> None:
    for command, who in (("echo x", "echo: write error"), ("ls /", "ls")):
        script = f'exec {sys.executable} -m nsh -c "{command}" >&-'
        done = subprocess.run(["sh", "-c", script], capture_output=True, text=True)
        assert done.stderr == f"{who}: fd out of range or not open\n"


def test_a_command_is_no_script() -> None:
    assert nsh("ls", "/") == ("", "nsh: ls is a command, not a script: nsh -c 'ls ...'\n", 1)


@pytest.mark.parametrize(("megabytes", "out"), [(1, ""), (8, "1500\n"), (16, "1500\n3000\n")])
def test_functions_call_each_other_as_deeply_as_the_stack_has_room(megabytes: int, out: str) -> None:
    script = "fn f { n=($n x); if(~ $#n 1500 3000) echo $#n; f }; f"
    begin = (
        "import os, resource, sys; size, *words = sys.argv[1:];"
        "_, most = resource.getrlimit(resource.RLIMIT_STACK);"
        "resource.setrlimit(resource.RLIMIT_STACK, (int(size), most)); os.execv(words[0], words)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", begin, str(megabytes << 20), *NSH, "-c", script],
        capture_output=True,
        text=True,
    )
    assert (ended.stderr, ended.returncode) == ("nsh: -c:1: too many commands inside each other\n", 1)
    assert ended.stdout.startswith(out)
