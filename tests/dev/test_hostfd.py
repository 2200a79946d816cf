"""Descriptors of the host as Chans: nothing blocks the loop, nothing changes for those who share them."""

from __future__ import annotations

import asyncio
import os
import pty
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from nsh import errors
from nsh.dev.hostfd import HostFdDevice, broken
from nsh.kern.chan import Chan, settle
from nsh.kern.proc import System


def device() -> HostFdDevice:
    return HostFdDevice(System({}))


@asynccontextmanager
async def pipe() -> AsyncIterator[tuple[Chan, Chan]]:
    reading, writing = device().pipe()
    try:
        yield reading, writing
    finally:
        for c in (reading, writing):
            if c.opened:
                c.close()


async def read(c: Chan, count: int = 8192) -> bytes:
    return await settle(c.dev.read(c, count, 0))


async def write(c: Chan, data: bytes) -> int:
    return await settle(c.dev.write(c, data, 0))


async def test_a_read_waits_for_what_is_written() -> None:
    async with pipe() as (reading, writing):
        waiting = asyncio.create_task(read(reading))
        await asyncio.sleep(0)
        assert not waiting.done()
        await write(writing, b"data")
        assert await waiting == b"data"


async def test_what_is_there_is_read_without_a_task() -> None:
    async with pipe() as (reading, writing):
        await write(writing, b"data")
        assert reading.dev.read(reading, 2, 0) == b"da"
        assert reading.dev.read(reading, 8192, 0) == b"ta"


async def test_a_large_write_waits_for_the_reader_and_is_whole() -> None:
    async with pipe() as (reading, writing):
        data = os.urandom(300_000)
        task = asyncio.create_task(write(writing, data))
        got = b""
        while len(got) < len(data):
            got += await read(reading, 65536)
        assert got == data
        assert await task == len(data)


async def test_writes_of_several_do_not_mix() -> None:
    async with pipe() as (reading, writing):
        pieces = [bytes([letter]) * 100_000 for letter in b"abc"]
        tasks = [asyncio.create_task(write(writing, piece)) for piece in pieces]
        got = b""
        while len(got) < 300_000:
            got += await read(reading, 65536)
        assert got == b"".join(pieces)
        await asyncio.gather(*tasks)


async def test_the_end_of_a_pipe_is_an_empty_read_and_a_broken_one_an_error() -> None:
    async with pipe() as (reading, writing):
        await write(writing, b"last")
        writing.close()
        assert [await read(reading), await read(reading)] == [b"last", b""]
    async with pipe() as (reading, writing):
        reading.close()
        assert not broken(writing)
        with pytest.raises(errors.Ewclosed):
            await write(writing, b"data")
        assert broken(writing)


async def test_the_shared_descriptor_stays_blocking() -> None:
    async with pipe() as (reading, writing):
        await write(writing, b"data")
        await read(reading)
        for c in (reading, writing):
            assert os.get_blocking(device().fileno(c))


async def test_a_waiting_read_can_be_cancelled_and_loses_nothing() -> None:
    async with pipe() as (reading, writing):
        waiting = asyncio.create_task(read(reading))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await write(writing, b"data")
        assert await read(reading) == b"data"


async def test_two_readers_share_what_comes() -> None:
    async with pipe() as (reading, writing):
        tasks = [asyncio.create_task(read(reading, 2)) for _ in range(2)]
        await asyncio.sleep(0)
        await write(writing, b"abcd")
        assert [await task for task in tasks] == [b"ab", b"cd"]


@pytest.mark.requires("a terminal")
async def test_a_terminal_hands_out_lines() -> None:
    ours, theirs = pty.openpty()
    c = device().chan(theirs)
    try:
        waiting = asyncio.create_task(read(c))
        await asyncio.sleep(0)
        os.write(ours, b"line\n")
        assert await waiting == b"line\n"
    finally:
        c.close()
        os.close(ours)


async def test_a_socket_works_both_ways() -> None:
    one, other = socket.socketpair()
    with other:
        c = device().chan(one.detach())
        waiting = asyncio.create_task(read(c))
        await asyncio.sleep(0)
        other.send(b"in")
        assert await waiting == b"in"
        await write(c, b"out")
        assert other.recv(10) == b"out"
        c.close()


async def test_a_file_is_read_where_its_descriptor_stands() -> None:
    fd = os.memfd_create("test")
    os.write(fd, b"one two")
    os.lseek(fd, 4, os.SEEK_SET)
    c = device().chan(fd)
    assert c.dev.read(c, 100, 0) == b"two"
    assert c.dev.read(c, 100, 0) == b""
    c.close()


async def test_a_descriptor_that_is_not_ours_stays_open() -> None:
    reading, writing = os.pipe()
    device().chan(writing, own=False).close()
    os.write(writing, b"x")
    os.close(writing)
    os.close(reading)
