"""Serving 9P: joins a connection with the files of a name space.

`Server` is the driver of one `nsh.p9.server.Session`: it hands over what arrives, sends the replies of
one arrival in one write, runs the requests that have to wait, and holds back a client that does not
take its replies. Each connection acts as a process of its own, so what a client leaves behind ends
with its connection. What a request means is decided in `nsh.kern.export`, and who may connect by the
commands that announce.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from nsh.errors import ProtocolError
from nsh.kern.chan import Chan
from nsh.kern.export import Export, File
from nsh.kern.proc import RFCFDG, RFFDG, RFNOTEG, Proc
from nsh.kern.stream import Stream
from nsh.net.dial import Listener, Single
from nsh.p9.msg import Buffer
from nsh.p9.server import Done, Session

log = logging.getLogger("nsh.net")

SLOW = 1 << 20
"""Bytes of replies that a client may leave lying before we read no more of its requests."""


class Server:
    """One client of the tree below ``root``, as ``p`` sees it, over ``stream``.

    It is served from the start; `wait` for the end, or `close`. The client acts as `proc`, a fork of
    ``p`` that leads what belongs to the connection and exits with it.
    """

    def __init__(self, p: Proc, root: Chan, stream: Stream) -> None:
        self.proc = p.fork(RFNOTEG | RFCFDG)
        self.proc.args = ["export", str(root.path), stream.address]
        self._stream = stream
        self._gone = asyncio.Event()
        self._catching: asyncio.Task[None] | None = None
        self._forget = p.leader.atexit(self.close)
        files: Any = Export(self.proc, root)  # what its members return is a value or a coroutine
        self._session: Session[File] = Session(files, _start, self._send)
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


class _FirstStep:
    """Stands in for the current task while a request's coroutine takes its first step.

    Code that asks for the current task, to cancel it later (asyncio.timeout does), gets this, and
    reaches the real task through it once there is one.
    """

    __slots__ = ("_cancelled", "_task")

    def __init__(self) -> None:
        self._task: asyncio.Task[Any] | None = None
        self._cancelled = 0

    def cancel(self, message: object = None) -> bool:
        if self._task is not None:
            return self._task.cancel(message)
        self._cancelled += 1
        return True

    def cancelling(self) -> int:
        return self._cancelled if self._task is None else self._task.cancelling()

    def uncancel(self) -> int:
        if self._task is not None:
            return self._task.uncancel()
        self._cancelled = max(0, self._cancelled - 1)
        return self._cancelled

    def become(self, task: asyncio.Task[Any]) -> None:
        """The coroutine waits: ``task`` will go on with it."""
        self._task = task
        for _ in range(self._cancelled):
            task.cancel()


class _Rest(Coroutine[Any, Any, Any]):
    """A coroutine after its first step, for a task to go on with; ``awaited`` is what it waits for."""

    __slots__ = ("_awaited", "_coro")

    def __init__(self, coro: Coroutine[Any, Any, Any], awaited: Any) -> None:
        self._coro = coro
        self._awaited = awaited

    def __await__(self) -> Any:
        return self._coro.__await__()

    def send(self, value: Any) -> Any:
        awaited, self._awaited = self._awaited, None
        return self._coro.send(value) if awaited is None else _waiting_for(awaited)

    def throw(self, *error: Any) -> Any:
        # a task that is cancelled before its first step tells us, when it should tell what we wait for
        awaited, self._awaited = self._awaited, None
        if awaited is not None and awaited.cancel():
            return _waiting_for(awaited)
        return self._coro.throw(*error)

    def close(self) -> None:
        self._coro.close()


def _waiting_for(future: Any) -> Any:
    """The future, with the mark by which a task knows that its coroutine waits for it."""
    future._asyncio_future_blocking = True
    return future


def _start(coro: Coroutine[Any, Any, Any], done: Done) -> asyncio.Task[Any] | None:
    """Step ``coro``; only if it has to wait, let a task do the rest (see `nsh.p9.server.Start`)."""
    loop = asyncio.get_running_loop()
    context = contextvars.copy_context()
    first = _FirstStep()
    ended, value = _step(coro, loop, context, first)
    if ended:
        if isinstance(value, BaseException):
            done(None, value)
        else:
            done(value, None)
        return None
    if value is not None:
        value._asyncio_future_blocking = False
    task = loop.create_task(_Rest(coro, value), context=context)
    first.become(task)
    task.add_done_callback(_told(done))
    return task


def _step(
    coro: Coroutine[Any, Any, Any],
    loop: asyncio.AbstractEventLoop,
    context: contextvars.Context,
    first: _FirstStep,
) -> tuple[bool, Any]:
    """Step once, as a task would: (True, value or error) if that ended it, else (False, the future)."""
    outer = asyncio.current_task(loop)
    if outer is not None:
        _leave_task(loop, outer)
    _enter_task(loop, first)  # type: ignore[arg-type]  # any object will do as a key
    try:
        return False, context.run(coro.send, None)
    except StopIteration as end:
        return True, end.value
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as e:
        return True, e
    finally:
        _leave_task(loop, first)  # type: ignore[arg-type]
        if outer is not None:
            _enter_task(loop, outer)


def _told(done: Done) -> Callable[[asyncio.Task[Any]], None]:
    """A task's callback that tells ``done`` what came of it."""

    def ended(task: asyncio.Task[Any]) -> None:
        if task.cancelled():
            done(None, asyncio.CancelledError())
        elif (error := task.exception()) is not None:
            done(None, error)
        else:
            done(task.result(), None)

    return ended
