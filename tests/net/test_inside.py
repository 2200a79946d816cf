"""os -n and nsh -N: programs of the host, run by the kernel in the name space of a shell."""

from __future__ import annotations

import os
import pathlib
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tests.ordinary import environment, ordinary, python
from tests.rc.shell import Result, rc

pytestmark = pytest.mark.requires("FUSE in a name space")


@pytest.fixture(autouse=True)
def leaves_nothing_mounted() -> Iterator[None]:
    yield
    with open("/proc/self/mounts") as file:
        assert "fuse.nsh" not in file.read()


# --- what a program sees -----------------------------------------------------------------------


async def test_what_is_mounted_is_read_and_written() -> None:
    text = (
        "memfs /n/m; os -n sh -c 'echo x >/n/m/f; mkdir /n/m/d'; cat /n/m/f; os -n cat /n/m/f; os -n ls /n/m"
    )
    assert await rc(text) == Result("x\nx\nd\nf\n", "", "")


async def test_what_is_bound_over_a_directory_of_the_host_hides_it(tmp_path: pathlib.Path) -> None:
    (tmp_path / "hidden").touch()
    text = f"memfs /n/m; echo seen >/n/m/f; bind /n/m {tmp_path}; os -n sh -c 'cd {tmp_path}; ls; cat f'"
    assert await rc(text) == Result("f\nseen\n", "", "")


async def test_a_running_program_sees_what_is_bound_later(tmp_path: pathlib.Path) -> None:
    waits = f"until test -e {tmp_path}/f; do sleep 0.02; done; cat {tmp_path}/f"
    text = f"memfs /n/m; echo later >/n/m/f; os -n sh -c '{waits}' & bind /n/m {tmp_path}; wait"
    assert (await rc(text)).out == "later\n"


async def test_the_next_program_sees_what_is_bound_among_the_hosts_own() -> None:
    text = (
        "os -n true; memfs /n/m; echo lib >/n/m/f; bind /n/m /usr/local/share; os -n cat /usr/local/share/f"
    )
    assert await rc(text) == Result("lib\n", "", "")


async def test_a_union_is_one() -> None:
    text = "memfs /n/a; memfs /n/b; touch /n/a/x /n/b/y; bind -a /n/b /n/a; os -n ls /n/a"
    assert await rc(text) == Result("x\ny\n", "", "")


async def test_devices_and_tasks_are_files() -> None:
    assert (await rc("os -n cat /task/remote/clone")).out == "0"
    assert await rc("v0=seen; os -n cat /env/v0; echo; os -n ls /srv") == Result("seen\n", "", "")


async def test_programs_of_the_host_find_each_other_in_bin_and_what_they_need_in_dev_and_proc() -> None:
    text = """os -n sh -c 'test -x /bin/sh && test -c /dev/null && echo no >/dev/null
        readlink -f /proc/self/root'
        os -n bash -c 'cat <(echo piped)'"""
    assert await rc(text) == Result("/\npiped\n", "", "")


async def test_a_group_with_a_name_space_of_its_own_shows_it_to_its_programs() -> None:
    text = """memfs /n/m; echo a >/n/m/f; os -n cat /n/m/f
        @{ rfork n; memfs /n/m; echo b >/n/m/f; os -n cat /n/m/f }
        os -n cat /n/m/f"""
    assert await rc(text) == Result("a\nb\na\n", "", "")


# --- how it runs -------------------------------------------------------------------------------


async def test_the_status_is_that_of_the_program() -> None:
    assert (await rc("os -n sh -c 'exit 3'")).status == "3"
    assert (await rc("os -n sh -c 'kill -9 $$'")).status == "signal: killed"
    assert (await rc("os -n true")).status == ""


async def test_it_is_part_of_a_pipeline() -> None:
    assert (await rc("echo a b | os -n tr a-z A-Z | cat")).out == "A B\n"


async def test_it_stands_where_the_shell_stands() -> None:
    assert (await rc("memfs /n/m; mkdir /n/m/d; cd /n/m/d; os -n pwd")).out == "/n/m/d\n"
    assert (await rc("memfs /n/m; mkdir /n/m/d; os -n -d /n/m/d pwd")).out == "/n/m/d\n"
    assert (await rc("cd '#s'; os -n sh -c 'echo x >f && cat /srv/f'")).out == ""


async def test_arguments_and_variables_arrive() -> None:
    text = """x=(a 'b c'); os -n printf '%s|' 'it''s' '' '*'; os -n sh -c 'echo "$y"'"""
    assert (await rc("y=why; " + text)).out == "it's||*|why\n"


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("os -n nosuch", "os: nosuch: file does not exist\n"),
        ("os -n /etc/passwd", "os: /etc/passwd: permission denied\n"),
        ("os -n -d /nosuch true", "os: '/nosuch' file does not exist\n"),
    ],
)
async def test_what_goes_wrong_is_said(command: str, error: str) -> None:
    assert (await rc(f"PATH=/bin; {command}")).err == error


async def test_n_goes_with_a_directory_only() -> None:
    assert "os -n [-d dir] command" in (await rc("os -n -b true")).err


async def test_many_at_once_share_one_room() -> None:
    text = "memfs /n/m; for(i in 1 2 3 4 5) os -n sh -c 'echo x >/n/m/'^$i & wait; cd /n/m; ls"
    result = await rc(text)
    assert sorted(result.out.split()) == ["1", "2", "3", "4", "5"]


@pytest.mark.requires("vi")
async def test_an_editor_edits_what_is_mounted() -> None:
    text = "memfs /n/m; echo hello >/n/m/f; os -n vi -es -c s/hello/goodbye/ -c wq /n/m/f; cat /n/m/f"
    assert (await rc(text)).out == "goodbye\n"


# --- a shell of its own ------------------------------------------------------------------------


def nsh(*argv: str, under: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    argv = (*under, sys.executable, "-m", "nsh", *argv)
    return subprocess.run(argv, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True)


def test_with_N_all_programs_of_the_host_run_there() -> None:
    text = """memfs /n/m; cp /usr/bin/env /n/m/e; chmod 755 /n/m/e; x=1 /n/m/e | grep '^x='
        echo '#!/bin/sh' >/n/m/s; echo 'cat /n/m/s' >>/n/m/s; chmod 755 /n/m/s; cd /n/m; ./s; sed -n 1p s"""
    done = nsh("-N", "-c", text)
    assert (done.stdout, done.stderr, done.returncode) == ("x=1\n#!/bin/sh\ncat /n/m/s\n#!/bin/sh\n", "", 0)


def test_without_N_it_is_a_flag_that_can_be_set() -> None:
    done = nsh(
        "-c", "memfs /n/m; echo x >/n/m/f; flag N +; /usr/bin/cat /n/m/f; flag N -; /usr/bin/cat /n/m/f"
    )
    assert done.stdout == "x\n" and "/n/m/f" in done.stderr


@pytest.mark.requires("a user name space")
def test_where_the_kernel_refuses_it_is_said() -> None:
    refuse = (
        'echo 0 >/proc/sys/user/max_user_namespaces; exec setpriv --bounding-set=-all --inh-caps=-all "$@"'
    )
    done = nsh("-c", "os -n true", under=("unshare", "--map-root-user", "sh", "-c", refuse, "sh"))
    assert done.stderr == "os: -n: user name spaces are not allowed here: No space left on device\n"
    assert done.returncode == 1


def test_an_interrupt_ends_the_program() -> None:
    argv = [sys.executable, "-m", "nsh", "-c", "os -n sh -c 'echo $$; exec sleep 100'"]
    with subprocess.Popen(
        argv, env=environment(), stdout=subprocess.PIPE, start_new_session=True, text=True
    ) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGINT)
        assert process.wait() == 130
    assert not pathlib.Path(f"/proc/{pid}").exists()


@pytest.mark.requires("a terminal")
def test_an_interrupt_from_the_terminal_reaches_the_program_which_may_handle_it() -> None:
    script = "trap 'echo caught; exit 0' INT; tty; sleep 100 & wait; kill $!"
    argv = [sys.executable, "-m", "nsh", "-c", f"os -n sh -c '{script.replace(chr(39), chr(39) * 2)}'"]
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(argv[0], argv, environment())
    with open(terminal, "rb", buffering=0) as file:
        assert file.read(100).startswith(b"/dev/")
        os.write(terminal, b"\x03")
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert b"caught" in file.read(100)


def test_a_killed_shell_leaves_no_mount_and_its_program_gets_errors() -> None:
    loop = "echo $$; while cat /n/m/f; do sleep 0.02; done >/dev/null 2>&1; echo ended"
    argv = [sys.executable, "-m", "nsh", "-c", f"memfs /n/m; echo x >/n/m/f; os -n sh -c '{loop}'"]
    with subprocess.Popen(argv, env=environment(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.kill()
        assert process.stdout.readline() == "ended\n"
    while pathlib.Path(f"/proc/{pid}").exists():
        time.sleep(0.01)


@pytest.mark.requires("an ordinary user")
def test_an_ordinary_user_has_it_too() -> None:
    text = """memfs /n/m; os -n sh -c 'echo $(id -u) >/n/m/f; exit 3'; echo $status; os -n cat /n/m/f
        os -n cat /n/m/f | os -n tr 0-9 a-j; os -n stat -c %u /n/m/f
        os -n sh -c 'test -w /etc/passwd || echo no'
        memfs /n/o; bind /n/o /usr/local; echo y >/n/o/z; os -n cat /usr/local/z"""
    argv = ordinary(python(), "-m", "nsh", "-c", text)
    done = subprocess.run(argv, env=environment(), cwd="/", capture_output=True, text=True)
    uid = str(os.geteuid() or 1000)
    shown = "".join(chr(ord("a") + int(digit)) for digit in uid)
    assert (done.stdout.split(), done.stderr) == (["3", uid, shown, uid, "no", "y"], "")
