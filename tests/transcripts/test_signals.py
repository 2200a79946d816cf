"""nsh/replay/signals.py: a signal to end is raised once, waits where it has to, and is not lost."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator

import pytest

from nsh.replay.signals import ENDING, Ended, Signals, held


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """The signals are handled afterwards as before: who has got one ignores them."""
    before = {number: signal.getsignal(number) for number in ENDING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def raised(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", ENDING)
def test_the_first_signal_raises_and_no_other(number: signal.Signals) -> None:
    with pytest.raises(Ended) as error, Signals():
        try:
            raised(number)
        finally:
            for other in ENDING:
                raised(other)
    assert error.value.signal is number
    for other in ENDING:
        raised(other)


def test_without_a_signal_all_is_as_before() -> None:
    before = [signal.getsignal(number) for number in ENDING]
    with Signals() as signals:
        signals.check()
    assert [signal.getsignal(number) for number in ENDING] == before


def test_a_signal_waits_while_it_is_held() -> None:
    after = False
    with pytest.raises(Ended), Signals(), held():
        raised(signal.SIGTERM)
        after = True
    assert after
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & set(ENDING)


def test_a_signal_that_nobody_could_catch_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    lost: list[BaseException | None] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda told: lost.append(told.exc_value))

    class Deaf:
        def __del__(self) -> None:
            raised(signal.SIGHUP)

    with pytest.raises(Ended) as error, Signals() as signals:
        Deaf()
        assert isinstance(lost[0], Ended)
        signals.check()
    assert error.value.signal is signal.SIGHUP
