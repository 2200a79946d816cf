"""msg: the exact form of every message, against plan9port's C codec and against garbage."""

from __future__ import annotations

import struct
from typing import Any

import py9p
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsh.errors import ProtocolError
from nsh.p9 import msg
from nsh.p9.msg import Message, decode, encode, encode_parts
from nsh.p9.stat import Qid

from .strategies import message, messages, plain

KINDS = sorted(msg.NUMBER, key=lambda kind: msg.NUMBER[kind])


def to_py9p(m: Message) -> Any:
    """The same message as plan9port's codec knows it; its offsets are signed."""
    fields = {}
    for name, value in m._asdict().items():
        if isinstance(value, Qid):
            value = py9p.Qid(*value)
        elif name == "wqid":
            value = tuple(py9p.Qid(*qid) for qid in value)
        elif name == "offset":
            value = value & (1 << 63) - 1
        fields[name] = value
    return getattr(py9p, type(m).__name__)(**fields)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_every_message_is_packed_as_plan9port_packs_it(kind: type[Message], data: st.DataObject) -> None:
    """intro(5): the layout of each message."""
    m: Any = data.draw(message(kind, plain))
    if hasattr(m, "offset"):
        m = m._replace(offset=m.offset & (1 << 63) - 1)
    frame = to_py9p(m).to_bytes()
    assert encode(m) == frame
    assert decode(frame) == m


@given(messages)
def test_a_message_survives_the_wire_whatever_its_strings_are(m: Message) -> None:
    """intro(5): text is UTF-8; what is not comes through unharmed."""
    frame = encode(m)
    again = decode(frame)
    assert type(again) is type(m)
    assert again == m
    assert b"".join(encode_parts(m)) == frame
    assert struct.unpack_from("<I", frame)[0] == len(frame)


@given(messages, st.integers(0, 400))
def test_a_message_cut_short_is_a_protocol_error(m: Message, at: int) -> None:
    """intro(5): the fields end where the message does."""
    frame = encode(m)
    short = frame[: at % len(frame)]
    with pytest.raises(ProtocolError):
        decode(short)
    if len(short) >= 7:
        with pytest.raises(ProtocolError):
            decode(struct.pack("<I", len(short)) + short[4:])


@given(messages, st.binary(min_size=1, max_size=5))
def test_bytes_after_the_last_field_are_a_protocol_error(m: Message, more: bytes) -> None:
    """intro(5): size[4] counts the fields and nothing else."""
    frame = encode(m) + more
    with pytest.raises(ProtocolError):
        decode(struct.pack("<I", len(frame)) + frame[4:])


@given(st.integers(0, 255), st.binary(max_size=80))
def test_garbage_raises_nothing_but_protocol_error(number: int, body: bytes) -> None:
    frame = struct.pack("<IB", 5 + len(body), number) + body
    try:
        m = decode(frame)
    except ProtocolError:
        return
    assert encode(m) == frame


@given(st.binary(max_size=40))
def test_bytes_of_no_message_raise_nothing_but_protocol_error(frame: bytes) -> None:
    try:
        m = decode(frame)
    except ProtocolError:
        return
    assert encode(m) == frame


def test_terror_and_unknown_types_are_protocol_errors() -> None:
    """error(5): there is no Terror."""
    for number in (0, 98, 99, 106, 128, 255):
        with pytest.raises(ProtocolError, match=f"unknown message type {number}"):
            decode(struct.pack("<IBH", 7, number, 1))


def test_more_than_sixteen_names_or_qids_are_refused_both_ways() -> None:
    """walk(5): MAXWELEM is 16."""
    frame = struct.pack("<IBHIIH", 17 + 17 * 3, 110, 1, 2, 3, 17) + b"\1\0a" * 17
    with pytest.raises(ProtocolError, match="Twalk: 17 names"):
        decode(frame)
    with pytest.raises(ProtocolError, match="Rwalk: 17 qids"):
        decode(struct.pack("<IBHH", 9 + 17 * 13, 111, 1, 17) + bytes(17 * 13))
    with pytest.raises(ValueError, match="16 names"):
        encode(msg.Twalk(1, 2, 3, ("a",) * 17))
    with pytest.raises(ValueError, match="16 qids"):
        encode(msg.Rwalk(1, (Qid(0, 0, 0),) * 17))


def test_large_data_is_not_copied_in_either_direction() -> None:
    data = bytes(100_000)
    for m in (msg.Twrite(1, 2, 3, data), msg.Rread(1, data)):
        parts = encode_parts(m)
        assert parts[1] is data
        frame = b"".join(parts)
        again = decode(frame)
        assert isinstance(again, msg.Twrite | msg.Rread)
        assert isinstance(again.data, memoryview)
        assert again.data.obj is frame


def test_a_value_too_large_for_its_field_is_the_callers_fault() -> None:
    with pytest.raises(struct.error):
        encode(msg.Tclunk(1, 1 << 32))
    with pytest.raises(struct.error):
        encode(msg.Rerror(1, "x" * 65536))
