"""How every test of nsh is run: what an `async def` test gets, and what no test may leave behind.

* An `async def` test runs under an event loop of its own, in debug mode, and must be done within
  `LIMIT` seconds (`@pytest.mark.limit(SECONDS)` says otherwise). Tasks that are still alive when it
  returns make it fail. Any other test that hangs is interrupted a little later than that.
* No test may leave an open file descriptor or a running process behind, nor log a line of level
  WARNING or above. A log line that belongs to the promise is announced with
  `@pytest.mark.logs(REGEX)`, or looked at by the test itself with pytest's `caplog`.
* `@pytest.mark.requires("fusermount3", "/dev/fuse", "a terminal")` names what a test needs of the
  machine: programs by name, files by path, and what the kernel must grant by its key in `ABILITIES`,
  which is tried, since a container may have the program and not the right. Where one is missing the
  test is skipped with a line in the summary; under NSH_REQUIRE_ALL=1, which CI sets, it fails, unless
  it lacks nothing but programs that Debian does not have (`UNPACKAGED`).

Only the running of tests belongs here. What tests of one area share lives in that area's directory,
and the suite that every device must pass in conformance.py. `test_conftest.py` tests this file.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import inspect
import logging
import os
import pty
import re
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Coroutine, Generator, Iterator
from typing import Any

import hypothesis
import pytest

from tests import ordinary

LIMIT = 20.0
"""Seconds that a test may take."""

GRACE = 5.0
"""Seconds after `LIMIT` at which a test that blocks is interrupted, and again until it gives in."""

SETTLE = 2.0
"""Seconds that a killed process or a thread's last descriptor may take to be gone after a test."""

# Carried by every program that a test starts, so that it is found even when its parent is dead.
TAG = f"NSH_TEST_RUN={uuid.uuid4().hex}"


def pytest_configure(config: pytest.Config) -> None:
    """Announce the markers, tag the environment, and take the clock out of hypothesis."""
    for marker in (
        "limit(seconds): the test may take this long instead of the usual limit",
        "logs(regex): the test logs warnings that match regex, and no others",
        "requires(*needs): programs, absolute paths of files, and abilities that the machine must have",
    ):
        config.addinivalue_line("markers", marker)
    name, _, value = TAG.partition("=")
    os.environ[name] = value
    slow = [hypothesis.HealthCheck.too_slow]
    hypothesis.settings.register_profile("nsh", deadline=None, suppress_health_check=slow)
    hypothesis.settings.load_profile("nsh")


def pytest_collection_finish() -> None:
    """Set the modules of all tests aside, so that the collection after each test is quick."""
    gc.collect()
    gc.freeze()


# --- what a test needs, and how long it may take -----------------------------------------------


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, or fail under NSH_REQUIRE_ALL=1, a test whose `requires` the machine does not meet."""
    needs = [need for marker in item.iter_markers("requires") for need in marker.args]
    missing = [need for need in needs if not available(need)]
    if not missing:
        return
    what = f"needs {' and '.join(missing)}, which this machine lacks"
    if os.environ.get("NSH_REQUIRE_ALL") == "1" and not UNPACKAGED.issuperset(missing):
        pytest.fail(f"{what} (NSH_REQUIRE_ALL=1)", pytrace=False)
    pytest.skip(what)


@functools.cache
def available(need: str) -> bool:
    """Whether this machine has what `requires` calls `need`.

    A bare word that is no key of `ABILITIES` names a program, never a file of this directory.
    """
    if need in ABILITIES:
        return ABILITIES[need]()
    return shutil.which(need) is not None or (need.startswith("/") and os.path.exists(need))


def _terminal() -> bool:
    """Whether there are pseudo terminals; a bare chroot has no /dev/pts."""
    try:
        ends = pty.openpty()
    except OSError:
        return False
    for end in ends:
        os.close(end)
    return True


def _unshares(*options: str) -> bool:
    """Whether the kernel grants a child these name spaces; in a chroot it refuses a user name space."""
    try:
        return subprocess.run(["unshare", *options, "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


ABILITIES: dict[str, Callable[[], bool]] = {
    "a terminal": _terminal,
    "a user name space": lambda: _unshares("--map-root-user"),
    "/dev/fuse": lambda: os.access("/dev/fuse", os.R_OK | os.W_OK),
    "FUSE in a name space": lambda: (
        available("/dev/fuse") and (_unshares("--mount") or _unshares("--map-root-user", "--mount"))
    ),
    "a network of its own": lambda: _unshares("--net") or _unshares("--map-root-user", "--net"),
    "an ordinary user": lambda: bool(ordinary.python()),
    "a host name of its own": lambda: _unshares("--uts") or _unshares("--user", "--uts"),
}
"""What no file tells: whether the machine grants it to whoever runs the tests."""

UNPACKAGED = frozenset({"9p", "9pfuse", "9pserve", "emu"})
"""Programs of plan9port and Inferno that no Debian package brings; who has them, has them by hand."""


def _limit(item: pytest.Item) -> float:
    marker = item.get_closest_marker("limit")
    return LIMIT if marker is None else float(marker.args[0])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Interrupt a test that blocks: a plain one, or one that does not let its event loop turn."""

    def too_long(*_: object) -> None:
        # Not TimeoutError: that is an OSError, which the code under test may rightly handle.
        pytest.fail(f"still running {GRACE:g} s after its limit of {_limit(item):g} s")

    previous = signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, _limit(item) + GRACE, GRACE)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


# --- async tests -------------------------------------------------------------------------------


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run an `async def` test; leave every other test to pytest."""
    test = pyfuncitem.obj
    if not inspect.iscoroutinefunction(test):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(test).parameters}
    with asyncio.Runner(debug=True) as runner:
        # Debug mode warns of slow callbacks. How fast a shared machine is, is not what a test is about.
        runner.get_loop().slow_callback_duration = LIMIT
        runner.run(_run(test(**arguments), _limit(pyfuncitem)))
    return True


async def _run(test: Coroutine[Any, Any, None], limit: float) -> None:
    """Await `test` for at most `limit` seconds; fail when it leaves tasks behind."""
    clock = asyncio.timeout(limit)
    try:
        async with clock:
            await test
    except TimeoutError as error:
        if clock.expired():
            raise pytest.fail.Exception(f"not done within its limit of {limit:g} s") from error
        raise
    if clock.expired():  # and the test has taken that for something else
        pytest.fail(f"not done within its limit of {limit:g} s", pytrace=False)
    for _ in range(10):  # what the test has closed or cancelled needs a few turns to end
        await asyncio.sleep(0)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if left:
        pytest.fail("\n  ".join(["the test left tasks behind:", *map(repr, left)]), pytrace=False)


# --- what a test leaves behind -----------------------------------------------------------------


class _Warnings(logging.Handler):
    """Keeps the lines of level WARNING and above that were logged while it was installed."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture(autouse=True)
def leaves_nothing_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test when it leaves descriptors or processes, or logs what it did not announce.

    Being automatic and declared outermost, this is torn down after all other fixtures of the test.
    """
    warnings = _Warnings()
    logging.getLogger().addHandler(warnings)
    descriptors, processes = _descriptors(), _process_ids()
    yield
    gc.collect()  # an exception nobody retrieved, or a file nobody closed, is reported when it is freed
    complaints = _leaks(descriptors, processes)
    logging.getLogger().removeHandler(warnings)
    if "caplog" not in request.fixturenames:
        complaints += _check_log(warnings.lines, request.node.get_closest_marker("logs"))
    if complaints:
        pytest.fail("\n".join(complaints), pytrace=False)


def _check_log(lines: list[str], announced: pytest.Mark | None) -> list[str]:
    """What is wrong with the logged `lines` of a test whose marker `logs` is `announced`."""
    if announced is None:
        return [f"unexpected log line: {line}" for line in lines]
    regex = announced.args[0]
    if not lines:
        return [f"nothing was logged that matches {regex!r}"]
    return [f"unexpected log line: {line}" for line in lines if not re.search(regex, line)]


def _leaks(descriptors: set[tuple[int, str]], processes: set[int]) -> list[str]:
    """What is open or running now and was not before; such processes are killed, to spare other tests."""
    end = time.monotonic() + SETTLE
    while True:
        opened = _descriptors() - descriptors
        running = {pid: name for pid in _process_ids() - processes if (name := _ours(pid))}
        if not (opened or running) or time.monotonic() > end:
            break
        time.sleep(0.01)
        gc.collect()  # a thread may just have let go of what holds it
    for pid in running:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return [f"descriptor {number} left open: {target}" for number, target in sorted(opened)] + [
        f"process {pid} left running: {name}" for pid, name in sorted(running.items())
    ]


def _descriptors() -> set[tuple[int, str]]:
    """The open file descriptors of this process, each with what it is open on."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the one that listed the directory
            found.add((int(number), os.readlink(f"/proc/self/fd/{number}")))
    return found


def _process_ids() -> set[int]:
    return {int(name) for name in os.listdir("/proc") if name.isdecimal()}


def _ours(pid: int) -> str:
    """The command line of process `pid` if this run of the tests started it and it is alive, else ""."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            state, parent = file.read().rpartition(")")[2].split()[:2]
        with open(f"/proc/{pid}/environ", "rb") as file:
            tagged = TAG.encode() in file.read().split(b"\0")
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            command = file.read().rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")
    except OSError:  # it has gone meanwhile, or is another user's
        return ""
    alive = state not in "ZX"
    return (command or f"({pid})") if alive and (tagged or int(parent) == os.getpid()) else ""
