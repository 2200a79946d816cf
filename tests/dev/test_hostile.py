"""The mount device and a server that means no good: nothing grows without end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from nsh.p9 import const, msg
from nsh.p9.const import QTDIR
from nsh.p9.stat import Dir, Qid
from tests.dev.rogue import Rogue
from tests.kern.world import failure
from tests.net.peers import quiet


async def cancelled(work: Coroutine[Any, Any, object]) -> None:
    task = asyncio.create_task(work)
    await quiet()
    task.cancel()
    await asyncio.wait([task])


async def test_the_data_of_a_write_that_was_given_up_is_not_kept() -> None:
    """The server answers neither the Twrite nor its Tflush."""
    rogue = await Rogue.start()
    fd = await rogue.open()
    rogue.held = lambda m: isinstance(m, msg.Twrite | msg.Tflush)
    for _ in range(8):
        await cancelled(rogue.p.write(fd, b"x" * 100_000))
    pending = rogue.p.fgrp.get(fd).aux.link.client._pending.values()
    writes = [each.message for each in pending if isinstance(each.message, msg.Twrite)]
    assert (len(writes), sum(len(m.data) for m in writes)) == (8, 0)
    rogue.p.close(fd)
    await rogue.stop()


async def test_a_directory_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(const, "DIRMAX", 1 << 20)
    rogue = await Rogue.start()
    rogue.qid = Qid(QTDIR, 0, 1)
    entries = Dir(0, 0, Qid(0, 0, 2), 0o666, 0, 0, 1, "again", "u", "g", "m").pack() * 100

    def endless(m: msg.Message, right: msg.Message) -> msg.Message:
        return msg.Rread(m.tag, entries) if isinstance(m, msg.Tread) else right

    rogue.twist = endless
    assert await failure(rogue.p.readdir("/mnt/a/f")) == "directory has no end"
    assert rogue.count(msg.Tread) <= (1 << 20) // len(entries) + 1
    await rogue.stop()


async def test_a_server_that_takes_nothing_is_sent_only_so_much() -> None:
    """What it does not take is not queued for it, however often one tries."""
    rogue = await Rogue.start()
    fd = await rogue.open()
    rogue.pause()
    for _ in range(30):
        await cancelled(rogue.p.write(fd, b"x" * 1_000_000))
    link = rogue.p.fgrp.get(fd).aux.link
    assert link._stream.backlog() < 6_000_000
    rogue.resume()
    rogue.p.close(fd)
    await rogue.stop()
