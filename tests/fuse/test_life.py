"""The life of a mount: who waits is let go, and whatever ends, nothing stays mounted."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from nsh.boot import boot
from nsh.errors import P9Error
from nsh.kern.proc import current
from nsh.net.fuse import mount
from tests.fuse.mounts import (
    NSH,
    TOP,
    apart,
    interrupted,
    is_mounted,
    mounted,
    ninepfuse,
    server,
    shell,
    tree,
    until,
)
from tests.ordinary import environment, ordinary, python

pytestmark = [pytest.mark.requires("/dev/fuse", "fusermount3"), pytest.mark.limit(60)]

PIPE = "memfs /tmp; mkdir /tmp/p; bind '#|' /tmp/p"
"""A script that gives a server a pipe: a file whose reader waits."""


def test_the_command_goes_to_the_background_when_the_mount_is_there(tmp_path: Path) -> None:
    with server() as (address, _):
        done = subprocess.run([*NSH, "9pfuse", address, str(tmp_path)], cwd=TOP, capture_output=True)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
        (tmp_path / "f").write_text("x")
        assert (tmp_path / "f").read_text() == "x"
        subprocess.run(["fusermount3", "-u", str(tmp_path)], check=True)
        until(lambda: not is_mounted(tmp_path))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["tcp!127.0.0.1!1", "."], "9pfuse: dial tcp!127.0.0.1!1: Connection refused\n"),
        (["tcp!127.0.0.1!1"], "usage: 9pfuse [-Df] [-A attrtimeout] [-a aname] address mtpt\n"),
    ],
)
def test_what_goes_wrong_is_told_by_the_command(arguments: list[str], told: str) -> None:
    done = subprocess.run([*NSH, "9pfuse", *arguments], cwd=TOP, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", told)


def test_a_place_that_is_not_there(tmp_path: Path) -> None:
    with server() as (address, _):
        argv = [*NSH, "9pfuse", address, str(tmp_path / "no")]
        done = subprocess.run(argv, cwd=TOP, capture_output=True, text=True)
        assert done.stderr == f"9pfuse: mount {tmp_path}/no: file does not exist\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_unmounts(tmp_path: Path, number: int) -> None:
    with server() as (address, _), ninepfuse(address, tmp_path) as program:
        program.send_signal(number)
        assert program.wait(5) == 0
        assert not is_mounted(tmp_path)


def test_it_is_unmounted_when_the_server_dies_under_load(tmp_path: Path) -> None:
    with server() as (address, served), ninepfuse(address, tmp_path) as program:
        load = f"while echo x >{tmp_path}/f && cat {tmp_path}/f; do :; done"
        users = [subprocess.Popen(load, shell=True, stdout=-3, stderr=-3) for _ in range(4)]
        time.sleep(0.3)
        served.kill()
        program.wait(5)
        assert not is_mounted(tmp_path)
        for user in users:
            user.kill()
            user.wait()


def test_interrupts_reach_a_hundred_readers(tmp_path: Path) -> None:
    with server(PIPE) as (address, _), ninepfuse(address, tmp_path):
        readers = [interrupted(tmp_path / "p/data") for _ in range(100)]
        until(lambda: all(_reads_fuse(reader.pid) for reader in readers))
        assert os.stat(tmp_path).st_ino  # others are not held up
        for reader in readers:
            reader.send_signal(signal.SIGINT)
        assert {reader.wait(5) for reader in readers} == {-signal.SIGINT}


def test_a_killed_reader_is_gone(tmp_path: Path) -> None:
    with server(PIPE) as (address, _), ninepfuse(address, tmp_path):
        reader = interrupted(tmp_path / "p/data")
        until(lambda: _reads_fuse(reader.pid))
        reader.kill()
        assert reader.wait(5) == -signal.SIGKILL


def test_waiting_readers_do_not_keep_it_from_ending(tmp_path: Path) -> None:
    with server(PIPE) as (address, _), ninepfuse(address, tmp_path) as program:
        reader = interrupted(tmp_path / "p/data")
        until(lambda: _reads_fuse(reader.pid))
        program.terminate()
        program.wait(5)
        assert reader.wait(5) != 0


def _reads_fuse(pid: int) -> bool:
    """Does the process wait for the answer to a request?"""
    try:
        return "fuse" in Path(f"/proc/{pid}/wchan").read_text() or _sleeps_in_read(pid)
    except OSError:
        return False


def _sleeps_in_read(pid: int) -> bool:
    words = Path(f"/proc/{pid}/syscall").read_text().split()
    return words[:1] == ["0"] and words[1] != "0x0"


def test_a_file_without_a_name_is_changed_through_its_descriptor(tmp_path: Path) -> None:
    with server() as (address, _), ninepfuse(address, tmp_path), open(tmp_path / "f", "w+b", 0) as file:
        file.write(b"text")
        os.unlink(tmp_path / "f")
        os.fchmod(file.fileno(), 0o600)
        os.utime(file.fileno(), (1, 2))
        state = os.fstat(file.fileno())
        assert (state.st_mode & 0o777, state.st_mtime) == (0o600, 2)


@pytest.mark.parametrize(
    ("given", "kept"), [(-315_000_000, 0), (7_258_118_400, 0xFFFFFFFE), (1 << 31, 1 << 31)]
)
def test_a_time_that_9p_cannot_tell_becomes_the_nearest(tmp_path: Path, given: int, kept: int) -> None:
    with server() as (address, _), ninepfuse(address, tmp_path):
        (tmp_path / "f").touch()
        os.utime(tmp_path / "f", (given, given))
        assert os.stat(tmp_path / "f").st_mtime == kept


def test_two_mounts_of_one_server_see_the_same(tmp_path: Path) -> None:
    one, two = tmp_path / "1", tmp_path / "2"
    one.mkdir()
    two.mkdir()
    with server() as (address, _), ninepfuse(address, one), ninepfuse(address, two):
        for i in range(50):
            (one / "f").write_text("x" * i)
            assert (two / "f").read_text() == "x" * i
            assert os.stat(two / "f").st_size == i
        (two / "f").rename(two / "g")
        assert os.listdir(one) == ["g"]
        assert not (one / "f").exists()
        (one / "g").unlink()
        assert not (two / "g").exists()
        (one / "g").mkdir()
        assert (two / "g").is_dir()


def test_control_files_take_what_a_shell_writes_and_o_trunc_does_not_hurt(tmp_path: Path) -> None:
    with server("memfs /tmp", "'#C'") as (address, _), ninepfuse(address, tmp_path):  # noqa: SIM117
        with open(tmp_path / "cmd/clone", "r+b", 0) as clone:
            number = clone.read(20).decode()
            ctl = tmp_path / "cmd" / number / "ctl"
            assert subprocess.run(f"echo exec echo hello >{ctl}", shell=True).returncode == 0
            assert (tmp_path / "cmd" / number / "data").read_bytes() == b"hello\n"
            failed = subprocess.run(f"/bin/echo nonsense >{ctl}", shell=True, capture_output=True, text=True)
            assert "Invalid argument" in failed.stderr


def test_inside_nsh_the_host_sees_it_and_so_does_nsh(tmp_path: Path) -> None:
    with server("memfs /tmp; echo x >/tmp/f") as (address, _):
        script = f"9pfuse -f {address} {tmp_path}; cat {tmp_path}/f; os cat {tmp_path}/f"
        done = subprocess.run([*NSH, "-c", script], cwd=TOP, capture_output=True, text=True, timeout=20)
        assert (done.stdout, done.stderr) == ("x\nx\n", "")
        assert not is_mounted(tmp_path)


def test_an_interrupt_ends_it_while_the_server_says_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        argv = [*NSH, "9pfuse", f"127.0.0.1:{silent.getsockname()[1]}", str(tmp_path)]
        with subprocess.Popen(argv, cwd=TOP, stdout=subprocess.PIPE, start_new_session=True) as program:
            called, _ = silent.accept()
            with called:
                called.recv(1)
                os.killpg(program.pid, signal.SIGINT)
                program.communicate(timeout=20)  # to the end of the output, which both processes have


def test_it_is_unmounted_when_the_shell_is_killed_that_mounted_it(tmp_path: Path) -> None:
    with server() as (address, _):
        script = f"9pfuse -f {address} {tmp_path}; echo mounted; read"
        with subprocess.Popen(
            [*NSH, "-c", script], cwd=TOP, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as program:
            assert program.stdout is not None
            assert program.stdout.readline() == b"mounted\n"
            assert f"{address} {tmp_path} fuse.9pfuse" in Path("/proc/self/mounts").read_text()
            program.kill()
        until(lambda: not is_mounted(tmp_path))


async def test_a_mount_ends_with_its_process(tmp_path: Path) -> None:
    p = await boot()
    current.set(p)
    m = await mount(p, await p.system.attach("R", ""), str(tmp_path))
    assert is_mounted(tmp_path)
    p.exit()
    assert not is_mounted(tmp_path)
    await m.wait()


async def test_unmounting_writes_what_was_changed_in_memory(tmp_path: Path) -> None:
    p = await boot()
    current.set(p)
    m = await mount(p, await p.system.attach("R", "kept"), str(tmp_path))
    # a program of its own: a page fault would wait for us with the interpreter in its hands
    script = "import mmap; f = open('$M/f', 'w+b'); f.truncate(5); mmap.mmap(f.fileno(), 5)[:] = b'hello'"
    assert await shell(f'python3 -c "{script}"', tmp_path) == ""
    await m.unmount()
    again = await mount(p, await p.system.attach("R", "kept"), str(tmp_path))
    assert await apart((tmp_path / "f").read_bytes) == b"hello"
    await again.unmount()
    p.exit()


async def test_a_file_is_mounted_on_a_file(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    p = await boot()
    current.set(p)
    root = await tree(p, "#U/etc/passwd")
    m = await mount(p, root, str(tmp_path / "f"))
    assert await apart((tmp_path / "f").read_text) == await apart(Path("/etc/passwd").read_text)
    await m.unmount()
    with pytest.raises(P9Error, match="inconsistent mount"):
        await mount(p, root, str(tmp_path))
    p.exit()


async def test_in_use_it_is_unmounted_all_the_same(tmp_path: Path) -> None:
    async with mounted(tmp_path) as m:
        # not with cwd=, which keeps the interpreter to itself until the program stands there
        argv = ["sh", "-c", f"cd {tmp_path}; echo; exec sleep 100"]
        with subprocess.Popen(argv, stdout=subprocess.PIPE) as user:  # noqa: ASYNC220
            assert user.stdout is not None
            assert await apart(user.stdout.readline) == b"\n"
            await m.unmount()
            assert not is_mounted(tmp_path)
            user.kill()


# --- for others than the superuser ---------------------------------------------------------------------


@pytest.mark.requires("an ordinary user")
def test_an_ordinary_user_mounts_by_fusermount3(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    if os.geteuid() == 0:
        for directory in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
            directory.chmod(0o755)
        os.chown(tmp_path / "m", 1000, 1000)
    with server("memfs /tmp; chmod 777 /tmp; echo x >/tmp/f") as (address, _):
        script = f"""
            cd {tmp_path}; {python()} -m nsh 9pfuse '{address}' m && cat m/f
            grep -c ' {tmp_path}/m ' /proc/self/mountinfo
            fusermount3 -u m; grep -c ' {tmp_path}/m ' /proc/self/mountinfo; ls -A m"""
        argv = ordinary("sh", "-c", script)
        done = subprocess.run(argv, cwd="/", env=environment(), capture_output=True, text=True)
        assert (done.stdout, done.stderr) == ("x\n1\n0\n", "")


@pytest.mark.requires("a user name space")
async def test_in_a_user_name_space_no_helper_is_needed(tmp_path: Path) -> None:
    with server("memfs /tmp; echo x >/tmp/f") as (address, _):
        nsh = " ".join(NSH)
        script = f"PATH=/nowhere {nsh} 9pfuse '{address}' $M && cat $M/f && ls -ln $M && umount $M"
        output = await apart(
            lambda: subprocess.run(
                ["unshare", "-rm", "/bin/sh", "-c", script],
                cwd=TOP,
                env={**os.environ, "M": str(tmp_path)},
                capture_output=True,
                text=True,
            )
        )
        assert output.stderr == ""
        assert output.stdout.startswith("x\n")
        assert "1 0 0 2" in output.stdout
        assert await shell("ls -A $M", tmp_path) == ""
