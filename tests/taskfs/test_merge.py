"""What many tasks print at the same time is one output, the same for all who read it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nsh.p9.const import OWRITE
from tests.taskfs.test_data import small_quota
from tests.taskfs.world import World, world

CHILDREN = 3
PIECES = st.tuples(st.integers(0, CHILDREN - 1), st.text("\n", max_size=3).map(lambda ends: "x" + ends))
"""A child, and what it prints next, but for the digits that say whose it is."""


def with_ends(pieces: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """The pieces, and an end for the last line of each child."""
    return [*pieces, *((rank, "\n") for rank in range(CHILDREN))]


async def scenario(outmode: str, pieces: Sequence[tuple[int, str]], late: set[int]) -> list[str]:
    """Let children print these pieces in this order; readers come before the first, and before those whose
    numbers are in ``late``. What each reader has got.
    """
    async with world() as w:
        s = await w.team(CHILDREN, f"outmode {outmode}", "exec cat")
        fds = [await w.p.open(f"{s}/{rank}/stdin", OWRITE) for rank in range(CHILDREN)]
        readers = [asyncio.create_task(w.cat(f"{s}/stdout"))]
        for number, (rank, text) in enumerate(pieces):
            if number in late:
                readers.append(asyncio.create_task(w.cat(f"{s}/stdout")))
            await w.p.write(fds[rank], text.replace("x", str(rank)).encode())
            if number % 3 == 0:
                await asyncio.sleep(0)
        for fd in fds:
            w.p.close(fd)
        await w.echo("closein", f"{s}/ctl")
        got = [await reader for reader in readers]
        return [*got, await w.cat(f"{s}/stdout")]


def printed(pieces: Sequence[tuple[int, str]], rank: int) -> str:
    """What the child prints in all."""
    return "".join(text for mine, text in pieces if mine == rank).replace("x", str(rank))


@settings(max_examples=15)
@given(st.lists(PIECES, max_size=20).map(with_ends), st.sets(st.integers(0, 19), max_size=3))
def test_all_readers_see_whole_lines_in_one_order(pieces: list[tuple[int, str]], late: set[int]) -> None:
    first, *others = asyncio.run(scenario("line", pieces, late))
    assert all(other == first for other in others)
    for rank in range(CHILDREN):
        mine = [line for line in first.splitlines(keepends=True) if line[0] == str(rank)]
        assert mine == [line for line in printed(pieces, rank).splitlines(keepends=True) if line.strip()]
    assert sorted(first) == sorted("".join(printed(pieces, rank) for rank in range(CHILDREN)))


@settings(max_examples=15)
@given(st.lists(PIECES, max_size=20), st.sets(st.integers(0, 19), max_size=3))
def test_all_readers_see_every_byte_in_one_order(pieces: list[tuple[int, str]], late: set[int]) -> None:
    first, *others = asyncio.run(scenario("raw", pieces, late))
    assert all(other == first for other in others)
    for rank in range(CHILDREN):
        mine = printed(pieces, rank).replace("\n", "")
        assert "".join(ch for ch in first if ch == str(rank)) == mine
    assert sorted(first) == sorted("".join(printed(pieces, rank) for rank in range(CHILDREN)))


async def read_slowly(w: World, name: str) -> bytes:
    fd = await w.p.open(name)
    got = bytearray()
    while data := await w.p.read(fd, 5000):
        got += data
        await asyncio.sleep(0)
    w.p.close(fd)
    return bytes(got)


@pytest.mark.parametrize("outmode", ["line", "raw"])
async def test_past_the_quota_a_merge_waits_for_its_slowest_reader(
    outmode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_quota(monkeypatch)
    async with world() as w:
        s = await w.team(3, f"outmode {outmode}")
        await w.echo("exec sh -c 'read go; seq %r00000 1 %r99999'", f"{s}/ctl")
        readers: list[asyncio.Task[Any]] = [
            asyncio.create_task(read(f"{s}/stdout")) for read in (w.p.readfile, lambda n: read_slowly(w, n))
        ]
        await asyncio.sleep(0.1)  # both of them wait for the first byte
        await w.echo("go", f"{s}/stdin")
        first, second = [await reader for reader in readers]
        assert first == second
        assert len(first) == sum(len(f"{n}\n") for n in range(300_000))
