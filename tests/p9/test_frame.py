"""frame: whole messages out of any pieces, and no trust in a size."""

from __future__ import annotations

import struct
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsh.errors import ProtocolError
from nsh.p9.frame import Framer
from nsh.p9.msg import encode

from .strategies import messages

frames = st.lists(messages.map(encode), max_size=8)


@given(frames, st.lists(st.integers(0, 4000), max_size=12))
def test_frames_come_out_whole_however_they_come_in(whole: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(whole)
    places = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    framer = Framer(1 << 16)
    out = [f for a, b in pairwise(places) for f in framer.feed(stream[a:b])]
    assert out == whole


@given(frames)
def test_frames_come_out_whole_when_they_come_byte_by_byte(whole: list[bytes]) -> None:
    framer = Framer(1 << 16)
    out = [f for byte in b"".join(whole) for f in framer.feed(bytes([byte]))]
    assert out == whole


@given(frames.filter(len))
def test_frames_left_behind_are_there_at_the_next_call(whole: list[bytes]) -> None:
    framer = Framer(1 << 16)
    stream = b"".join(whole)
    out = [next(framer.feed(stream))]
    while len(out) < len(whole):
        out.append(next(framer.feed(b"")))
    assert out == whole
    assert list(framer.feed(stream)) == whole


@pytest.mark.parametrize("size", [0, 1, 6, 257, 1 << 31, 0xFFFFFFFF])
@pytest.mark.parametrize("whole", [True, False], ids=["whole", "bytes"])
def test_a_size_out_of_bounds_is_refused_before_the_message_is_here(size: int, whole: bool) -> None:
    """version(5): both sides honour msize; intro(5): a message has at least seven bytes."""
    framer = Framer(256)
    raw = struct.pack("<I", size)
    with pytest.raises(ProtocolError, match=f"message size {size},"):
        for piece in [raw] if whole else [raw[i : i + 1] for i in range(4)]:
            list(framer.feed(piece))


def test_the_limit_itself_is_allowed() -> None:
    frame = struct.pack("<I", 256) + bytes(252)
    assert list(Framer(256).feed(frame)) == [frame]


def test_a_claimed_size_takes_no_memory() -> None:
    framer = Framer(1 << 30)
    tracemalloc.start()
    try:
        list(framer.feed(struct.pack("<I", 1 << 30)))
        list(framer.feed(b"abc"))
        assert tracemalloc.get_traced_memory()[1] < 1 << 16
    finally:
        tracemalloc.stop()


def test_a_message_in_tiny_pieces_takes_little_more_memory_than_it_has_bytes() -> None:
    size = 1 << 18
    framer = Framer(size)
    list(framer.feed(struct.pack("<I", size)))
    tracemalloc.start()
    try:
        pieces = (bytes([i & 0xFF, i >> 8 & 0xFF]) for i in range(size // 2 - 3))
        assert not any(frame for piece in pieces for frame in framer.feed(piece))
        assert tracemalloc.get_traced_memory()[0] < 2 * size
    finally:
        tracemalloc.stop()
