"""styxmon: what passes is passed on as it is, printed, recorded, and played again; nsh -D prints the same."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pathlib
import shutil
import sys
from collections.abc import AsyncIterator

import pytest

from nsh import cmd
from nsh.cmd import styxmon
from nsh.errors import FileFormatError
from nsh.kern.chan import Chan, settle
from nsh.kern.mnt import MCREATE, MREPL
from nsh.kern.proc import RFCFDG, Proc
from nsh.p9 import msg, trace
from nsh.p9.const import MAXMSIZE
from nsh.p9.watch import LIMIT, Record, Seen, Watch, record, records, seen
from tests.cmd.session import Result, Session, session
from tests.kern.world import content, make, world
from tests.net.peers import Host

VERSION = msg.encode(msg.Tversion(65535, 8192, "9P2000"))


class Monitor:
    """A styxmon that runs as a process of ``p``; ``end``: the descriptor at which it is the server."""

    def __init__(self, p: Proc, end: Chan, monitor: Proc) -> None:
        self._p = p
        self.end = end
        self.proc = monitor

    @classmethod
    async def start(cls, p: Proc, *args: str) -> Monitor:
        theirs, ours = await p.system.pipe()
        child = p.fork(RFCFDG)
        for name in ("#Rstdio/out", "#Rstdio/err"):
            with contextlib.suppress(OSError):
                await child.remove(name)
        child.fgrp.put(0, theirs)
        for name in ("#Rstdio/out", "#Rstdio/err"):
            await child.create(name)
        child.start(lambda q: cmd.run(cmd.find("styxmon"), q, ["styxmon", *args]))
        return cls(p, ours, child)

    async def mount(self, name: str) -> None:
        fd = self._p.fgrp.new(self.end)
        await self._p.mount(fd, name, MREPL | MCREATE)
        self._p.close(fd)

    async def lines(self) -> list[str]:
        """What it has printed."""
        return (await content(self._p, "#Rstdio/err")).splitlines()


async def use(s: Session, server: str, *options: str) -> list[str]:
    """What is printed of a conversation with ``server``; it is mounted on /mnt/n."""
    monitor = await Monitor.start(s.p, *options, server)
    await monitor.mount("/mnt/n")
    assert await content(s.p, "/mnt/n/f") == "f"
    await s.p.unmount(None, "/mnt/n")
    assert await monitor.proc.wait() == ""
    return await monitor.lines()


async def recorded(s: Session, host: Host) -> str:
    """The record of a conversation with a host, in the file /mnt/rec."""
    await use(s, host.address, "-w", "/mnt/rec")
    return await content(s.p, "/mnt/rec")


# --- printing -------------------------------------------------------------------------------------------


async def test_a_conversation_is_passed_on_and_printed() -> None:
    s = await session("n/")
    host = await Host.start(await world("f"))
    lines = await use(s, host.address)
    assert lines[:3] == [
        f"<- Tversion tag 65535 msize {MAXMSIZE} version '9P2000'",
        f"-> Rversion tag 65535 msize {MAXMSIZE} version '9P2000'",
        "<- Tattach tag 1 fid 0 afid -1 uname eve aname ",
    ]
    assert any(line.endswith("count 1 'f'") for line in lines)
    await host.stop()


async def test_requests_or_replies_can_be_left_out() -> None:
    s = await session("n/")
    host = await Host.start(await world("f"))
    every = await use(s, host.address)
    only = {option: await use(s, host.address, option) for option in ("-r", "-t", "-rt")}
    assert {line[:2] for line in only["-r"]} == {"->"} and {line[:2] for line in only["-t"]} == {"<-"}
    assert len(only["-r"]) + len(only["-t"]) == len(every) == len(only["-rt"])
    await host.stop()


async def test_bytes_that_are_no_messages_pass_too() -> None:
    s = await session()
    theirs, ours = await s.p.system.pipe()
    await s.p.bind("#s", "/mnt", MREPL | MCREATE)
    monitor = await Monitor.start(s.p, "-w", "#Rstdio/rec", "nosuch!address")
    assert await monitor.proc.wait() != ""
    seen_lines: list[str] = []

    async def tell(message: Seen) -> None:
        seen_lines.append(message.text)

    client, near = await s.p.system.pipe()
    task = asyncio.create_task(styxmon.between(near, theirs, tell))
    unknown = b"\x09\0\0\0\xc8\x01\0ab"
    for data in (unknown, b"\xff\xff\xff\xff garbage", b"more"):
        await settle(client.dev.write(client, data, 0))
        assert await settle(ours.dev.read(ours, 100, 0)) == data
    assert seen_lines[0].startswith("<- type 200 tag 1, 9 bytes: ")
    assert seen_lines[1].startswith("not 9P from here on: message size 4294967295")
    assert len(seen_lines) == 2
    for end in (client, ours, near, theirs, monitor.end):
        end.close()
    await task


async def test_a_server_that_hangs_up_ends_it() -> None:
    s = await session("n/")
    host = await Host.start(await world("f"))
    monitor = await Monitor.start(s.p, host.address)
    await monitor.mount("/mnt/n")
    await host.stop()
    assert await monitor.proc.wait() == ""
    with pytest.raises(OSError, match=r"hungup|mount rpc error"):
        await content(s.p, "/mnt/n/f")


async def test_its_usage_and_a_server_that_is_not_there() -> None:
    s = await session()
    for argv in ([], ["-x", "c"], ["-p", "f"], ["-rp", "f", "c"]):
        assert await s.run("styxmon", *argv) == Result("", f"usage: styxmon {styxmon.USAGE}\n", "usage")
    result = await s.run("styxmon", "tcp!127.0.0.1!1")
    assert result.status == "dial failed" and "can't dial tcp!127.0.0.1!1" in result.err


async def test_9pfuse_prints_what_it_mounts() -> None:
    s = await session("n/")
    host = await Host.start(await world("f"))
    result = await s.run("9pfuse", "-D", host.address, "/mnt/n")
    assert result.status == "" and result.err.startswith("<- Tversion tag 65535")
    assert await content(s.p, "/mnt/n/f") == "f"
    await s.p.unmount(None, "/mnt/n")
    await host.stop()


# --- records --------------------------------------------------------------------------------------------


async def test_a_record_can_be_read_back() -> None:
    s = await session("n/")
    host = await Host.start(await world("f"))
    text = await recorded(s, host)
    first = msg.Tversion(65535, MAXMSIZE, "9P2000")
    assert text.splitlines()[0].endswith(f" <- {msg.encode(first).hex()} # {trace.text(first)}")
    found = records(text)
    assert [r.seconds for r in found] == sorted(r.seconds for r in found)
    assert "".join(record(r.seconds, seen(r.frame)) for r in found) == text
    await host.stop()


def test_a_record_may_be_cut_and_commented() -> None:
    text = f"# begins here\n\n1.5 <- {VERSION.hex().upper()}\n  2 -> 07000000790100 # Rclunk\n"
    assert records(text) == [Record(1.5, VERSION), Record(2.0, b"\x07\0\0\0\x79\x01\0")]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("1.5 <-", "not a time, a direction and a message"),
        (f"1.5 = {VERSION.hex()}", "not a time, a direction and a message"),
        (f"soon <- {VERSION.hex()}", "a time in seconds and a message in hexadecimal are wanted"),
        ("1.5 <- 0700000", "a time in seconds and a message in hexadecimal are wanted"),
        ("1.5 <- 08000000780100", "the size of the message is not its length, 7 bytes"),
        ("1.5 <- 0700", "the size of the message is not its length, 2 bytes"),
        (f"1.5 -> {VERSION.hex()}", "a message of type 100 does not go in direction ->"),
    ],
)
async def test_a_record_that_is_wrong_is_refused_with_the_line(line: str, complaint: str) -> None:
    with pytest.raises(FileFormatError, match=f"rec:2: {complaint}"):
        records(f"# 1\n{line}\n", "rec")
    s = await session()
    await make(s.p, "/mnt/rec", f"#\n{line}\n")
    result = await s.run("styxmon", "-p", "rec", "tcp!127.0.0.1!1")
    assert result == Result("", f"styxmon: rec:2: {complaint}\n", "format")


def test_watching_takes_no_memory_for_a_size_that_is_claimed() -> None:
    watch = Watch()
    assert watch.see((LIMIT + 1).to_bytes(4, "little"))[0].frame == b""
    assert watch.see(VERSION) == []


# --- playing a record -----------------------------------------------------------------------------------


async def test_a_server_that_answers_as_before_shows_no_difference() -> None:
    s = await session("n/")
    host = await Host.start(await world("f"))
    await recorded(s, host)
    assert await s.out("styxmon", "-p", "rec", host.address) == ""
    await host.stop()


async def test_another_answer_is_shown_beside_the_recorded_one() -> None:
    s = await session("n/")
    host = await Host.start(await world("f"))
    await recorded(s, host)
    await host.p.wstat("/mnt/f", (await host.p.stat("/mnt/f")).dont_touch(mode=0o000))
    result = await s.run("styxmon", "-p", "rec", host.address)
    assert (result.err, result.status) == ("", "differences")
    lines = result.out.splitlines()
    assert lines[0].startswith("< -> Ropen tag ")
    assert lines[1].startswith("> -> Rerror tag ") and lines[1].endswith(" ename permission denied")
    await host.stop()


async def test_a_difference_behind_what_a_line_shows_is_told_by_its_place() -> None:
    s = await session("n/", "n/f")
    host = await Host.start(await world())
    await make(host.p, "/mnt/f", "x" * 100)
    monitor = await Monitor.start(s.p, "-w", "/mnt/rec", host.address)
    await monitor.mount("/mnt/n")
    assert await content(s.p, "/mnt/n/f") == "x" * 100
    await s.p.unmount(None, "/mnt/n")
    await monitor.proc.wait()
    text = await content(s.p, "/mnt/rec")
    await s.p.writefile("/mnt/rec", text.replace("78" * 100, "78" * 99 + "79").encode())
    result = await s.run("styxmon", "-p", "rec", host.address)
    old, new = result.out.splitlines()
    assert (old[2:], new[2:]) == (new[2:].removesuffix(" (differs from byte 110 on)"), new[2:])
    await host.stop()


def _lines(*frames: bytes) -> str:
    return "".join(record(0.1 * i, seen(frame)) for i, frame in enumerate(frames))


def _opening(name: str) -> list[bytes]:
    """The requests that open ``name``, without their replies."""
    return [
        msg.encode(m)
        for m in (
            msg.Tversion(65535, 8192, "9P2000"),
            msg.Tattach(1, 0, 0xFFFFFFFF, "eve", ""),
            msg.Twalk(1, 0, 1, (name,)),
            msg.Topen(1, 1, 0),
        )
    ]


async def play(s: Session, address: str, *frames: bytes) -> list[str]:
    await s.p.writefile("/mnt/rec", _lines(*frames).encode())
    return (await s.run("styxmon", "-p", "rec", address)).out.splitlines()


async def _answered(s: Session, host: Host, *frames: bytes) -> list[bytes]:
    """``frames`` with the reply of the host after each."""
    theirs = await styxmon._server(s.p, [host.address])
    found = []
    for frame in frames:
        await settle(theirs.dev.write(theirs, frame, 0))
        found += [frame, await settle(theirs.dev.read(theirs, 8192, 0))]
    theirs.close()
    return found


async def test_a_reply_that_does_not_come_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(styxmon, "LATE", 0.1)
    s = await session("rec")
    host = await Host.start(await world(), "#|")
    opened = await _answered(s, host, *_opening("data"))
    read = msg.encode(msg.Tread(7, 1, 0, 10))
    assert await play(s, host.address, *opened, read, msg.encode(msg.Rread(7, b"hi"))) == [
        "< -> Rread tag 7 count 2 'hi'",
        "> no reply in 0.2 s",
    ]
    await host.stop()


async def test_a_request_that_is_flushed_now_and_was_answered_then() -> None:
    s = await session("rec")
    host = await Host.start(await world(), "#|")
    opened = await _answered(s, host, *_opening("data"))
    read, flush = msg.encode(msg.Tread(7, 1, 0, 10)), msg.encode(msg.Tflush(8, 7))
    answer, flushed = msg.encode(msg.Rread(7, b"hi")), msg.encode(msg.Rflush(8))
    assert await play(s, host.address, *opened, read, flush, answer, flushed) == [
        "< -> Rread tag 7 count 2 'hi'",
        "> flushed, no reply",
    ]
    assert await play(s, host.address, *opened, read, flush, flushed) == []
    await host.stop()


async def test_a_reply_that_was_not_recorded() -> None:
    """It is told of, unless the record just ends before it."""
    s = await session("rec")
    host = await Host.start(await world("f"))
    opened = await _answered(s, host, *_opening("f"), msg.encode(msg.Tclunk(1, 1)))
    walked = seen(opened[5]).text
    assert await play(s, host.address, *opened[:5], *opened[6:]) == [f"> {walked}"]
    assert await play(s, host.address, *opened[:-1]) == []
    await host.stop()


async def test_a_server_that_hangs_up_on_the_way() -> None:
    s = await session("rec")
    host = await Host.start(await world("f"))
    opened = await _answered(s, host, *_opening("f"))
    await host.stop()
    sock = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    where = f"tcp!127.0.0.1!{sock.sockets[0].getsockname()[1]}"
    lines = await play(s, where, *opened)
    assert lines[-1] == "> the server has hung up" and len(lines) <= 2
    sock.close()
    await sock.wait_closed()


# --- programs -------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def shell(*args: str, wait_for: pathlib.Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """An nsh that stays, and has made the socket ``wait_for``."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "nsh", *args, stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    try:
        while not there(wait_for):
            assert child.returncode is None
            await asyncio.sleep(0.02)
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.terminate()
        await child.communicate()


def there(name: pathlib.Path) -> bool:
    return name.exists()


async def output(*argv: str, code: int = 0) -> tuple[str, str]:
    child = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await child.communicate()
    assert child.returncode == code, err
    return out.decode(), err.decode()


@pytest.mark.requires("9pserve")
async def test_between_plan9ports_client_and_our_server_both_see_the_same(tmp_path: pathlib.Path) -> None:
    serve = shutil.which("9pserve")
    assert serve is not None
    client = str(pathlib.Path(serve).with_name("9p"))
    (tmp_path / "f").write_text("hello\n")
    server, between = tmp_path / "server", tmp_path / "between"
    exporter = f"styxlisten -s unix!{server} export {tmp_path}"
    monitor = f"listen -s unix!{between} styxmon -w {tmp_path}/rec unix!{server}"
    async with shell("-c", exporter, wait_for=server), shell("-c", monitor, wait_for=between) as child:
        out, err = await output(client, "-Dna", f"unix!{between}", "read", "f")
        assert out == "hello\n"
        theirs = err.replace("Tversion tag 0", "Tversion tag 65535").splitlines()
        assert child.stderr is not None
        ours = [(await child.stderr.readline()).decode().rstrip("\n") for _ in theirs]
        assert ours == theirs
        play = (sys.executable, "-m", "nsh", "-c", f"styxmon -p {tmp_path}/rec unix!{server}")
        assert await output(*play) == ("", "")
        (tmp_path / "f").write_text("other\n")
        out, err = await output(*play, code=1)
        assert "< -> Rread tag 0 count 6 '68656c6c 6f0a'\n> -> Rread tag 0 count 6 '6f746865 720a'\n" in out


async def test_nsh_d_prints_what_it_asks_and_what_it_is_asked(tmp_path: pathlib.Path) -> None:
    (tmp_path / "f").write_text("hello\n")
    server = tmp_path / "server"
    nsh = (sys.executable, "-m", "nsh")
    async with shell("-D", "-c", f"styxlisten -s unix!{server} export {tmp_path}", wait_for=server) as child:
        words = f"mount unix!{server} /n/x; cat /n/x/f; unmount /n/x"
        out, asked = await output(*nsh, "-Dc", words)
        assert out == "hello\n"
        assert f"<- Tversion tag 65535 msize {MAXMSIZE} version '9P2000'\n" in asked
        assert "-> Rread tag 1 count 6 '68656c6c 6f0a'\n" in asked
        assert child.stderr is not None
        # the last clunk, in the background, may not have been answered when the shell was gone
        lines = asked.splitlines()
        told = [(await child.stderr.readline()).decode().rstrip("\n") for _ in lines]
        assert told == lines
        assert await output(*nsh, "-c", words) == ("hello\n", "")


async def test_nobody_who_reads_the_trace_is_no_reason_to_stop(tmp_path: pathlib.Path) -> None:
    (tmp_path / "f").write_text("hello\n")
    words = f"styxlisten unix!{tmp_path}/s export {tmp_path}; mount unix!{tmp_path}/s /n/x; cat /n/x/f"
    reading, writing = os.pipe()
    os.close(reading)
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "nsh", "-Dc", words, stdout=asyncio.subprocess.PIPE, stderr=writing
    )
    os.close(writing)
    assert (await child.communicate())[0] == b"hello\n"
