"""Patience: calls of the host that may take long are made by threads, so that only those wait who asked.

Code that looks at the host's files is written once, as plain calls. Before one that may take long, it asks
`may_wait`; in the thread of an event loop the answer is no, and it raises `Patience`. Who called it has it
run again by `patiently`, in a thread that may wait. So what can answer at once costs nothing more.

A `Place` is where one waits: a mount, as a rule. It has a limited number of threads, so that one that does
not answer any more holds up nobody but those who want something there.

Who waits may be cancelled, and goes on at once. The thread is interrupted, too (SIGURG, of which nobody
else takes notice): a file system that asks a program then takes its request back. What comes of the call
after all is disposed of. The threads keep no program from ending.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from queue import SimpleQueue

T = TypeVar("T")

MOST = 64
"""Threads that may wait in one place at a time; more calls wait until one of them is free."""
KEPT = 8
"""Threads without work that are kept for the next call."""
MOMENT = 0.5
"""Seconds that one waits for what nobody waits for."""
NUDGES = (0.0, 0.01, 0.1, 1.0)
"""Seconds after which a call that nobody waits for any more is interrupted: it may not have begun before."""


class _Here(threading.local):
    """What this thread is doing."""

    job: _Job | None = None


here = _Here()
_lock = threading.Lock()
_idle: list[_Worker] = []
_background: WeakKeyDictionary[asyncio.Future[Any], Place] = WeakKeyDictionary()


class Patience(Exception):
    """What is to be done may take long, and must be done by `patiently`, in ``place``."""

    def __init__(self, place: Place) -> None:
        super().__init__(place.name)
        self.place = place


class Place:
    """Where calls may take long, by its ``name``."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._busy = 0
        self._queue: deque[_Job] = deque()

    def begin(self, job: _Job) -> None:
        """Have a thread do it, as soon as there is one."""
        with _lock:
            if self._busy == MOST:
                self._queue.append(job)
                return
            self._busy += 1
            worker = _idle.pop() if _idle else _Worker()
            job.worker = worker
        worker.jobs.put(job)

    def next(self, worker: _Worker) -> _Job | None:
        """What a thread that has done its job here is to do next; the lock is held."""
        if not self._queue:
            self._busy -= 1
            return None
        job = self._queue.popleft()
        job.worker = worker
        return job

    def withdraw(self, job: _Job) -> bool:
        """Forget about a job that has not begun; False if it has."""
        with _lock:
            if job not in self._queue:
                return False
            self._queue.remove(job)
            return True


def may_wait() -> bool:
    """May calls of this thread take as long as they like?"""
    return here.job is not None


def given_up() -> bool:
    """Has the one for whom this thread works gone?"""
    job = here.job
    return job is not None and job.answer is not None and job.answer.cancelled()


async def patiently(
    place: Place,
    call: Callable[[], T],
    dispose: Callable[[T], object] | None = None,
    after: Callable[[], object] | None = None,
) -> T:
    """What ``call`` returns, made by a thread in ``place``. Errors: those of the call.

    If this is cancelled, ``dispose`` is given what comes of it later. ``after`` is called in any case, when
    the call has been made, or will not be made any more; like ``dispose`` by the event loop.
    """
    job = _Job(place, call, dispose, after)
    answer = asyncio.get_running_loop().create_future()
    try:
        await settled(place)
        job.answer = answer
        place.begin(job)
        return await answer  # type: ignore[no-any-return]
    except (asyncio.CancelledError, GeneratorExit):
        job.abandon()
        raise


def in_background(
    place: Place, call: Callable[[], object], after: Callable[[], object] | None = None
) -> None:
    """Make a call that may take long, and wait for nothing; ``after`` as for `patiently`."""
    job = _Job(place, partial(_silently, call), None, after)
    if job.loop is not None:
        job.answer = job.loop.create_future()
        with _lock:
            _background[job.answer] = place
    place.begin(job)


def _silently(call: Callable[[], object]) -> None:
    with contextlib.suppress(OSError):
        call()


async def settled(place: Place | None = None) -> None:
    """Wait until what was begun in the background, in ``place`` or anywhere, is done; `MOMENT` at most.

    Who comes later finds closed what has been closed. For what is late nobody waits again.
    """
    if not _background:
        return
    loop = asyncio.get_running_loop()
    with _lock:
        ours = [(answer, where) for answer, where in _background.items() if answer.get_loop() is loop]
    begun = [answer for answer, where in ours if place in (None, where)]
    if any(not answer.done() for answer in begun):
        await asyncio.wait(begun, timeout=MOMENT)
    with _lock:
        for answer in begun:
            _background.pop(answer, None)


class _Job:
    """A call. ``answer``: waits for its result; ``worker``: the thread that makes it, as long as it does."""

    def __init__(
        self,
        place: Place,
        call: Callable[[], Any],
        dispose: Callable[[Any], object] | None,
        after: Callable[[], object] | None,
    ) -> None:
        self.place = place
        self.call = call
        self.loop: asyncio.AbstractEventLoop | None = None
        self.answer: asyncio.Future[Any] | None = None
        self.worker: _Worker | None = None
        self._dispose = dispose
        self._after = after
        with contextlib.suppress(RuntimeError):
            self.loop = asyncio.get_running_loop()

    def abandon(self) -> None:
        """Nobody waits any more."""
        answer = self.answer
        assert self.loop is not None
        if answer is None or self.place.withdraw(self):
            self._finish()
        elif not answer.done() or answer.cancelled():
            answer.cancel()
            if _can_nudge() and not self.loop.is_closed():
                for seconds in NUDGES:
                    self.loop.call_later(seconds, self._nudge)
        elif answer.exception() is None and self._dispose is not None:
            self._dispose(answer.result())  # it came just before

    def _nudge(self) -> None:
        with _lock:  # the thread has not gone on to something else
            if self.worker is not None and self.worker.ident is not None:
                signal.pthread_kill(self.worker.ident, signal.SIGURG)

    def tell(self, result: object, error: BaseException | None) -> None:
        """The call was made: have the event loop tell the one who waits; this runs in the thread."""
        if self.loop is not None:
            try:
                self.loop.call_soon_threadsafe(self._told, self.answer, result, error)
                return
            except RuntimeError:
                pass  # the loop has ended
        self._told(None, result, error)

    def _told(self, answer: asyncio.Future[Any] | None, result: object, error: BaseException | None) -> None:
        self._finish()
        if answer is None or answer.done():
            if error is None and self._dispose is not None:
                self._dispose(result)
        elif error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(result)

    def _finish(self) -> None:
        after, self._after = self._after, None
        if after is not None:
            after()


class _Worker(threading.Thread):
    """A thread that does one job after the other."""

    def __init__(self) -> None:
        from queue import SimpleQueue

        super().__init__(name="nsh-patience", daemon=True)
        self.jobs: SimpleQueue[_Job] = SimpleQueue()
        self.start()

    def run(self) -> None:
        # signals are for the thread of the loop
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - {signal.SIGURG})
        job: _Job | None = self.jobs.get()
        while job is not None:
            self._do(job)
            with _lock:
                job.worker = None
                job = job.place.next(self)
                if job is None:
                    if len(_idle) >= KEPT:
                        return
                    _idle.append(self)
            if job is None:
                job = self.jobs.get()

    def _do(self, job: _Job) -> None:
        here.job = job
        result, error = None, None
        try:
            result = job.call()
        except BaseException as e:
            error = e.with_traceback(None) if isinstance(e, OSError) else e
        here.job = None
        job.tell(result, error)
        del result, error  # with an error this frame would hold itself, and what the call has used


def _can_nudge() -> bool:
    """Does SIGURG interrupt a call and do nothing else? That is seen to, unless somebody else wants it."""
    if signal.getsignal(signal.SIGURG) is _nudged:
        return True
    if threading.current_thread() is not threading.main_thread():
        return False
    if signal.getsignal(signal.SIGURG) not in (signal.SIG_DFL, signal.SIG_IGN):
        return False
    signal.signal(signal.SIGURG, _nudged)
    return True


def _nudged(number: int, frame: object) -> None:
    """The handler, for the signal has to have one."""
