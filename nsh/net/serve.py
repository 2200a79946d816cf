"""Serving 9P: joins a connection with the files of a name space.

`Server` is the driver of one `nsh.p9.server.Session`: it hands over what arrives, sends the replies of
one arrival in one write, runs the requests that have to wait, and holds back a client that does not
take its replies. Each connection acts as a process of its own, so what a client leaves behind ends
with its connection. What a request means is decided in `nsh.kern.export`, and who may connect by the
commands that announce.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from nsh.errors import ProtocolError
from nsh.kern.chan import Chan
from nsh.kern.export import Export, File
from nsh.kern.proc import RFCFDG, RFFDG, RFNOTEG, Proc
from nsh.kern.stream import Stream
from nsh.net.dial import Listener, Single
from nsh.net.step import start
from nsh.p9.msg import Buffer
from nsh.p9.server import Session

log = logging.getLogger("nsh.net")

SLOW = 1 << 20
"""Bytes of replies that a client may leave lying before we read no more of its requests."""


class Server:
    """One client of the tree below ``root``, as ``p`` sees it, over ``stream``.

    It is served from the start; `wait` for the end, or `close`. The client acts as `proc`, a fork of
    ``p`` that leads what belongs to the connection and exits with it. ``export``: says what its requests
    mean.
    """

    def __init__(
        self, p: Proc, root: Chan, stream: Stream, export: Callable[[Proc, Chan], Export] = Export
    ) -> None:
        self.proc = p.fork(RFNOTEG | RFCFDG)
        self.proc.args = ["export", str(root.path), stream.address]
        self._stream = stream
        self._gone = asyncio.Event()
        self._catching: asyncio.Task[None] | None = None
        self._forget = p.leader.atexit(self.close)
        files: Any = export(self.proc, root)  # what its members return is a value or a coroutine
        self._session: Session[File] = Session(files, start, self._send)
        stream.start(self)

    async def wait(self) -> None:
        """Wait until the client has gone; cancelled, hang up."""
        try:
            await self._gone.wait()
        finally:
            self.close()

    def close(self) -> None:
        """Hang up. What waits for this client is cancelled, its files are closed, its process exits."""
        if self._gone.is_set():
            return
        self._gone.set()
        self._forget()
        self.proc.run(self._session.close)
        self.proc.exit()
        self._stream.close()
        if self._catching is not None and self._catching is not asyncio.current_task():
            self._catching.cancel()

    # --- what the stream calls -----------------------------------------------------------------

    def received(self, data: bytes) -> None:
        if not self._gone.is_set():
            self.proc.run(self._feed, data)

    def lost(self, reason: Exception | None) -> None:
        self.close()

    # --- inside --------------------------------------------------------------------------------

    def _feed(self, data: bytes) -> None:
        try:
            self._send(self._session.feed(data))
        except ProtocolError as e:
            log.warning("%s: %s; connection closed", self._stream.address, e)
            self.close()

    def _send(self, replies: list[Buffer]) -> None:
        if self._gone.is_set():
            return
        if replies:
            self._stream.write(replies)
        if (self._session.stalled or self._stream.backlog() > SLOW) and self._catching is None:
            self._stream.pause()
            self._catching = self.proc.run(asyncio.ensure_future, self._catch_up())

    async def _catch_up(self) -> None:
        """Wait until the client has taken its replies, then go on with its requests."""
        while not self._gone.is_set():
            await self._stream.drain()
            if not self._session.stalled:
                break
            self._feed(b"")
            await asyncio.sleep(0)  # others have their turn even if this client takes all at once
        self._catching = None
        self._stream.resume()


def permitted(p: Proc, root: Chan, what: str) -> str:
    """What those may do who are served the tree below ``root``, called ``what``, in the name of ``p``."""
    top = f"{root.path}".rstrip("/") + "/"
    mounted = (mount.to.dev for head, mount in p.pgrp.mounts() if f"{head.covered.path}/".startswith(top))
    may = f"may now do to {what} what {p.user} may"
    return f"{may}, and run programs as {p.user}" if any(dev.runs for dev in (root.dev, *mounted)) else may


def listen(
    p: Proc, args: list[str], listener: Listener | Single, welcome: Callable[[Proc, Chan], Awaitable[None]]
) -> Proc:
    """Take connections in the background: a process of its own calls ``welcome`` with each.

    It keeps only standard error of the files of ``p``, and ends with p's leader, or with the last client
    when no other can come. ``args``: for ps.
    """

    async def program(q: Proc) -> str:
        while (connection := await listener.accept()) is not None:
            await welcome(q, connection)
        for client in list(q.children):
            await client.wait()
        return ""

    q = p.fork(RFFDG)
    q.args = args
    for fd in [fd for fd, _ in q.fgrp.items() if fd != 2]:
        q.close(fd)
    q.atexit(listener.close)
    q.atexit(p.leader.atexit(q.kill))
    q.start(program)
    return q
