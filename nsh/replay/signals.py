"""The signals that ask a replay to end: raised where they arrive, and held back where that would do harm.

An exception is what takes a world down in order, from wherever the replay is. But it is lost where Python has
nobody to give it to, as in a hook that runs at a fork; `Signals` remembers it, and who is about to wait asks.
Nothing heavy is imported here, so that the signals can be taken before the rest of the replay is.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

__all__ = ["ENDING", "Ended", "Signals", "held"]

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals that ask a process to end."""


class Ended(BaseException):
    """A signal has asked to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.signal = signal.Signals(number)


class Signals:
    """Within this context the first signal to end raises `Ended`; others change nothing.

    Nor do they afterwards, if there was one: the process is about to end.
    """

    def __init__(self) -> None:
        self._before = {number: signal.getsignal(number) for number in ENDING}
        self._first = 0

    def __enter__(self) -> Signals:
        for number in ENDING:
            signal.signal(number, self._caught)
        return self

    def _caught(self, number: int, frame: FrameType | None) -> None:
        if not self._first:
            self._first = number
            raise Ended(number)

    def check(self) -> None:
        """Raise `Ended` if a signal has come: it may have been raised where nobody could catch it."""
        if self._first:
            raise Ended(self._first)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_IGN if self._first else handler)


@contextmanager
def held() -> Iterator[set[int]]:
    """Within this context the signals to end have to wait. Its value is the signal mask from before."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)  # which may raise for one that has just come
        yield {int(number) for number in before}
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
