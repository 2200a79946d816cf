"""Guard: how an nsh starts tasks and is told of their ends: through a helper that outlives it.

A process that is killed with SIGKILL cannot clean up, and what comes of a task may be anywhere. So the tasks
of an nsh are children of its keeper (`taskfs.keeper`), which ends all that is left of them when nsh is gone,
however that happens, and removes the files that nsh has made for them. Here is nsh's end of the socket
between the two: what is asked, and who is told what is answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import marshal
import os
import resource
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from taskfs.descriptors import files_before
from taskfs.rest import at_rest, children
from taskfs.spool import Bell
from taskfs.watch import Watch

LINGER = 10.0
"""Seconds that the helper stays for the next task; it takes longer to start than most tasks do."""

_KEEPER = os.path.join(os.path.dirname(__file__), "keeper.py")
PATHMAX = 64
"""Bytes of a directory's name with which the sockets in it can still be named (unix(7))."""
RLIMIT_LOCKS = 10
"""The limit that is the mark of a task, see `taskfs.keeper`."""
MARKS = 1 << 30
"""How many marks a keeper has."""
_MESSAGE = 1 << 16
"""More bytes than a message has."""
_SHORT = 4096
"""Bytes of a job that are part of a message; a longer one goes in a file."""
_TOGETHER = 8
"""The most that is asked in one message, which can have some 250 descriptors."""
_PATIENCE = 0.01
"""Seconds that the start of a task waits for others to go with it, while the keeper is busy."""


class Job(NamedTuple):
    """A command, to be run in a directory, in our environment with the changes of ``environ``, and with a
    priority lower by ``nice``; ``slow``: one may have to wait for the program or the directory; ``files``:
    its descriptors from 3 on, by number, each one of ours; ``spaces``: those of name spaces of Linux that it
    is to enter, in that order.
    """

    argv: Sequence[str]
    directory: str
    environ: Mapping[bytes, bytes]
    nice: int = 0
    slow: bool = False
    files: Mapping[int, int] = {}
    spaces: Sequence[int] = ()


class NoDirectory(OSError):
    """The directory in which a task was to run is at fault."""


class Watcher(Protocol):
    """Who is told what becomes of a task; ``number``: what the guard calls it, and ``pid``: its process, 0
    before its start; ``over``: this has ended.
    """

    number: int
    pid: int

    @property
    def over(self) -> bool: ...

    def started(self, pid: int) -> None:
        """It runs, as this process."""

    def ended(self, status: int, user: float, system: float, real: float) -> None:
        """Its process has ended, with this status of wait(2), after so many seconds."""

    def gone(self) -> None:
        """Nothing is left of it."""

    def lost(self) -> None:
        """The helper has died, and with it all knowledge of the task."""


class Guard:
    """The tasks of an nsh, by number, and the helper while it is wanted or one of them is there.

    ``outputs`` tells whoever reads them when there is something in their pipes; ``leaving``: who is told when
    the `directory` is to go.
    """

    def __init__(self) -> None:
        self.outputs = Watch()
        self._wanted = False
        self._helpers: list[Helper] = []
        self._directory = ""
        self._last = 0
        self._watchers: dict[int, Watcher] = {}
        self._kept: dict[int, Helper] = {}  # by whom each is kept
        self._starting: dict[int, asyncio.Future[None]] = {}
        self._bell = Bell()
        self._timer: asyncio.TimerHandle | None = None
        self.leaving: list[Callable[[], None]] = []

    async def start(self, watcher: Watcher, job: Job, standard: Sequence[int]) -> None:
        """Start a task, with these as its ``standard`` input, output and error; the descriptors of its files
        are the guard's from now on.

        Errors: `NoDirectory`, OSError. Cancelled: it is ended, and `Watcher.gone` is called then.
        """
        fds = [*standard, *job.files.values()]
        try:
            helper = self._choose()
            fds += map(os.dup, job.spaces)
            packed = _packed(job)
            if len(packed) > _SHORT:
                fds.insert(0, _file(packed))
                packed = b""
        except BaseException:
            for fd in fds:
                os.close(fd)
            raise
        self._last = number = watcher.number = self._last + 1
        self._watchers[number] = watcher
        self._kept[number] = helper
        starting = self._starting[number] = asyncio.get_running_loop().create_future()
        helper.start(number, packed, fds)
        try:
            await starting
        except asyncio.CancelledError:
            self.end(number, 0.0)
            raise
        finally:
            self._starting.pop(number, None)

    def _choose(self) -> Helper:
        """The helper that has least to do. Errors: OSError."""
        while True:
            helper = min(self._have_helpers(), key=lambda helper: helper.starting)
            if helper.starting or helper.lives():
                return helper

    def directory(self) -> str:
        """A directory of the host that nobody else may enter; it is there as long as the helper.

        Errors: OSError.
        """
        self._have_helpers()
        if not self._directory:
            self._directory = _private()
            self._tell_directory()
        return self._directory

    @property
    def place(self) -> str:
        """The `directory`, if it is there; to ask for it does not make it stay."""
        return self._directory if self._helpers else ""

    def _have_helpers(self) -> list[Helper]:
        self._wanted = True
        self._stop_timer()
        self.outputs.open()
        if not self._helpers:
            self._helpers = helpers(self._hear, self._lost)
            if self._directory:
                self._tell_directory()
        return self._helpers

    def _tell_directory(self) -> None:
        for helper in self._helpers:
            helper.ask(("directory", os.fsencode(self._directory)))
            helper.flush()

    def signal(self, number: int, which: int) -> None:
        """Send a signal to the process group of a task, as long as its process runs."""
        self._ask("signal", number, int(which))

    def end(self, number: int, grace: float) -> None:
        """SIGTERM to all that is left of a task, and SIGKILL, ``grace`` seconds later, to what then is."""
        self._ask("end", number, grace)

    def _ask(self, word: str, number: int, value: float) -> None:
        helper = self._kept.get(number)
        if helper is not None:
            helper.ask((word, number, value))

    def at_rest(self, watcher: Watcher) -> bool:
        """Does all that is left of a task wait for its input, if anything is? See `rest`."""
        helper = self._kept.get(watcher.number)
        if helper is None:
            return True
        started = {watcher.pid for watcher in self._watchers.values()}
        try:
            adopted = helper.adopted(watcher.number, started)
        except OSError:
            return False
        return at_rest(adopted if watcher.over else [watcher.pid, *adopted])

    # --- whether the helper is wanted ----------------------------------------------------------

    def unwanted(self) -> None:
        """No more will be started soon: let the helper go, once nothing of any task is left."""
        self._stop_timer()
        self._wanted = False
        self._leave()

    def unwanted_soon(self) -> None:
        """`unwanted`, in `LINGER` seconds, if no more is started until then."""
        self._stop_timer()
        if self._helpers:
            self._timer = asyncio.get_running_loop().call_later(LINGER, self.unwanted)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def idle(self) -> None:
        """Wait until nothing of any task is left."""
        while self._watchers:
            await self._bell.wait()

    def _leave(self) -> None:
        if not self._watchers:
            self._bell.ring()
            if not self._wanted:
                self.outputs.close()
                for helper in self._helpers:
                    helper.close()
                self._helpers = []
                self._remove_directory()

    def _remove_directory(self) -> None:
        for leave in self.leaving:
            leave()
        if self._directory:
            _remove(self._directory)
            self._directory = ""

    # --- what the helper says ------------------------------------------------------------------

    def _hear(self, message: tuple[Any, ...]) -> None:
        word, number, *values = message
        watcher = self._watchers[number]
        starting = self._starting.get(number)
        if starting is not None and starting.done():
            starting = None
        match word:
            case "started":
                watcher.started(*values)
                if starting is not None:
                    starting.set_result(None)
            case "failed" if starting is not None:
                error, at_directory = values
                starting.set_exception((NoDirectory if at_directory else OSError)(error, ""))
                self._forget(number)
            case "ended":
                watcher.ended(*values)
            case "failed" | "gone":
                watcher.gone()
                self._forget(number)

    def _forget(self, number: int) -> None:
        del self._watchers[number], self._kept[number]
        self._leave()

    def _lost(self, helper: Helper) -> None:
        """The helper has died; somebody must have killed it."""
        self._helpers.remove(helper)
        for number in [number for number, by in self._kept.items() if by is helper]:
            watcher = self._watchers.pop(number)
            del self._kept[number]
            starting = self._starting.get(number)
            if starting is None:
                watcher.lost()
            elif not starting.done():
                starting.set_exception(OSError(errno.EAGAIN, ""))
        self._leave()


def _packed(job: Job) -> bytes:
    """What the keeper is to do, in its words."""
    argv = [os.fsencode(word) for word in job.argv]
    numbers = [0, 1, 2, *job.files]
    what = (argv, os.fsencode(job.directory), dict(job.environ), job.nice, job.slow, numbers)
    return marshal.dumps(what)


def _file(content: bytes) -> int:
    """The descriptor of a file with this content. Errors: OSError."""
    fd = os.memfd_create("job")
    try:
        os.pwrite(fd, content, 0)
    except OSError:
        os.close(fd)
        raise
    return fd


def _kill_marked(marks: int) -> None:
    """Kill what a keeper has left behind, by the mark that all which came of its tasks has."""
    seen: set[int] = set()
    while found := {pid for pid in _processes() if 0 < _limit(pid) - marks < MARKS} - seen:
        seen |= found  # what is killed may be there for a while, and what it has just started is found next
        for pid in found:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)


def _processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def _limit(pid: int) -> int:
    try:
        return resource.prlimit(pid, RLIMIT_LOCKS)[0]
    except OSError:
        return 0


def helpers(hear: Callable[[tuple[Any, ...]], None], lost: Callable[[Helper], None]) -> list[Helper]:
    """Start the two keepers. ``hear`` is told what they say, ``lost`` when one has died of itself.

    Errors: OSError.
    """
    first = int.from_bytes(os.urandom(4), "big") << 31
    marks = (first, first + MARKS)
    ends = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(2)]
    argv = [sys.executable, "-I", "-S", _KEEPER, str(files_before()), *map(str, marks)]
    files = [(os.POSIX_SPAWN_DUP2, theirs.fileno(), fd) for (_, theirs), fd in zip(ends, (0, 3), strict=True)]
    silent = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_WRONLY, 0) for fd in (1, 2)]
    try:
        # a session of its own keeps a terminal's Ctrl-C away from it
        pid = os.posix_spawn(argv[0], argv, os.environ, file_actions=[*files, *silent], setsid=True)
    except OSError:
        for ours, _ in ends:
            ours.close()
        raise
    finally:
        for _, theirs in ends:
            theirs.close()
    _left_behind.append(pid)
    return [Helper(ours, mark, hear, lost) for (ours, _), mark in zip(ends, marks, strict=True)]


class Helper:
    """A keeper, at the other end of ``ours``; see `helpers`. ``starting``: how many tasks it is to start."""

    def __init__(
        self,
        ours: socket.socket,
        marks: int,
        hear: Callable[[tuple[Any, ...]], None],
        lost: Callable[[Helper], None],
    ) -> None:
        self._hear, self._lost = hear, lost
        self._marks = marks
        self._pid = 0
        self.starting = 0
        ours.setblocking(False)
        self._socket = ours
        self._loop = asyncio.get_running_loop()
        self._asked: list[tuple[str | float | bytes, ...]] = []
        self._fds: list[int] = []  # for what was asked
        self._sent = 0  # how many of those that it is to start it knows of
        self._queue: deque[tuple[bytes, list[int]]] = deque()
        self._loop.add_reader(ours, self._readable)

    def start(self, number: int, job: bytes, fds: Sequence[int]) -> None:
        """Ask for the start of a task."""
        self.starting += 1
        if self._add(("start", number, len(fds), job), fds) == 1:
            self._loop.call_soon(self._flush_if_idle)

    def lives(self) -> bool:
        """Is it there? It may have died, and the loop has not seen that yet."""
        try:
            there = self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            there = b""
        if not there:
            self._readable()
        return bool(there)

    def ask(self, request: tuple[str | float | bytes, ...]) -> None:
        """Ask for something; it is sent together with what else is asked for in this turn of the loop."""
        if self._add(request):
            self._loop.call_soon(self.flush)

    def _add(self, request: tuple[str | float | bytes, ...], fds: Sequence[int] = ()) -> int:
        """Ask for something, with descriptors, which are closed here then; returns how much is to be sent."""
        self._asked.append(request)
        self._fds += fds
        if len(self._asked) == _TOGETHER:
            self.flush()
        return len(self._asked)

    def _flush_if_idle(self) -> None:
        """Send what was asked for, unless it has so much to do that the next message may become longer."""
        if self._sent < _TOGETHER:
            self.flush()
        elif self._asked:
            self._loop.call_later(_PATIENCE, self.flush)  # it may wait, and not be busy

    def flush(self) -> None:
        """Send what was asked for."""
        if self._asked:
            self._sent = self.starting
            self._queue.append((marshal.dumps(self._asked), self._fds))
            self._asked, self._fds = [], []
            if len(self._queue) == 1:
                self._send()

    def _send(self) -> None:
        while self._queue:
            message, fds = self._queue[0]
            try:
                socket.send_fds(self._socket, [message], fds)
            except BlockingIOError:
                self._loop.add_writer(self._socket, self._writable)
                return
            except OSError:
                pass  # it has died, which `_readable` finds out
            for fd in fds:
                os.close(fd)
            self._queue.popleft()

    def _writable(self) -> None:
        self._loop.remove_writer(self._socket)
        self._send()

    def _readable(self) -> None:
        try:
            message = self._socket.recv(_MESSAGE)
        except BlockingIOError:
            return
        except OSError:
            message = b""
        if message:
            for answer in marshal.loads(message):
                self._take(answer)
            self._flush_if_idle()
        else:
            self.close()
            _kill_marked(self._marks)
            self._lost(self)

    def _take(self, answer: tuple[Any, ...]) -> None:
        if answer[0] == "here":
            self._pid = answer[1]
            return
        if answer[0] in ("started", "failed"):
            self.starting -= 1
            self._sent -= 1
        self._hear(answer)

    def adopted(self, number: int, started: set[int]) -> list[int]:
        """Those of its children that it has not ``started`` and that may belong to the task of this number.

        Errors: OSError.
        """
        strangers = children(self._pid) - started
        return [pid for pid in strangers if _limit(pid) - self._marks in (number, -self._marks)]

    def close(self) -> None:
        """Let it go: it ends what is there, if anything is, and then itself."""
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._asked.clear()
        for fds in [self._fds, *(fds for _, fds in self._queue)]:
            for fd in fds:
                os.close(fd)
        self._fds = []
        self._queue.clear()
        self._socket.close()
        _see_to_those_left()


def _private() -> str:
    """Make a directory of our own, where programs of this user keep such things if there is a place."""
    places = [os.environ.get(name, "") for name in ("XDG_RUNTIME_DIR", "TMPDIR")]
    fit = (where for where in places if os.access(where, os.W_OK | os.X_OK))
    where = next((where for where in fit if len(os.fsencode(where)) <= PATHMAX), "/tmp")
    directory = f"{where}/nsh.{os.urandom(6).hex()}"
    os.mkdir(directory, 0o700)
    return directory


def _remove(directory: str) -> None:
    """Remove it, with the sockets and empty directories in it; the keeper may be doing the same."""
    with contextlib.suppress(OSError):
        for name in os.listdir(directory):
            path = os.path.join(directory, name)
            with contextlib.suppress(OSError):
                (os.rmdir if os.path.isdir(path) else os.unlink)(path)
        os.rmdir(directory)


_left_behind: list[int] = []
"""Keepers that have to be waited for when they have ended."""


def _see_to_those_left() -> None:
    """Wait for those that have ended."""
    for pid in list(_left_behind):
        try:
            waited, _ = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            waited = pid
        if waited:
            _left_behind.remove(pid)
