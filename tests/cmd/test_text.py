"""cat, echo, tee, wc, cmp, date, sleep, kill, memfs."""

from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsh import cmd
from nsh.cmd import wc
from nsh.cmd.arg import Usage, parse
from nsh.cmd.files import basename, join
from nsh.cmd.time import seconds
from nsh.p9.const import DMAPPEND
from tests.cmd.session import Result, session
from tests.kern.world import content, listing, make
from tests.rc.shell import rc


async def test_cat_copies_files_and_standard_input() -> None:
    s = await session("a", "b")
    assert await s.out("cat", "a", "b") == "ab"
    assert await s.out("cat", stdin=b"in") == "in"
    assert await s.out("cat", "a", "-", "b", stdin=b" in ") == "a in b"


async def test_cat_stops_at_the_first_file_that_it_cannot_open() -> None:
    s = await session("a", "b")
    assert await s.run("cat", "a", "nosuch", "b") == Result(
        "a", "cat: cannot open nosuch: 'nosuch' file does not exist\n", "bad open"
    )


async def test_cat_copies_large_and_binary_files_whole() -> None:
    s = await session()
    data = bytes(range(256)) * 2000
    fd = await s.p.create("/mnt/big")
    await s.p.write(fd, data)
    s.p.close(fd)
    assert (await s.out("cat", "big")).encode("utf-8", "surrogateescape") == data


async def test_echo_tells_why_it_cannot_write() -> None:
    out, err, _ = await rc("echo hi >/dev/full")
    assert (out, err) == ("", "echo: write error: No space left on device\n")


async def test_that_not_all_was_taken_of_what_a_program_wrote_is_told() -> None:
    out, err, status = await rc("expr 3 >/prog/$pid/ctl")
    assert out == "" and status
    assert err == 'nsh: expr: write error: unknown control message "3"\n'


async def test_echo_joins_its_arguments() -> None:
    s = await session()
    assert await s.out("echo") == "\n"
    assert await s.out("echo", "a", " b", "") == "a  b \n"
    assert await s.out("echo", "-n", "x", "-n") == "x -n"


async def test_tee_writes_to_every_file_and_appends_when_told() -> None:
    s = await session("a")
    await make(s.p, "/mnt/b", "old ")
    assert await s.out("tee", "a", "new", stdin=b"text") == "text"
    assert await s.out("tee", "-a", "b", "newer", stdin=b"text") == "text"
    assert [await content(s.p, f"/mnt/{n}") for n in ("a", "new", "b", "newer")] == [
        "text",
        "text",
        "old text",
        "text",
    ]
    assert (await s.run("tee", "nosuch/x")).err == "tee: cannot open nosuch/x: 'nosuch' file does not exist\n"


async def test_wc_counts_lines_words_and_characters() -> None:
    s = await session()
    await make(s.p, "/mnt/f", "one two\nthree\n")
    await make(s.p, "/mnt/g", "é\tü")
    assert await s.out("wc", "f", "g") == (
        "      2       3      14 f\n      0       2       3 g\n      2       5      17 total\n"
    )
    assert await s.out("wc", "-cb", "g") == "      3       5 g\n"
    assert await s.out("wc", "-l", stdin=b"a\nb\n") == "      2\n"
    assert await s.out("wc", "-ce", stdin=b"a\xff\xe2\x82") == "      4       3\n"
    assert (await s.run("wc", "nosuch")).err == "wc: can't open nosuch: 'nosuch' file does not exist\n"


async def test_wc_counts_across_the_borders_of_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    s = await session()
    monkeypatch.setattr("nsh.cmd.wc.READSIZE", 3)
    assert await s.out("wc", stdin="wörds  of sevén letters\n".encode()) == "      1       4      24\n"


async def test_cmp_says_where_files_differ() -> None:
    s = await session()
    for name, text in (("a", "one\ntwo\n"), ("b", "one\ntwo\n"), ("c", "one\ntXo\n"), ("d", "one\n")):
        await make(s.p, f"/mnt/{name}", text)
    assert await s.run("cmp", "a", "b") == Result("")
    assert await s.run("cmp", "a", "c") == Result("a c differ: char 6\n", "", "differ")
    assert await s.run("cmp", "-L", "a", "c") == Result("a c differ: char 6 line 2\n", "", "differ")
    assert await s.run("cmp", "-l", "a", "c") == Result("     6 0x77 0x58\n", "", "differ")
    assert await s.run("cmp", "-s", "a", "c") == Result("", "", "differ")
    assert await s.run("cmp", "a", "d") == Result("EOF on d after 4 bytes\n", "", "EOF")
    assert await s.run("cmp", "a", "c", "6", "6") == Result("")
    assert (await s.run("cmp", "a", "x")).err == "cmp: can't open x: 'x' file does not exist\n"
    assert (await s.run("cmp", "a")).status == "usage"


@given(st.binary(max_size=40), st.binary(max_size=40), st.integers(1, 7))
def test_cmp_agrees_with_python(a: bytes, b: bytes, size: int) -> None:
    async def compare() -> Result:
        s = await session()
        for name, data in (("a", a), ("b", b)):
            fd = await s.p.create(f"/mnt/{name}")
            await s.p.write(fd, data)
            s.p.close(fd)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("nsh.cmd.cmp.READSIZE", size)
            return await s.run("cmp", "a", "b")

    result = asyncio.run(compare())
    at = next((i for i in range(min(len(a), len(b))) if a[i] != b[i]), None)
    if at is not None:
        assert result == Result(f"a b differ: char {at + 1}\n", "", "differ")
    elif len(a) != len(b):
        assert result.out == f"EOF on {'a' if len(a) < len(b) else 'b'} after {min(len(a), len(b))} bytes\n"
    else:
        assert result == Result("")


async def test_date_prints_any_second() -> None:
    s = await session()
    assert await s.out("date", "-u", "1263489120") == "Thu Jan 14 17:12:00 GMT 2010\n"
    assert await s.out("date", "-n", "0") == "0\n"
    assert await s.out("date", "-n", "") == "0\n"
    assert int(await s.out("date", "-n")) > 1263489120
    for wrong in (("x",), ("1", "2"), ("-u", "9" * 30), ("9" * 5000,)):
        assert (await s.run("date", *wrong)).err == "usage: date [-un] [seconds]\n"


async def test_date_calls_the_zone_gmt_that_the_host_calls_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    try:
        assert await (await session()).out("date", "0") == "Thu Jan 01 00:00:00 GMT 1970\n"
    finally:
        monkeypatch.undo()
        time.tzset()


async def test_sleep_takes_fractions_and_nothing_else() -> None:
    s = await session()
    for fine in ("0", "0.001", ".001", "-1"):
        assert await s.out("sleep", fine) == ""
    for wrong in ("", "x", "nan", "inf", "1e1", "1 "):
        assert (await s.run("sleep", wrong)).err == "usage: sleep time\n"


async def test_kill_ends_processes_by_number_and_by_command() -> None:
    s = await session()
    for by_name in (False, True):
        q = s.p.fork()
        q.args = ["sleep", "100"]
        q.start(lambda q: cmd.run(cmd.find("sleep"), q, q.args))
        out = await s.out("kill", "sleep" if by_name else str(q.pid))
        assert out == (f"{q.pid} \n" if by_name else "")
        assert await q.wait() == "killed"


async def test_kill_says_whom_it_does_not_find_or_may_not_kill() -> None:
    s = await session()
    q = s.p.fork()
    q.user = "glenda"
    assert await s.run("kill", "99999", "nosuch") == Result(
        "",
        "kill: cannot open /prog/99999/ctl: '/prog/99999' file does not exist\nkill: cannot find nosuch\n",
        "nothing killed",
    )
    s.p.user = "other"
    assert (await s.run("kill", str(q.pid))).err == f"kill: cannot kill {q.pid}: permission denied\n"
    assert (await s.run("kill")).status == "usage"
    assert q.status is None


async def test_kill_takes_numbers_of_any_length() -> None:
    s = await session()
    many = "9" * 5000
    assert (await s.run("kill", f"-{many}", str(s.p.fork().pid))).status.endswith("bad arg in system call")
    assert (await s.run("kill", "-9", many)).err == f"kill: cannot kill {many}: No such process\n"
    assert (await s.run("kill", many)).status == "nothing killed"
    assert (await s.run("ls", f"#p/{many}")).status != ""


async def test_memfs_mounts_an_empty_tree_that_takes_new_files() -> None:
    s = await session("d/", "d/under", "f")
    await s.out("memfs", "/mnt/d")
    assert await listing(s.p, "/mnt/d") == []
    await make(s.p, "/mnt/d/new")
    await s.out("memfs", "-b", "/mnt/d")
    assert await listing(s.p, "/mnt/d") == ["new"]
    assert await s.run("memfs", "f") == Result(
        "", "memfs: failed to mount onto f: inconsistent mount\n", "error"
    )
    assert (await s.run("memfs", "nosuch")).err == (
        "memfs: failed to mount onto nosuch: 'nosuch' file does not exist\n"
    )
    assert (await s.run("memfs", "-m", "x", "d")).status == "usage"


async def test_memfs_m_bounds_what_it_holds() -> None:
    s = await session("d/")
    await s.out("memfs", "-m", "2048", "/mnt/d")
    await make(s.p, "/mnt/d/a", "." * 511)
    result = await s.run("tee", "/mnt/d/b", stdin=bytes(2048))
    assert result.err == "tee: error writing /mnt/d/b: filesystem full\n"


async def test_memfs_looks_like_a_mounted_server_in_the_mount_table() -> None:
    s = await session("d/")
    await s.out("memfs", "/mnt/d")
    *_, (head, mount) = s.p.pgrp.mounts()
    assert str(head.covered.path) == "/mnt/d"
    assert str(mount.to.path) == "#M"
    assert mount.to.mchan is not None and str(mount.to.mchan.path) == "#|/data"


async def test_an_append_only_file_is_shown_and_appended_to() -> None:
    s = await session()
    s.p.close(await s.p.create("/mnt/log", 1, DMAPPEND | 0o666))
    for _ in range(2):
        await s.out("tee", "/mnt/log", stdin=b"x")
    assert await content(s.p, "/mnt/log") == "xx"
    assert (await s.out("ls", "-l", "log")).startswith("arw-r--r-- ")


# --- what the commands share -------------------------------------------------------------------


def test_options_are_letters_that_may_be_joined_and_may_have_values() -> None:
    options = parse(["x", "-ab", "-n5", "-n", "6", "--", "-c"], "abcn:", "usage")
    assert "a" in options and "b" in options and "c" not in options
    assert (options.value("n"), options.values("n"), options.args) == ("6", ["5", "6"], ["-c"])
    assert parse(["x", "-", "-a"], "a", "").args == ["-", "-a"]
    for wrong in (["x", "-z"], ["x", "-n"], ["x", "-:"]):
        with pytest.raises(Usage):
            parse(wrong, "an:", "usage")


def test_names_are_joined_and_taken_apart() -> None:
    assert [join(d, "x") for d in ("/", "a", "a/")] == ["/x", "a/x", "a/x"]
    assert [basename(n) for n in ("/a/b", "b", "a/b/", "/")] == ["b", "b", "b", "/"]


def test_every_command_can_be_found() -> None:
    for name in cmd.names():
        assert callable(cmd.find(name))


async def test_wc_counts_what_lies_in_two_reads_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wc, "READSIZE", 3)
    s = await session()
    text = "one  two\tthree\n\u00e9\u00e9\u20ac x\n".encode() + b"\xff\xfe"
    for letter, count in {"l": 2, "w": 6, "c": 23, "e": 2, "b": len(text)}.items():
        assert await s.out("wc", f"-{letter}", stdin=text) == f"{count:7}\n"


@pytest.mark.parametrize(
    ("duration", "printed"),
    [
        (0.0002, "0"),
        (0.0016, "0.002"),
        (1.0001, "1"),
        (12.3456, "12.35"),
        (1234.56, "1235"),
        (86400.4, "86400"),
    ],
)
def test_time_prints_milliseconds_in_four_digits_and_never_an_exponent(duration: float, printed: str) -> None:
    assert seconds(duration) == printed
