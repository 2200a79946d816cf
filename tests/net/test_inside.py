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


# --- the host's own files ----------------------------------------------------------------------


MAKE = """mkdir -p a/b c .h; seq 5000 >a/f; ln a/f a/hard
    ln -s f a/l; ln -s b a/ld; ln -s nowhere a/no; ln -s o a/o; mkfifo p
    truncate -s 3M sparse; touch -d '2001-02-03 04:05:06.789012345' old; chmod 4751 a/f
    mkdir -m 1777 sticky; mkdir -m 2755 setgid; mkdir big; cd big; seq 300 | xargs touch"""


@pytest.mark.parametrize(
    "look",
    [
        "ls -lRn --time-style=full-iso .",
        "ls -l --time-style=full-iso --time=ctime .",
        "find . -printf '%p %y %Y %l %n %b %s %m %u %g %T@ %C@\\n'",
        "find . -type l -o -links +1 -o -size +4 -o -perm /7000",
        "du -a .",
        "du -a --apparent-size .",
        "df --output=size,itotal,target . | sed 's:/.*::'",
        "stat -c '%N %F %t %T %o' . a/* p",
        "find . -executable -printf '%p x\n' , -writable -printf '%p w\n' , -readable -printf '%p r\n'",
        "readlink a/l a/no; cat a/no a/o",
        "tar cf - . | tar tvf -",
    ],
)
def test_they_look_as_they_do_outside(tmp_path: pathlib.Path, look: str) -> None:
    subprocess.run(f"cd {tmp_path}; {MAKE}", shell=True, check=True)
    script = f"cd {tmp_path}; {look}"
    outside = subprocess.run(["sh", "-c", script], capture_output=True, text=True)
    inside = nsh("-c", f"os -n sh -c {quote(script)}")
    assert inside.stdout.splitlines() == outside.stdout.splitlines()
    assert inside.stderr == outside.stderr


def test_their_inode_numbers_tell_them_apart_and_are_the_hosts_own(tmp_path: pathlib.Path) -> None:
    subprocess.run(f"cd {tmp_path}; {MAKE}", shell=True, check=True)
    inside = nsh("-c", f"os -n find {tmp_path} -printf '%i %p\\n'").stdout.splitlines()
    seen = {path: int(number) for number, _, path in (line.partition(" ") for line in inside)}
    real = {path: os.lstat(path).st_ino for path in seen}
    assert len(seen) > 300
    assert len(set(seen.values())) == len(set(real.values()))
    if os.lstat("/").st_dev == tmp_path.stat().st_dev:
        assert seen == real


CHANGE = """umask 002; echo x >f; ln f g; ln -s f s; ln -s d sd; mkdir d; echo y >d/y
    mkfifo p; (echo through >p &) ; cat p
    chmod 4755 f; chmod 1777 d; mkdir -m 1777 st; install -m 2755 /bin/true inst
    umask 0; touch open666; mkdir open777; (umask 077; mkdir priv; cd priv; umask 022; touch q; mkdir r)
    touch -d '2001-02-03 04:05:06.789012345' t; touch -h -d '1969-02-03 04:05:06.5' s
    mv d/y st/; mkdir m1 m2; mv m1 m2/; mv s m2/; mv sd sd2; echo z>z1; echo zz >z2; mv z1 z2; cat z2
    cp -a f cpa; tar cf a.tar f g m2 st inst; mkdir x; tar xpf a.tar -C x; rm a.tar
    touch 'a	b'; mv 'a	b' 'c	d'; mv d f; mv f d; mv -T st x; rmdir x; ln st hl; echo >f/x
    ln -s st lnk; rm -r lnk; ls st
    find . -printf '%p %y %m %n %U %G %s %l %T@\\n' | grep -e ' t ' -e '/s ' | sort
    find . -printf '%p %y %m %n %U %G %s %l\\n' | sort"""


FORBIDDEN = """exec 2>&1; mkdir closed; echo one >closed/f; echo two >g; chmod 400 g; chmod 0 closed/f
    chmod 500 closed; echo more >>g; touch closed/new; cat g closed/f; truncate -s 1 g; mv closed/f closed/h
    rm -f closed/h; ls closed; chmod 0 closed; ls closed; chmod 700 closed; ls -l | wc -l"""
"""What the superuser may do all the same, though nsh itself holds him to the mode (fs(3))."""


@pytest.mark.parametrize("change", [CHANGE, FORBIDDEN])
def test_they_are_changed_as_they_are_outside(tmp_path: pathlib.Path, change: str) -> None:
    for name in ("outside", "inside"):
        (tmp_path / name).mkdir()
    outside = subprocess.run(["sh", "-c", f"cd {tmp_path}/outside; {change}"], capture_output=True, text=True)
    inside = nsh("-c", f"os -n sh -c {quote(f'cd {tmp_path}/inside; {change}')}")
    assert inside.stdout.splitlines() == outside.stdout.splitlines()
    assert inside.stderr == outside.stderr


async def test_a_symbolic_link_leads_through_the_name_space(tmp_path: pathlib.Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "l").symlink_to(tmp_path / "d")
    text = f"memfs /n/m; echo seen >/n/m/f; bind /n/m {tmp_path}/d; os -n cat {tmp_path}/l/f"
    assert await rc(text) == Result("seen\n", "", "")


async def test_a_link_that_is_bound_is_what_it_leads_to(tmp_path: pathlib.Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").touch()
    (tmp_path / "l").symlink_to("d")
    text = f"memfs /n/m; mkdir /n/m/d; bind {tmp_path}/l /n/m/d; os -n sh -c 'ls /n/m/d; test -L /n/m/d'"
    assert await rc(text) == Result("f\n", "", "1")


async def test_a_device_that_is_bound_is_read_by_us() -> None:
    look = "head -c 3 /n/m/z | od -An -tx1; test -f /n/m/z"
    text = f"memfs /n/m; touch /n/m/z; bind /dev/zero /n/m/z; os -n sh -c '{look}'"
    assert await rc(text) == Result(" 00 00 00\n", "", "")


async def test_a_socket_joins_its_programs(tmp_path: pathlib.Path) -> None:
    script = f"""import socket as s; a, b = s.socket(s.AF_UNIX), s.socket(s.AF_UNIX)
a.bind("{tmp_path}/s"); a.listen(); b.connect("{tmp_path}/s"); b.send(b"x"); print(a.accept()[0].recv(1))"""
    assert await rc(f"os -n python3 -c {quote(script)}") == Result("b'x'\n", "", "")
    assert (tmp_path / "s").is_socket()


async def test_a_file_system_of_ours_tells_no_size() -> None:
    assert (await rc("memfs /n/m; os -n df --output=size,avail,pcent /n/m")).out.split()[-3:] == [
        "0",
        "0",
        "-",
    ]
    assert "-" not in (await rc("os -n df --output=size,pcent / | sed 1d")).out.split()


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


def quote(text: str) -> str:
    """``text`` as a word of rc."""
    return "'" + text.replace("'", "''") + "'"


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
        memfs /n/o; bind /n/o /usr/local; echo y >/n/o/z; os -n cat /usr/local/z
        os -n sh -c 'd=$(mktemp -d); cd $d; ln -s a b; mkfifo p; chmod 1700 .
            stat -c %a .; readlink b; rm -r $d'"""
    argv = ordinary(python(), "-m", "nsh", "-c", text)
    done = subprocess.run(argv, env=environment(), cwd="/", capture_output=True, text=True)
    uid = str(os.geteuid() or 1000)
    shown = "".join(chr(ord("a") + int(digit)) for digit in uid)
    assert (done.stdout.split(), done.stderr) == (["3", uid, shown, uid, "no", "y", "1700", "a"], "")
