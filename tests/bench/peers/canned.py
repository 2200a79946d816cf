"""``canned PORT file|dir COUNT``: a 9P server that has no files, only answers. The ceiling for Python.

Whatever it is asked for is there: one file of COUNT bytes, or one directory of COUNT entries. It keeps
no fids, checks nothing and has most of its replies ready made; what remains is what every asyncio server
has to do: cut messages out of what arrives, look at their type, and send all replies in one write.
"""

from __future__ import annotations

import asyncio
import struct
import sys
from typing import cast

from nsh.p9.const import DMDIR, QTDIR
from nsh.p9.stat import Dir, Qid

TVERSION, TATTACH, TWALK, TOPEN, TREAD, TWRITE, TCLUNK, TSTAT = 100, 104, 110, 112, 116, 118, 120, 124

_request = struct.Struct("<IB2sI").unpack_from  # size, type, tag, fid (in a Tversion: msize)
_range = struct.Struct("<QI").unpack_from  # the offset and the count of a Tread or Twrite
_read = struct.Struct("<IB2sI").pack
_walk = struct.Struct("<H").unpack_from
_header = struct.Struct("<IB").pack
_HEADER = 11  # bytes of the shortest request that a client of this server sends


def stat_of(name: str, kind: int = 0, length: int = 0) -> bytes:
    """A directory entry."""
    return Dir(0, 0, Qid(kind, 0, 1), kind << 24 | 0o666, 0, 0, length, name, "none", "none", "none").pack()


class Canned(asyncio.Protocol):
    """One connection. ``content`` is what can be read, in whole pieces of ``unit`` bytes."""

    def __init__(self, content: bytes, unit: int, qid: bytes, stat: bytes) -> None:
        self._content = memoryview(content)
        self._unit = unit
        self._arrived: list[bytes] = []
        self._missing = 0
        self._walks = [_ready(TWALK, struct.pack("<H", n) + n * qid) for n in range(17)]
        self._ready = {
            TATTACH: _ready(TATTACH, qid),
            TOPEN: _ready(TOPEN, qid + bytes(4)),
            TCLUNK: _ready(TCLUNK, b""),
            TSTAT: _ready(TSTAT, struct.pack("<H", len(stat)) + stat),
        }

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by class

    def data_received(self, data: bytes) -> None:
        self._arrived.append(data)
        self._missing -= len(data)
        if self._missing > 0:
            return
        if len(self._arrived) > 1:
            data = b"".join(self._arrived)
        self._arrived.clear()
        self._answer(data)

    def _answer(self, data: bytes) -> None:
        out: list[bytes | memoryview] = []
        at, end = 0, len(data)
        while at + _HEADER <= end:
            size, kind, tag, _ = _request(data, at)
            if at + size > end:
                self._missing = at + size - end
                break
            if kind == TREAD:
                offset, count = _range(data, at + 11)
                piece = self._content[offset : offset + count - count % self._unit]
                out += (_read(11 + len(piece), TREAD + 1, tag, len(piece)), piece)
            else:
                if kind == TWALK:
                    head, body = self._walks[_walk(data, at + 15)[0]]
                elif kind == TWRITE:
                    head, body = b"\x0b\0\0\0\x77", data[at + 19 : at + 23]
                elif kind == TVERSION:
                    head, body = _ready(TVERSION, data[at + 7 : at + size])
                else:
                    head, body = self._ready[kind]
                out += (head, tag, body)
            at += size
        if at < end:
            self._arrived.append(data[at:])
        if out:
            self._transport.write(b"".join(out))


def _ready(request: int, body: bytes) -> tuple[bytes, bytes]:
    """What stands before and after the tag in the reply to a ``request``."""
    return _header(7 + len(body), request + 1), body


async def serve(port: int, kind: str, count: int) -> None:
    """Answer all who connect, for ever."""
    bytearray(1 << 24)  # once one so large was freed, glibc keeps memory instead of asking for it each time
    if kind == "dir":
        entries = [stat_of(f"entry{i:05}") for i in range(count)]
        qid, content, unit = struct.pack("<BIQ", QTDIR, 0, 1), b"".join(entries), len(entries[0])
        stat = stat_of("dir", DMDIR >> 24)
    else:
        qid, content, unit = bytes(13), bytes(count), 1
        stat = stat_of("file", length=count)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Canned(content, unit, qid, stat), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
