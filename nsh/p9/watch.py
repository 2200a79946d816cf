"""What goes over a connection, for one who stands beside it: as lines to read, and as lines to replay.

`Watch` is fed the bytes of one direction as they pass and tells which messages they were. It never raises,
for whoever watches must not disturb; what is not 9P is told of as such. `record` writes a message down
whole, as styxmon(1) describes it, and `records` reads such a text back.
"""

from __future__ import annotations

from typing import NamedTuple

from nsh.errors import FileFormatError, ProtocolError

from . import msg, trace
from .const import HDRSZ
from .frame import Framer

LIMIT = 1 << 24
"""Bytes of the longest message that is followed. Watching, we do not know what was agreed."""


class Seen(NamedTuple):
    """A message that passed: its bytes, and the line that says what it is."""

    frame: bytes
    text: str

    @property
    def reply(self) -> bool:
        return is_reply(self.frame)

    @property
    def tag(self) -> int:
        return tag(self.frame)


class Watch:
    """One direction of a conversation."""

    def __init__(self) -> None:
        self._framer = Framer(LIMIT)
        self._lost = False

    def see(self, data: bytes) -> list[Seen]:
        """The messages that ``data`` completes; one without bytes where the stream stops being 9P."""
        found: list[Seen] = []
        if self._lost:
            return found
        try:
            for frame in self._framer.feed(data):
                found.append(seen(frame))  # noqa: PERF401  # those before the fault are kept
        except ProtocolError as e:
            self._lost = True
            found.append(Seen(b"", f"not 9P from here on: {e}"))
        return found


def seen(frame: bytes) -> Seen:
    """A whole message, and its line as `nsh.p9.trace` words it."""
    try:
        return Seen(frame, trace.line(msg.decode(frame)))
    except ProtocolError as e:
        return Seen(frame, f"{_arrow(frame)} type {frame[4]} tag {tag(frame)}, {len(frame)} bytes: {e}")


def is_reply(frame: bytes) -> bool:
    """Does it go from the server to the client?"""
    return bool(frame[4] & 1)


def tag(frame: bytes) -> int:
    return int.from_bytes(frame[5:7], "little")


def _arrow(frame: bytes) -> str:
    return "->" if is_reply(frame) else "<-"


# --- records ----------------------------------------------------------------------------------------


class Record(NamedTuple):
    """A message of a recorded conversation, ``seconds`` after its beginning."""

    seconds: float
    frame: bytes


def record(seconds: float, message: Seen) -> str:
    """The line for a message: time, direction, bytes in hexadecimal; the rest is for people."""
    words = message.text.partition(" ")[2]
    return f"{seconds:.6f} {_arrow(message.frame)} {message.frame.hex()} # {words}\n"


def records(text: str, file: str = "") -> list[Record]:
    """The messages of a recorded conversation. Raises `FileFormatError`."""
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        fields = line.partition("#")[0].split()
        if not fields:
            continue
        try:
            found.append(_record(fields))
        except ValueError as e:
            raise FileFormatError(str(e), file, number) from None
    return found


def _record(fields: list[str]) -> Record:
    if len(fields) != 3 or fields[1] not in ("<-", "->"):
        raise ValueError("not a time, a direction and a message")
    try:
        seconds, frame = float(fields[0]), bytes.fromhex(fields[2])
    except ValueError:
        raise ValueError("a time in seconds and a message in hexadecimal are wanted") from None
    if len(frame) < HDRSZ or int.from_bytes(frame[:4], "little") != len(frame):
        raise ValueError(f"the size of the message is not its length, {len(frame)} bytes")
    if fields[1] != _arrow(frame):
        raise ValueError(f"a message of type {frame[4]} does not go in direction {fields[1]}")
    return Record(seconds, frame)
