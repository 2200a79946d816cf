"""From a stream of bytes to whole messages: nothing but the size[4] that each begins with.

The framer believes no size before it has compared it with what was agreed, and takes no memory for
bytes that have not arrived.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct

from nsh.errors import ProtocolError

from .const import DEFMSIZE, HDRSZ

_size = Struct("<I").unpack_from

_MANY = 256
"""So many pieces of one message are joined before the end, lest a peer that sends it in single bytes
make us keep an object for each."""


class Framer:
    """Cuts what arrives into frames. ``msize``, in bytes, may be changed between two frames."""

    __slots__ = ("_at", "_buf", "_have", "_parts", "_want", "_whole", "msize")

    def __init__(self, msize: int = DEFMSIZE) -> None:
        self.msize = msize
        self._buf = b""  # arrived and being cut, from _at on
        self._at = 0
        self._parts: list[bytes] = []  # of a message that is not here whole; then _buf is empty
        self._have = 0  # the length of _parts, joined
        self._want = 0  # the length that lets us go on: of the message, or of its size field
        self._whole = b""  # a message put together from parts, copied once; it comes before _buf

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The frames that are whole now that ``data`` has come too.

        Whoever stops before the end finds the rest at the next call. Raises `ProtocolError`, while
        iterating, for a size that is less than 7 or more than ``msize``; there is no going on then.
        """
        if self._is_frame(data) and not self._parts and not self._whole and self._at == len(self._buf):
            return iter((data,))  # one message that arrived alone: how a peer sends that waits for each reply
        if self._parts:
            data = self._joined(data)
        elif self._at < len(self._buf):
            data = self._buf[self._at :] + data
        self._buf, self._at = data, 0
        return self._frames()

    def _is_frame(self, data: bytes) -> bool:
        size = len(data)
        return HDRSZ <= size <= self.msize and _size(data)[0] == size

    def _joined(self, data: bytes) -> bytes:
        """Put ``data`` to the parts; when they suffice, what is to be cut next."""
        parts = self._parts
        self._have += len(data)
        if self._have < self._want:
            parts.append(data)
            if len(parts) > _MANY:
                parts[:] = [b"".join(parts)]
            return b""
        rest = b""
        if self._want >= HDRSZ:
            mine = len(data) - (self._have - self._want)
            data, rest = data[:mine], data[mine:]
        parts.append(data)
        data = b"".join(parts)
        parts.clear()
        if self._want < HDRSZ:
            return data
        self._whole = data
        return rest

    def _frames(self) -> Iterator[bytes]:
        if self._whole:
            whole, self._whole = self._whole, b""
            yield whole
        buf = self._buf
        end = len(buf)
        while (at := self._at) + 4 <= end:
            (size,) = _size(buf, at)
            if not HDRSZ <= size <= self.msize:
                raise ProtocolError(f"message size {size}, with {HDRSZ} to {self.msize} agreed")
            if at + size > end:
                self._keep(at, size)
                return
            self._at = at + size
            yield buf[at : at + size]
        if at < end:
            self._keep(at, 4)

    def _keep(self, at: int, want: int) -> None:
        """Put the beginning of a message aside until ``want`` bytes of it are here."""
        rest = self._buf[at:]
        self._parts.append(rest)
        self._have, self._want = len(rest), want
        self._buf, self._at = b"", 0
