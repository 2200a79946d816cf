"""stat: directory entries on the wire, and what a wstat leaves alone."""

from __future__ import annotations

import py9p
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsh.errors import Ebadstat, Etoobig
from nsh.p9.const import DMDIR, QTDIR
from nsh.p9.stat import Dir, Qid, unpack_dirs

from .strategies import any_string, dirs, plain

FILE = Dir(0, 0, Qid(0, 1, 2), 0o644, 3, 4, 5, "name", "uid", "gid", "muid")


@given(dirs(plain))
def test_an_entry_is_packed_as_plan9port_packs_it(d: Dir) -> None:
    """stat(5): the layout of a directory entry."""
    d = d._replace(length=d.length & (1 << 63) - 1)
    theirs = py9p.Dir(*d._replace(qid=py9p.Qid(*d.qid)))
    assert d.pack() == theirs.to_bytes()
    assert Dir.unpack(theirs.to_bytes()) == d


@given(dirs(any_string))
def test_an_entry_survives_the_wire_whatever_its_strings_are(d: Dir) -> None:
    assert Dir.unpack(d.pack()) == d


@given(st.lists(dirs(any_string), max_size=5))
def test_what_a_directory_read_returns_is_entry_after_entry(entries: list[Dir]) -> None:
    """read(5): a directory holds an integral number of entries."""
    assert unpack_dirs(b"".join(d.pack() for d in entries)) == entries


@given(st.integers(1, 200))
def test_an_entry_cut_short_or_followed_by_bytes_is_malformed(n: int) -> None:
    packed = FILE.pack()
    for wrong in (packed[: n % len(packed)], packed + bytes(n), packed[:2] + packed[3:]):
        with pytest.raises(Ebadstat):
            Dir.unpack(wrong)
    with pytest.raises(Ebadstat):
        unpack_dirs(packed + packed[: 1 + n % (len(packed) - 1)])


@given(st.binary(max_size=120))
def test_garbage_is_malformed_and_nothing_else(data: bytes) -> None:
    try:
        assert Dir.unpack(data).pack() == data
    except Ebadstat:
        pass


def test_a_size_that_disagrees_with_the_strings_is_malformed() -> None:
    """stat(5): size[2] counts the bytes that follow."""
    packed = bytearray(FILE.pack())
    packed[0] += 1
    with pytest.raises(Ebadstat):
        Dir.unpack(bytes(packed))
    with pytest.raises(Ebadstat):
        Dir.unpack(bytes(packed) + b"\0")


def test_an_entry_that_no_count_can_hold_is_refused() -> None:
    with pytest.raises(Etoobig):
        FILE._replace(name="x" * 65535).pack()


def test_dont_touch_touches_what_is_named_and_nothing_else() -> None:
    """stat(5): empty strings and the greatest numbers leave a field as it is."""
    assert Dir.dont_touch().touched() == frozenset()
    assert Dir.dont_touch(name="new", mode=0o600).touched() == {"name", "mode"}
    assert Dir.unpack(Dir.dont_touch(length=0).pack()).touched() == {"length"}
    assert FILE.touched() == frozenset(Dir._fields)


def test_isdir_believes_the_mode_and_the_qid() -> None:
    assert not FILE.isdir
    assert FILE._replace(mode=DMDIR | 0o755).isdir
    assert FILE._replace(qid=Qid(QTDIR, 0, 0)).isdir
