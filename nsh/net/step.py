"""The first step of a coroutine, without a task.

A server answers most requests at once. `start` therefore steps the coroutine of a request itself, as
`nsh.p9.server.Start` says, and makes a task only of one that really waits. A client's request goes out in the
first step: with `begun` it need not wait for the next turn of the loop. What the coroutine is for is nothing
that is known here.
"""

from __future__ import annotations

import asyncio
import contextvars
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from nsh.p9.server import Done

T = TypeVar("T")


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


def start(coro: Coroutine[Any, Any, Any], done: Done) -> asyncio.Task[Any] | None:
    """Step ``coro``; only if it has to wait, let a task do the rest (see `nsh.p9.server.Start`)."""
    ended, value = _begin(coro)
    if not ended:
        value.add_done_callback(_told(done))
        return value  # type: ignore[no-any-return]
    try:
        if isinstance(value, BaseException):
            done(None, value)
        else:
            done(value, None)
    finally:
        # an error holds the frames that it passed: with this one it would hold itself, and Chans
        del value
    return None


def begun(coro: Coroutine[Any, Any, T]) -> asyncio.Future[T]:
    """What comes of ``coro``, of which the first step has been taken."""
    ended, value = _begin(coro)
    if not ended:
        return value  # type: ignore[no-any-return]
    future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    try:
        if isinstance(value, asyncio.CancelledError):
            future.cancel()
        elif isinstance(value, BaseException):
            future.set_exception(value)
        else:
            future.set_result(value)
    finally:
        del value
    return future


def _begin(coro: Coroutine[Any, Any, Any]) -> tuple[bool, Any]:
    """(True, value or error) of a coroutine that ends with its first step, else (False, a task)."""
    loop = asyncio.get_running_loop()
    context = contextvars.copy_context()
    first = _FirstStep()
    ended, value = _step(coro, loop, context, first)
    if ended:
        try:
            return True, value
        finally:
            del value
    if value is not None:
        value._asyncio_future_blocking = False
    task = loop.create_task(_Rest(coro, value), context=context)
    first.become(task)
    return False, task


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
