"""Serving over sockets: requests that wait, clients that go, clients that are slow, clients that lie."""

from __future__ import annotations

import asyncio
import contextvars
import socket
from typing import Any

import py9p
import pytest

from nsh.kern.mnt import MREPL
from nsh.net.step import start
from nsh.p9 import msg
from nsh.p9.const import NOFID, NOTAG, OREAD
from tests.kern.world import content, make, world
from tests.net.peers import Host, quiet

# --- the first step of a request ---------------------------------------------------------------


class Outcome:
    """What a started coroutine came to."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, BaseException | None]] = []

    def __call__(self, value: Any, error: BaseException | None) -> None:
        self.calls.append((value, error))


async def test_what_does_not_wait_is_done_without_a_task() -> None:
    async def work() -> int:
        return 7

    outcome = Outcome()
    tasks = len(asyncio.all_tasks())
    assert start(work(), outcome) is None
    assert outcome.calls == [(7, None)]
    assert len(asyncio.all_tasks()) == tasks


async def test_an_error_without_waiting_is_reported_at_once() -> None:
    error = FileNotFoundError()

    async def work() -> None:
        raise error

    outcome = Outcome()
    assert start(work(), outcome) is None
    assert outcome.calls == [(None, error)]


async def test_what_waits_becomes_a_task_and_is_reported_once() -> None:
    turn: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def work() -> int:
        await asyncio.sleep(0)
        return await turn + await asyncio.sleep(0.001, 1)

    outcome = Outcome()
    task = start(work(), outcome)
    assert task is not None
    assert not outcome.calls
    turn.set_result(1)
    await asyncio.wait([task])
    await asyncio.sleep(0)
    assert outcome.calls == [(2, None)]


async def test_two_requests_may_wait_for_the_same_future() -> None:
    turn: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def work() -> int:
        return await turn

    outcome = Outcome()
    tasks = [start(work(), outcome) for _ in range(3)]
    turn.set_result(5)
    await asyncio.wait([task for task in tasks if task is not None])
    await asyncio.sleep(0)
    assert outcome.calls == [(5, None)] * 3


@pytest.mark.parametrize("patience", [0, 0.01])
async def test_a_timeout_that_begins_in_the_first_step_works(patience: float) -> None:
    async def work() -> str:
        try:
            async with asyncio.timeout(patience):
                await asyncio.sleep(60)
        except TimeoutError:
            return "timed out"
        return "slept"

    outcome = Outcome()
    task = start(work(), outcome)
    assert task is not None
    await asyncio.wait([task])
    await asyncio.sleep(0)
    assert outcome.calls == [("timed out", None)]


async def test_cancelling_before_the_second_step_reaches_what_is_awaited() -> None:
    seen: list[str] = []

    async def inner() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.append("inner")
            raise

    async def work() -> None:
        task = asyncio.create_task(inner())
        await asyncio.sleep(0)
        try:
            await task
        finally:
            seen.append("outer")

    outcome = Outcome()
    task = start(work(), outcome)
    assert task is not None
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await asyncio.sleep(0)
    assert seen == ["inner", "outer"]
    [(_, error)] = outcome.calls
    assert isinstance(error, asyncio.CancelledError)


async def test_cancelling_at_once_runs_the_finally_of_the_request() -> None:
    seen: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            seen.append("done")

    outcome = Outcome()
    task = start(work(), outcome)
    assert task is not None
    task.cancel()
    await asyncio.wait([task])
    await asyncio.sleep(0)
    assert seen == ["done"]
    assert len(outcome.calls) == 1


async def test_a_request_changes_no_context_but_its_own() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="outside")

    async def work() -> str:
        variable.set("inside")
        await asyncio.sleep(0)
        return variable.get()

    outcome = Outcome()
    task = start(work(), outcome)
    assert task is not None
    assert variable.get() == "outside"
    await asyncio.wait([task])
    await asyncio.sleep(0)
    assert outcome.calls == [("inside", None)]


# --- real clients ------------------------------------------------------------------------------


async def test_an_independent_client_lists_reads_and_writes() -> None:
    p = await world("d/", "d/f")
    host = await Host.start(p)

    def use() -> None:
        with py9p.Client.connect_tcp("127.0.0.1", host.port, timeout=10) as client:
            client.negotiate()
            client.attach(0, uname="glenda")
            client.walk(0, 1, "d/f")
            client.open(1, OREAD)
            assert client.read(1, 100) == b"f"
            client.walk(0, 2, "d")
            client.create(2, "new", 0o644, 1)
            assert client.write(2, b"x" * 8000) == 8000
            client.clunk(2)
            assert client.stat(1).name == "f"
            with pytest.raises(py9p.client.RemoteError, match="file does not exist"):
                client.walk(0, 3, "nosuch")

    await asyncio.to_thread(use)
    assert await content(p, "/mnt/d/new") == "x" * 8000
    await host.stop()


class Raw:
    """A client that says what it is told to, and nothing else."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, host: Host) -> Raw:
        client = cls(*await asyncio.open_connection("127.0.0.1", host.port))
        await client.rpc(msg.Tversion(NOTAG, 65560, "9P2000"))
        await client.rpc(msg.Tattach(1, 0, NOFID, "glenda", ""))
        return client

    def send(self, *messages: msg.Message) -> None:
        self.writer.write(b"".join(msg.encode(m) for m in messages))

    async def reply(self) -> msg.Message:
        size = await self.reader.readexactly(4)
        return msg.decode(size + await self.reader.readexactly(int.from_bytes(size, "little") - 4))

    async def rpc(self, message: msg.Message) -> msg.Message:
        self.send(message)
        return await self.reply()

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()


async def test_a_read_that_waits_holds_nobody_up_and_can_be_flushed() -> None:
    p = await world("p/", "f")
    await p.bind("#|", "/mnt/p", MREPL)
    host = await Host.start(p)
    client = await Raw.connect(host)
    await client.rpc(msg.Twalk(1, 0, 1, ("p", "data")))
    await client.rpc(msg.Topen(1, 1, OREAD))
    client.send(msg.Tread(5, 1, 0, 100), msg.Tread(6, 1, 0, 100))
    client.send(msg.Tstat(7, 0), msg.Tflush(8, 5))
    replies = [type(await client.reply()) for _ in range(2)]
    assert set(replies) == {msg.Rstat, msg.Rflush}
    fd = await p.open("/mnt/p/data1", 1)
    await p.write(fd, b"late")
    p.close(fd)
    assert await client.reply() == msg.Rread(6, b"late")
    await client.close()
    await quiet()
    await host.stop()


async def test_what_belongs_to_a_client_ends_with_its_connection() -> None:
    p = await world("p/", "f")
    await p.bind("#|", "/mnt/p", MREPL)
    host = await Host.start(p)
    first, second = await Raw.connect(host), await Raw.connect(host)
    ended: list[int] = []
    for number, server in enumerate(host.servers):
        assert server.proc.leader is server.proc
        server.proc.atexit(lambda number=number: ended.append(number))  # type: ignore[misc]
    await first.rpc(msg.Twalk(1, 0, 1, ("p", "data")))
    await first.rpc(msg.Topen(1, 1, OREAD))
    first.send(msg.Tread(5, 1, 0, 100))
    await asyncio.sleep(0.01)
    await first.close()
    await quiet()
    assert ended == [0]
    fd = await p.open("/mnt/p/data1", 1)
    assert isinstance(await second.rpc(msg.Tstat(1, 0)), msg.Rstat)
    p.close(fd)
    await second.close()
    await quiet()
    assert ended == [0, 1]
    assert [q for q in p.system.procs.values() if "export" in q.args] == []
    await host.stop()


async def test_a_client_that_reads_no_replies_is_held_back_and_nobody_else() -> None:
    p = await world()
    await make(p, "/mnt/big", "x" * 60000)
    host = await Host.start(p)
    slow, other = await Raw.connect(host), await Raw.connect(host)
    await slow.rpc(msg.Twalk(1, 0, 1, ("big",)))
    await slow.rpc(msg.Topen(1, 1, OREAD))
    wanted = 4000
    slow.send(*(msg.Tread(tag, 1, 0, 60000) for tag in range(wanted)))
    await asyncio.sleep(0.1)
    conn = host.servers[0]._stream
    assert conn.backlog() < 32 << 20  # and not the 240 MB that were asked for
    assert isinstance(await other.rpc(msg.Tstat(1, 0)), msg.Rstat)
    tags = [(await slow.reply()).tag for _ in range(wanted)]
    assert tags == list(range(wanted))
    for client in slow, other:
        await client.close()
    await quiet()
    await host.stop()


async def test_a_slow_client_that_goes_leaves_nothing() -> None:
    p = await world()
    await make(p, "/mnt/big", "x" * 60000)
    host = await Host.start(p)
    slow = await Raw.connect(host)
    await slow.rpc(msg.Twalk(1, 0, 1, ("big",)))
    await slow.rpc(msg.Topen(1, 1, OREAD))
    slow.send(*(msg.Tread(tag, 1, 0, 60000) for tag in range(2000)))
    await asyncio.sleep(0.1)
    slow.writer.transport.abort()
    await quiet()
    assert host.servers[0].proc.status is not None
    await host.stop()


@pytest.mark.logs("connection closed")
async def test_a_client_that_breaks_the_rules_is_hung_up_with_one_line() -> None:
    p = await world()
    host = await Host.start(p)
    client = await Raw.connect(host)
    client.writer.write(b"\x03\0\0\0garbage")
    assert await client.reader.read() == b""
    await client.close()
    await host.stop()


async def test_the_end_of_the_server_hangs_up_its_clients() -> None:
    p = await world()
    host = await Host.start(p)
    client = await Raw.connect(host)
    await host.stop()
    assert await client.reader.read() == b""
    await client.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", host.port))
