"""head, tail, read, sum, xargs and time: commands that pass on a part of what they read, or run others."""

from __future__ import annotations

import asyncio
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsh import cmd
from nsh.cmd.head import first_lines
from nsh.cmd.tail import last_lines, reversed_lines
from tests.cmd.session import Result, Session, session
from tests.kern.world import make
from tests.rc.shell import rc

MISSING = "'nosuch' file does not exist"
NUMBERS = "".join(f"{i}\n" for i in range(1, 31))


async def numbers() -> Session:
    s = await session()
    await make(s.p, "/mnt/n", NUMBERS)
    return s


def lines(*wanted: int) -> str:
    return "".join(f"{i}\n" for i in wanted)


# --- head ----------------------------------------------------------------------------------------


async def test_head_prints_the_first_lines_or_bytes() -> None:
    s = await numbers()
    assert await s.out("head", "n") == lines(*range(1, 11))
    assert await s.out("head", "-n", "2", "n") == lines(1, 2)
    assert await s.out("head", "-3", "n") == lines(1, 2, 3)
    assert await s.out("head", "-n0", "n") == ""
    assert await s.out("head", "-c", "3", "n") == "1\n2"
    assert await s.out("head", "-n99", stdin=b"a\nb") == "a\nb"


async def test_head_puts_names_above_several_files_and_goes_on_after_a_bad_one() -> None:
    s = await numbers()
    assert await s.run("head", "-n1", "n", "nosuch", "n") == Result(
        "==> n <==\n1\n\n==> n <==\n1\n", f"head: cannot open nosuch: {MISSING}\n", "errors"
    )
    for wrong in (["-n", "x"], ["-c"], ["-n1", "-c1"], ["-z"]):
        assert await s.run("head", *wrong) == Result(
            "", "usage: head [-n lines | -c bytes] [file ...]\n", "usage"
        )


async def test_head_counts_lines_across_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    s = await numbers()
    monkeypatch.setattr("nsh.cmd.head.READSIZE", 3)
    assert await s.out("head", "-n", "12", "n") == lines(*range(1, 13))
    assert await s.out("head", "-c", "7", "n") == NUMBERS[:7]


@given(st.binary(max_size=20).map(lambda b: b.replace(b"\0", b"\n")), st.integers(1, 5))
def test_the_first_lines_are_those_that_python_sees(data: bytes, number: int) -> None:
    expected = b"".join(data.splitlines(keepends=True)[:number]) if b"\r" not in data else None
    found, count = first_lines(data, number)
    assert data.startswith(found) and count == found.count(b"\n")
    if expected is not None and not set(data) & set(b"\x0b\x0c\x1c\x1d\x1e\x85"):
        assert found == expected


# --- tail ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["n", "-"])
@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ([], lines(*range(21, 31))),
        (["-n", "2"], lines(29, 30)),
        (["-n", "-2"], lines(29, 30)),
        (["-n", "+29"], lines(29, 30)),
        (["-2"], lines(29, 30)),
        (["2"], lines(29, 30)),
        (["-2l"], lines(29, 30)),
        (["-0"], ""),
        (["-99"], NUMBERS),
        (["+29"], lines(29, 30)),
        (["+1"], NUMBERS),
        (["+0"], NUMBERS),
        (["+31"], ""),
        (["-c", "4"], "\n30\n"),
        (["-c4"], "\n30\n"),
        (["-4c"], "\n30\n"),
        (["-1b"], NUMBERS),
        (["-c", "+77"], "\n30\n"),
        (["+77c"], NUMBERS[77:]),
        (["-2r"], lines(30, 29)),
        (["-r", "-n3"], lines(30, 29, 28)),
        (["-r"], lines(*range(30, 0, -1))),
    ],
)
@pytest.mark.parametrize("size", [1 << 17, 5])
async def test_tail_prints_from_a_place_that_counts_from_either_end(
    monkeypatch: pytest.MonkeyPatch, options: list[str], wanted: str, name: str, size: int
) -> None:
    s = await numbers()
    monkeypatch.setattr("nsh.cmd.tail.READSIZE", size)
    assert await s.out("tail", *options, name, stdin=NUMBERS.encode()) == wanted


async def test_tail_prints_an_unfinished_last_line_and_finishes_it_in_reverse() -> None:
    s = await session()
    assert await s.out("tail", "-1", stdin=b"a\nb") == "b"
    assert await s.out("tail", "-r", stdin=b"a\nb") == "b\na\n"
    assert await s.out("tail", stdin=b"") == ""
    assert await s.out("tail", "-r", stdin=b"") == ""


@pytest.mark.parametrize(
    ("argv", "text", "status"),
    [
        (["nosuch"], f"tail: nosuch: {MISSING}", "error"),
        (["-fr", "n"], "tail: incompatible options", "error"),
        (["-r", "-c3", "n"], "tail: incompatible options", "error"),
        (["-r", "+3", "n"], "tail: incompatible options", "error"),
        (["-3", "-n4", "n"], "tail: excess option", "error"),
        (["-x"], "usage: tail [-n N] [-c N] [-f] [-r] [+-N[bc][fr]] [file]", "usage"),
        (["-n"], "usage: tail [-n N] [-c N] [-f] [-r] [+-N[bc][fr]] [file]", "usage"),
        (["n", "n"], "usage: tail [-n N] [-c N] [-f] [-r] [+-N[bc][fr]] [file]", "usage"),
    ],
)
async def test_what_tail_refuses(argv: list[str], text: str, status: str) -> None:
    s = await numbers()
    assert await s.run("tail", *argv) == Result("", text + "\n", status)


async def test_tail_f_prints_what_is_added_and_begins_again_when_the_file_is_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    s = await numbers()
    monkeypatch.setattr("nsh.cmd.tail.INTERVAL", 0)
    reading, writing = await s.p.pipe()
    q = s.p.fork()
    q.fgrp = q.fgrp.fork()
    q.fgrp.put(1, s.p.fgrp.get(writing).incref())
    q.start(lambda q: cmd.run(cmd.find("tail"), q, ["tail", "-1f", "/mnt/n"]))
    assert await s.p.read(reading) == b"30\n"
    fd = await s.p.open("/mnt/n", 1)
    await s.p.seek(fd, 0, 2)
    await s.p.write(fd, b"more\n")
    assert await s.p.read(reading) == b"more\n"
    await s.p.writefile("/mnt/n", b"new\n")
    assert await s.p.read(reading) == b"new\n"
    q.kill()
    assert await q.wait() == "killed"


@given(st.lists(st.sampled_from([b"a", b"bc", b"\n"]), max_size=12).map(b"".join), st.integers(0, 6))
def test_the_last_lines_and_their_reverse_agree_with_python(data: bytes, count: int) -> None:
    split = data.splitlines(keepends=True)
    assert last_lines(data, count) == b"".join(split[max(len(split) - count, 0) :])
    assert reversed_lines(data) == b"".join(line.rstrip(b"\n") + b"\n" for line in reversed(split))


# --- read ----------------------------------------------------------------------------------------


async def test_read_copies_what_one_read_gives() -> None:
    s = await session()
    assert await s.out("read", stdin=b"one\ntwo\n") == "one\ntwo\n"
    assert await s.out("read", "5", stdin=b"one\ntwo\n") == "one\nt"
    assert len(await s.out("read", stdin=b"x" * 9000)) == 8192
    assert await s.run("read", stdin=b"") == Result("", "", "eof")
    assert await s.run("read", "0", stdin=b"x") == Result("")


async def test_read_seeks_first() -> None:
    s = await session()
    assert await s.out("read", "-o", "4", "2", stdin=b"one two") == "tw"
    assert await s.out("read", "-r", "1", stdin=b"abc") == "bc"
    assert await s.out("read", "-e", "-2", stdin=b"abc") == "bc"
    assert await s.run("read", "-o", "-1", stdin=b"abc") == Result(
        "", "read: read error: negative i/o offset\n", "error"
    )


async def test_read_n_takes_lines_and_leaves_the_rest_to_the_next() -> None:
    script = """
    {
        while(line=`{read -n 1})
            echo line $line
    } <<!
a b
c
!
    """
    assert (await rc(script)).out == "line a b\nline c\n"
    s = await session()
    assert await s.out("read", "-n", "2", stdin=b"a\nb\nc\n") == "a\nb\n"
    assert await s.out("read", "-n", "9", stdin=b"a\nb") == "a\nb"


@pytest.mark.parametrize(
    "argv", [["-o"], ["-x", "3"], ["1", "2"], ["x"], ["-o", "x"], ["-n"], ["-n", "1", "2"]]
)
async def test_the_usage_of_read(argv: list[str]) -> None:
    s = await session()
    result = await s.run("read", *argv, stdin=b"text")
    assert result.err.startswith("usage: read [-[ero] offset] count\n")
    assert (result.out, result.status) == ("", "usage")


async def test_a_read_that_fails_says_so() -> None:
    s = await session()
    q = s.p.fork()
    q.start(lambda q: cmd.run(cmd.find("read"), q, ["read"]))
    assert await q.wait() == "error"


# --- sum -----------------------------------------------------------------------------------------


async def test_sum_prints_checksum_length_and_name_and_passes_over_directories() -> None:
    s = await session("d/")
    await make(s.p, "/mnt/f", "hello\n")
    await make(s.p, "/mnt/empty", "")
    assert await s.out("sum", "f", "d", "empty") == "6f4593cd      6 f\n2aa280dc      0 empty\n"
    assert await s.out("sum", stdin=b"hello\n") == "6f4593cd      6\n"
    assert await s.run("sum", "nosuch", "f") == Result(
        "6f4593cd      6 f\n", f"sum: cannot get status of nosuch: {MISSING}\n", "error"
    )
    await s.out("chmod", "0", "f")
    s.p.user = "other"
    assert await s.run("sum", "f") == Result("", "sum: cannot open f: permission denied\n", "error")


@given(st.binary(max_size=30))
def test_the_checksum_is_a_crc_begun_with_zeros_over_data_and_length(data: bytes) -> None:
    """Bit by bit, with the polynomial of Ethernet; zlib is what the command uses."""

    def crc(data: bytes) -> int:
        register = 0
        for byte in data:
            register ^= byte
            for _ in range(8):
                register = register >> 1 ^ (0xEDB88320 if register & 1 else 0)
        return register

    async def shown() -> str:
        s = await session()
        return await s.out("sum", stdin=data)

    length = bytes(a ^ b for a, b in zip(len(data).to_bytes(4, "big"), b"\xcc\x55\xcc\x55", strict=True))
    assert asyncio.run(shown()) == f"{crc(data + length):08x} {len(data):6}\n"


# --- xargs and time --------------------------------------------------------------------------------


async def test_xargs_runs_a_command_for_each_line_with_its_words() -> None:
    assert await rc("{echo a  b; echo; echo '*' '$x' c^'''d'} | xargs echo + if") == (
        "+ if a b\n+ if * $x c'd\n",
        "",
        "|",
    )
    assert await rc("echo -n no newline | xargs echo") == ("no newline\n", "", "|")


async def test_xargs_stops_at_a_command_that_fails() -> None:
    script = "{echo a; echo b; echo c} | xargs test a '='"
    assert (await rc(script)).status == "|false"
    assert await rc("xargs") == (
        "",
        "Usage: xargs command [command args] <[list of last command arg]\n",
        "usage",
    )


TIMES = re.compile(r"[\d.e-]+l [\d.e-]+r [\d.e-]+t\n")


@pytest.mark.parametrize(
    ("command", "out", "status"),
    [
        ("time echo a b", "a b\n", ""),
        ("time test a '=' b", "", "false"),
        ("fn f {echo f $*}; time f 1 '2 3'", "f 1 2 3\n", ""),
        ("time '{echo a; echo b | cat}'", "a\nb\n", "|"),
    ],
)
async def test_time_runs_whatever_the_shell_runs_and_has_its_status(
    command: str, out: str, status: str
) -> None:
    result = await rc(command)
    assert (result.out, result.status) == (out, status)
    assert TIMES.fullmatch(result.err)


async def test_time_says_what_it_cannot_run() -> None:
    result = await rc("time nosuchcommand")
    assert result.err.startswith("nsh: nosuchcommand: file does not exist\n")
    assert result.status == "1"
    assert await rc("time") == ("", "usage: time cmd ...\n", "usage")
    s = await session()
    for words in (["time", "ls"], ["xargs", "ls"]):
        result2 = await s.run(*words, stdin=b"x\n")
        assert result2.err == f"{words[0]}: no shell to run a command\n"
