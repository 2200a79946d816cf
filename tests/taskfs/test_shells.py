"""Every file and every control word, as shells use them: /bin/sh by way of 9pfuse, and rc in nsh.

The rows are lines that both shells read alike. Each has a session of its own, on a host that has mounted two
others as far1 and far2.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from taskfs.ctl import WORDS
from taskfs.files import FILES
from tests.fuse.mounts import NSH, TOP, ninepfuse, server
from tests.taskfs.test_hosts import EMPTY
from tests.taskfs.world import SESSION_FILES

pytestmark = [pytest.mark.requires("/dev/fuse", "fusermount3"), pytest.mark.limit(60)]

TASK = """#!/bin/sh
case $1 in
both) echo out; echo err >&2;;
fail) test "$2" = 1 && exit 3; exec sleep 100;;
ring) echo from $TASK_RANK >../$(((TASK_RANK + 1) % TASK_SIZE))/stdin; read line; echo $line;;
esac
"""

LINES = "pear\nfig\nplum\napple\n"
SORTED = "apple\nfig\npear\nplum\n"

HOW = "cat wait | awk '{print $NF}'"
"""Prints the last word of wait."""

KIND = "cat status | awk '{print $3, $5}'"
"""Prints the state and the command of status."""

ROWS = {
    # words of ctl
    "res": ("echo res 2 >ctl; ls", "".join(f"{name}\n" for name in ["0", "1", *SESSION_FILES])),
    "res of a kind": ("echo res 1 linux $MACHINE >ctl; ls -d 0", "0\n"),
    "hosts": ("echo hosts far1 >ctl; echo res 2 >ctl; echo exec echo %h >ctl; cat stdout", "far1\nfar1\n"),
    "hosts but for one": (
        "echo hosts -far1 >ctl; echo res 1 >ctl; echo exec echo %h >ctl; cat stdout",
        "far2\n",
    ),
    "exec": (
        "echo res 2 >ctl; echo exec echo %r of %n is %%r >ctl; cat stdout",
        "0 of 2 is %r\n1 of 2 is %r\n",
    ),
    "dir": ("echo dir /usr >ctl; echo exec pwd >ctl; cat stdout", "/usr\n"),
    "nice": ("echo nice 5 >ctl; echo exec nice >ctl; cat stdout", f"{min(os.nice(0) + 5, 19)}\n"),
    "timeout": (f"echo timeout 0.1 >ctl; echo exec sleep 100 >ctl; {HOW}", "'timeout'\n"),
    "onfail": (f"echo res 2 >ctl; echo onfail stop >ctl; echo exec $TASK fail %r >ctl; {HOW}", "15'\n3'\n"),
    "inmode": (
        "echo res 2 >ctl; echo inmode lines >ctl; echo exec cat >ctl; cat $LINES >stdin; cat stdout | sort",
        SORTED,
    ),
    "inmode bcast": (
        "echo res 2 >ctl; echo inmode bcast >ctl; echo exec cat >ctl; cat $LINES >stdin; cat stdout",
        LINES * 2,
    ),
    "outmode": (
        "echo res 2 >ctl; echo outmode line >ctl; echo exec echo %r >ctl; cat stdout | sort",
        "0\n1\n",
    ),
    "outmode raw": ("echo res 2 >ctl; echo outmode raw >ctl; echo exec printf x >ctl; cat stdout", "xx"),
    "label": ("echo res 2 >ctl; echo label rank >ctl; echo exec echo hi >ctl; cat stdout", "0: hi\n1: hi\n"),
    "kill": (f"echo exec sleep 100 >ctl; echo kill >ctl; {HOW}", "15'\n"),
    "signal": (f"echo exec sleep 100 >ctl; echo signal INT >ctl; {HOW}", "2'\n"),
    "signal by number": (f"echo res 2 >ctl; echo exec sleep 100 >ctl; echo signal 9 >ctl; {HOW}", "9'\n9'\n"),
    "killonclose": (f"echo exec sleep 100 >ctl; echo killonclose >ctl; {HOW}", "15'\n"),
    "closein": (f"echo exec cat >ctl; echo closein >ctl; cat stdout; {HOW}", "''\n"),
    "splice": ("echo exec sort >ctl; echo splice $LINES >ctl; cat stdout", SORTED),
    "xsplice": (
        "echo res 2 >ctl; echo xsplice 0 1 >ctl; echo exec sort >ctl; "
        "echo splice $LINES >0/ctl; cat 1/stdout",
        SORTED,
    ),
    "peers": ("echo peers on >ctl; echo peers off >ctl; echo exec pwd >ctl; cat stdout", f"{TOP}\n"),
    "release": ("echo release >ctl; cd ..; ls", "".join(f"{name}\n" for name in EMPTY)),
    "detach": ("echo detach >ctl; echo exec echo kept >ctl; cat stdout", "kept\n"),
    "fed": (
        "echo exec cat >ctl; echo fed on >ctl; echo a >stdin; echo b >stdin; echo closein >ctl; cat stdout",
        "a\nb\n",
    ),
    "fed off": ("echo exec cat >ctl; echo fed on >ctl; echo fed off >ctl; echo a >stdin; cat stdout", "a\n"),
    "keep": (f"echo keep 4 >ctl; echo exec true >ctl; {HOW}", "''\n"),
    "below": ("echo below me >ctl; echo res 1 >ctl; ls -d 0", "0\n"),
    # files
    "args": ("echo one two >args; echo exec echo >ctl; cat stdout", "one two\n"),
    "ctl": ("cat ctl; echo", "0\n"),
    "env": ("echo COLOUR=red >env; echo exec printenv COLOUR >ctl; cat stdout", "red\n"),
    "ns": (
        "echo bind /a /b >ns; echo bind /c /d >>ns; cat ns; echo bind /e /f >ns; cat ns",
        "bind /a /b\nbind /c /d\nbind /e /f\n",
    ),
    "status": (
        f"{KIND}; echo exec true >ctl; {HOW}; {KIND}",
        "Closed ''\n''\nDone true\n",
    ),
    "stderr": ("echo exec $TASK both >ctl; cat stderr", "err\n"),
    "stdin": ("echo exec cat >ctl; echo hello >stdin; cat stdout", "hello\n"),
    "stdin of one": ("echo res 2 >ctl; echo exec cat >ctl; echo hello >1/stdin; cat 1/stdout", "hello\n"),
    "stdio": ("echo exec cat >ctl; echo hello >stdio; cat stdio", "hello\n"),
    "stdout": ("echo exec $TASK both >ctl; cat stdout stdout", "out\nout\n"),
    "wait": (f"echo exec false >ctl; {HOW}; cat wait | awk '{{print NF}}'", "1'\n6\n"),
    "wait of many": (
        "echo res 2 >ctl; echo exec true >ctl; cat wait | awk '{print $1, substr($2, 1, 3), $NF}'",
        "0 far ''\n1 far ''\n",
    ),
}
"""For each word and file a line of a shell, and what it prints."""

REFUSED = {
    "frob": ('unknown control message "frob"', errno.EINVAL),
    "res": ('wrong #args in control message "res"', errno.EINVAL),
    "res x": ('bad argument in control message "res x"', errno.EINVAL),
    "keep 5": ('bad argument in control message "keep 5"', errno.EINVAL),
    "nice 20": ('bad argument in control message "nice 20"', errno.EINVAL),
    "signal 0": ('bad argument in control message "signal 0"', errno.EINVAL),
    "dir 'a": ('unclosed quote in control message "dir \'a"', errno.EINVAL),
    "xsplice 0 0": ("xsplice: no child 0", errno.EINVAL),
    "exec /no/such": ("exec failed: No such file or directory", errno.ENOENT),
    "exec /etc/passwd": ("exec failed: Permission denied", errno.EACCES),
    "exec /etc/passwd/x": ("exec failed: Not a directory", errno.ENOTDIR),
    "splice /no/such": ("'/no' file does not exist", errno.ENOENT),
    "hosts nowhere\nres 1": ("no such host under /remote: nowhere", errno.ENOENT),
    "res 1 * sparc": ("no host of kind * sparc: far2 far1", errno.ENODEV),
    "res 5000": ("too many resources: 5000, at most 4096 in a session", errno.EMFILE),
    "task 0 1 h nobody 7": ("nobody listens", errno.EIO),
    "resting": ("not at rest", errno.EBUSY),
}
"""Messages that are refused, why, and the number that Linux gets."""


class Place(NamedTuple):
    """The address of a host's /task, that mounted for Linux, and what lines of a shell may name."""

    address: str
    top: Path
    environ: dict[str, str]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    task, lines, top = tmp_path / "task", tmp_path / "lines", tmp_path / "m"
    task.write_text(TASK)
    task.chmod(0o755)
    lines.write_text(LINES)
    top.mkdir()
    with ExitStack() as stack:
        far = [stack.enter_context(server("bind '#T' /task", "/task"))[0] for _ in range(2)]
        mounts = "; ".join(f"mount -A {address} /remote/far{n}" for n, address in enumerate(far, 1))
        address, _ = stack.enter_context(server(f"bind '#T' /task; {mounts}", "/task"))
        stack.enter_context(ninepfuse(address, top))
        names = {"TASK": str(task), "LINES": str(lines), "MACHINE": os.uname().machine}
        yield Place(address, top, {**os.environ, "LC_ALL": "C", **names})


def sh(place: Place, *lines: str) -> list[str]:
    """What each line prints, its errors too, in a shell that stands in a new session; it is removed then."""
    script = "".join(
        f"n=$(cat clone); (cd $n; {line}) 2>&1; test ! -e $n/ctl || rmdir $n; echo {END!r}\n"
        for line in lines
    )
    return outputs(["/bin/sh", "-c", script], place.top / "remote", place.environ)


def rc(place: Place, *lines: str) -> list[str]:
    """The same in an nsh that has mounted the host."""
    script = f"mount -A {place.address!r} /n/far; cd /n/far/remote\n" + "".join(
        f"n=`{{cat clone}}; @{{cd $n; {line}}} >[2=1]; if(test -e $n) rm $n; echo {END!r}\n" for line in lines
    )
    return outputs([*NSH, "-c", script], TOP, place.environ)


END = "-- end of a line"


def outputs(argv: list[str], where: Path, environ: dict[str, str]) -> list[str]:
    """What a program has printed up to each `END`."""
    done = subprocess.run(argv, cwd=where, env=environ, stdout=subprocess.PIPE, text=True)
    *printed, rest = done.stdout.split(f"{END}\n")
    assert rest == ""
    return printed


SHELLS = pytest.mark.parametrize("shell", [sh, rc])


def test_every_word_and_every_file_has_a_row() -> None:
    tried = {*ROWS, *(message.split()[0] for message in REFUSED)}
    assert tried >= {*WORDS, *FILES}


@SHELLS
def test_what_a_shell_does_with_words_and_files(place: Place, shell: Callable[..., list[str]]) -> None:
    printed = shell(place, *(line for line, _ in ROWS.values()))
    assert dict(zip(ROWS, printed, strict=True)) == {what: expected for what, (_, expected) in ROWS.items()}


@SHELLS
def test_what_a_shell_is_told_of_what_is_refused(place: Place, shell: Callable[..., list[str]]) -> None:
    for number, message in enumerate(REFUSED):
        place.environ[f"M{number}"] = message
    send = {sh: 'printf "%s" "${name}" | cat >ctl', rc: "echo -n ${name} >ctl"}[shell]
    lines = [f"{send.format(name=f'M{number}')}; {KIND}" for number in range(len(REFUSED))]
    printed = [{sh: f"cat: write error: {os.strerror(number)}", rc: f"echo: write error: {why}"}[shell]
               for why, number in REFUSED.values()]  # fmt: skip
    assert shell(place, *lines) == [f"{line}\nClosed ''\n" for line in printed]


def test_the_words_are_had_by_9p_where_linux_has_numbers(place: Place) -> None:
    place.environ["NINEP"] = f"{sys.executable} -P -m nsh 9p"
    place.environ["PYTHONPATH"] = str(TOP)
    (said,) = sh(place, f"echo frob | $NINEP write {place.address!r} remote/$n/ctl")
    assert said == '9p: write error: unknown control message "frob"\n'


def test_a_directory_is_removed_and_its_files_are_not(place: Place) -> None:
    (said,) = sh(place, "cd ..; rm -r $n; ls $n; rmdir $n; ls")
    refused, left = said.splitlines()[:10], said.splitlines()[10:]
    assert refused == [f"rm: cannot remove '0/{name}': Permission denied" for name in SESSION_FILES]
    assert left == [*SESSION_FILES, *EMPTY]
    (said,) = rc(place, "cd ..; rm $n; ls")
    assert said.splitlines() == EMPTY


@pytest.mark.requires("FUSE in a name space")
@SHELLS
def test_peers_in_the_hands_of_a_shell(place: Place, shell: Callable[..., list[str]]) -> None:
    line = "echo res 3 >ctl; echo peers on >ctl; echo exec $TASK ring >ctl; cat stdout"
    assert shell(place, line) == ["from 2\nfrom 0\nfrom 1\n"]


def test_a_session_that_was_detached_is_found_by_the_next_connection(place: Place) -> None:
    other = place.top.parent / "other"
    other.mkdir()
    with ninepfuse(place.address, other):
        script = "n=$(cat clone); echo detach >$n/ctl; echo exec cat >$n/ctl"
        subprocess.run(["/bin/sh", "-c", script], cwd=other / "remote", check=True)
    (said,) = sh(place, "cd ../0; echo still here >stdin; cat stdout; echo release >ctl")
    assert said == "still here\n"
