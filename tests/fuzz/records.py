"""Conversations as bytes that a fuzzer can change: records, each of a header and what follows it.

The header's two bytes hold a length (the low ten bits) and two flags: `RAW`, the bytes go out as they are,
and `CUT`, what was gathered so far arrives at the server now. Without RAW the size field is put in front,
so that a changed or shortened record is still a whole message, if a senseless one.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from struct import Struct

from nsh.p9 import msg
from nsh.p9.const import DMDIR, NOFID, NOTAG, ORDWR, OREAD, OTRUNC
from nsh.p9.msg import Message
from nsh.p9.stat import Dir

_head = Struct("<H")
_size = Struct("<I")
RAW, CUT, LENGTH = 0x8000, 0x4000, 0x3FF
NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, NOFID)


def segments(data: bytes) -> Iterator[bytes]:
    """What arrives at the server, piece by piece."""
    gathered = b""
    at = 0
    while at + 2 <= len(data):
        (head,) = _head.unpack_from(data, at)
        body = data[at + 2 : at + 2 + (head & LENGTH)]
        at += 2 + len(body)
        gathered += body if head & RAW else _size.pack(4 + len(body)) + body
        if head & CUT:
            yield gathered
            gathered = b""
    if gathered:
        yield gathered


def pack(messages: list[Message], cut: bool = False) -> bytes:
    """The records of whole messages; ``cut``: each arrives alone."""
    bodies = [msg.encode(message)[4:] for message in messages]
    return b"".join(_head.pack(len(body) | (CUT if cut else 0)) + body for body in bodies)


def _start() -> list[Message]:
    return [msg.Tversion(NOTAG, 8192, "9P2000"), msg.Tattach(1, 0, NOFID, "glenda", "")]


def _made(name: str, perm: int, mode: int) -> list[Message]:
    return [*_start(), msg.Twalk(2, 0, 1, ()), msg.Tcreate(3, 1, name, perm, mode)]


CORPUS: list[list[Message]] = [
    [*_start(), msg.Tstat(2, 0), msg.Tclunk(3, 0)],
    [*_start(), msg.Twalk(2, 0, 1, ("file",)), msg.Topen(3, 1, ORDWR), msg.Tread(4, 1, 0, 100)],
    [*_made("new", 0o666, ORDWR | OTRUNC), msg.Twrite(4, 1, 0, b"hello"), msg.Tread(5, 1, 0, 9)],
    [*_made("dir", DMDIR | 0o777, OREAD), msg.Tread(4, 1, 0, 1000), msg.Tremove(5, 1)],
    [*_start(), msg.Topen(2, 0, OREAD), msg.Tread(3, 0, 0, 200), msg.Tread(3, 0, 140, 200)],
    [*_start(), msg.Twalk(2, 0, 1, ("file",)), msg.Twstat(3, 1, Dir.dont_touch(name="other").pack())],
    [
        *_start(),
        msg.Twalk(2, 0, 1, ("pipe", "data")),
        msg.Topen(3, 1, ORDWR),
        msg.Tread(4, 1, 0, 10),
        msg.Tread(5, 1, 0, 10),
        msg.Tflush(6, 4),
        msg.Tflush(7, 6),
        msg.Twalk(8, 0, 2, ("pipe", "data1")),
        msg.Topen(9, 2, ORDWR),
        msg.Twrite(10, 2, 0, b"through the pipe"),
    ],
    [*_start(), msg.Twalk(2, 0, 1, ("gen", "a", "..", "..", "d")), msg.Tversion(NOTAG, 100, "9P2000.u")],
]
"""Conversations from which others are made by changing them; `tests.fuzz.process` has such files."""


class Mutator:
    """Makes new conversations out of old ones, for machines without a better fuzzer."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._pool = [split(pack(messages, cut)) for messages in CORPUS for cut in (False, True)]

    def next(self) -> bytes:
        """One conversation more."""
        records = list(self._random.choice(self._pool))
        for _ in range(self._random.randint(1, 6)):
            self._change(records)
        return b"".join(records)

    def _change(self, records: list[bytes]) -> None:
        pick = self._random
        at = pick.randrange(len(records)) if records else 0
        match pick.randrange(6):
            case 0 | 1 if records:
                records[at] = self._bent(records[at])
            case 2:
                records.insert(at, pick.choice(pick.choice(self._pool)))
            case 3 if records:
                records.insert(pick.randrange(len(records) + 1), records[at])
            case 4 if len(records) > 3:
                del records[at]
            case 5:
                records.extend(pick.choice(self._pool)[2:])

    def _bent(self, record: bytes) -> bytes:
        """A record with a number, a byte or its length changed."""
        pick = self._random
        bent = bytearray(record)
        at = pick.randrange(len(bent))
        match pick.randrange(4):
            case 0:
                bent[at] = pick.randrange(256)
            case 1:
                number = _size.pack(pick.choice(NUMBERS))[: len(bent) - at]
                bent[at : at + len(number)] = number
            case 2:
                del bent[at + 1 :]
            case 3:
                bent[at:at] = pick.randbytes(pick.randint(1, 9))
        return bytes(bent)


def split(data: bytes) -> list[bytes]:
    """The records of ``data``."""
    records = []
    at = 0
    while at < len(data):
        end = at + 2 + (_head.unpack_from(data, at)[0] & LENGTH)
        records.append(data[at:end])
        at = end
    return records
