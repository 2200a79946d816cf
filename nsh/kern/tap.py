"""Tapped: a Stream that shows each 9P message that passes, either way. That is what ``nsh -D`` puts in.

`nsh.kern.stream.stream` asks `System.tap` once for each connection, so that nothing is paid for a trace
that is off.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from nsh.kern.proc import System
from nsh.kern.stream import Receiver, Stream
from nsh.p9.watch import Watch


def trace(system: System) -> None:
    """Print each message of every 9P connection that begins from now on, on this program's standard error."""
    system.tap = lambda inner: Tapped(inner, _print)


def _print(line: str) -> None:
    try:
        print(line, file=sys.stderr, flush=True)
    except (OSError, ValueError):
        pass  # nobody reads it; what is traced goes on


class Tapped:
    """The Stream ``inner``; ``show`` is called with a line for each message, before it is passed on."""

    def __init__(self, inner: Stream, show: Callable[[str], object]) -> None:
        self.address = inner.address
        self._inner = inner
        self._show = show
        self._receiver: Receiver | None = None
        self._arriving, self._leaving = Watch(), Watch()

    # --- the Stream ----------------------------------------------------------------------------

    def start(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._inner.start(self)

    def write(self, parts: Sequence[bytes | memoryview]) -> None:
        self._tell(self._leaving, b"".join(parts))
        self._inner.write(parts)

    def backlog(self) -> int:
        return self._inner.backlog()

    def pause(self) -> None:
        self._inner.pause()

    def resume(self) -> None:
        self._inner.resume()

    async def drain(self) -> None:
        await self._inner.drain()

    def close(self) -> None:
        self._inner.close()

    # --- the Receiver --------------------------------------------------------------------------

    def received(self, data: bytes) -> None:
        self._tell(self._arriving, data)
        if self._receiver is not None:
            self._receiver.received(data)

    def lost(self, reason: Exception | None) -> None:
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.lost(reason)

    # --- inside --------------------------------------------------------------------------------

    def _tell(self, watch: Watch, data: bytes) -> None:
        for message in watch.see(data):
            self._show(message.text)
