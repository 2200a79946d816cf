"""The keeper: starts the tasks of an nsh, is the parent of all that comes of them, and ends them.

A program of its own, which `taskfs.guard` starts as ``python -I -S keeper.py FILES MARKS TWINS`` and which
imports nothing of nsh. Its standard input is a socket to nsh, FILES is how many descriptors a task may have,
and MARKS a number that no other keeper has. When nsh closes the socket, by exit or by death, what is left of
the tasks is ended, and then the keeper ends itself.

There are two of them, for whoever starts a program waits until it is that, and meanwhile starts no other. The
second is a child of the first, its twin, and the same in everything; it has the socket that is descriptor 3,
and TWINS in the place of MARKS.

A process whose parent dies is adopted by the nearest subreaper above it (prctl(2)), and that is the keeper.
So nothing that comes of a task gets away from it by a process group, a session or a name space of its own;
and whoever is killed hands his children to it, so that it is enough to kill children until there are none.
Whose task an adopted process belongs to is told by a mark, see `Keeper._mark`.

A message is a list of tuples, by marshal: what there was to say at one time. From nsh:

* ``("start", SERIAL, NUMBER, JOB)``: JOB is that of a `Job`, by marshal, and NUMBER says how many of the
  descriptors that come with the message are for it: a file with the job if JOB is empty, as where it is long,
  then the task's files, and the name spaces of Linux that it is to enter, if any;
* ``("signal", SERIAL, NUMBER)``, to the process group of a task;
* ``("end", SERIAL, GRACE)``: SIGTERM to what is left of a task now, and SIGKILL in GRACE seconds;
* ``("directory", PATH)``: what is to be removed, with what is in it, when nsh is gone.

To nsh:

* ``("here", PID)``, before all else: the keeper;
* ``("started", SERIAL, PID)``, or ``("failed", SERIAL, ERRNO, AT_DIRECTORY)``;
* ``("ended", SERIAL, STATUS, USER, SYSTEM, REAL)``: the process that was started has, times in seconds;
* ``("gone", SERIAL)``: nothing of the task is left.
"""

from __future__ import annotations

import _socket
import contextlib
import ctypes
import errno
import fcntl
import functools
import marshal
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Iterator, Sequence

TYPE_CHECKING = False
if TYPE_CHECKING:  # to import typing takes longer than to start a task
    from typing import Any, NoReturn

TWIN = 3
"""The descriptor of the twin's socket."""
PR_SET_CHILD_SUBREAPER = 36
RLIMIT_LOCKS = 10

GRACE = 2.0
"""Seconds between SIGTERM and SIGKILL when nsh is gone."""
_MESSAGE = 1 << 16
"""More bytes than a message has."""
_FDS = 253
"""The most descriptors that come with a message (SCM_MAX_FD)."""
_ANSWERS = 64
"""The most answers in a message."""
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that are meant for nsh, or for all that the user runs: the keeper ends when nsh does."""
_RESET = (*_IGNORED, signal.SIGPIPE, signal.SIGXFSZ)
"""Signals about which this program, or Python, does what a task must not inherit."""


_SIGSET = 128
"""The bytes of a sigset_t."""

_libc = ctypes.CDLL(None, use_errno=True)


class Task:
    """A task, from its start until nothing is left of it.

    ``pid``: the process that was started, 0 when that has ended; ``starting``: a pipe that ends when it has
    become the program, if it was not that at once; ``deadline``: when what is left gets SIGKILL, if it is to
    end; ``killed``: it has got that; ``asked``: the groups that have got SIGTERM.
    """

    __slots__ = ("asked", "began", "deadline", "killed", "pid", "serial", "starting")

    def __init__(self, serial: int, pid: int, began: float, starting: int | None) -> None:
        self.serial = serial
        self.pid = pid
        self.began = began
        self.starting = starting
        self.deadline: float | None = None
        self.killed = False
        self.asked: tuple[int, ...] = ()


class Keeper:
    """The tasks of the nsh at the other end of ``socket``; the mark of each is ``marks`` and its number.

    ``twin``: the process of the other keeper, if that is our child, and nothing else.
    """

    def __init__(self, socket: _socket.socket, marks: int, twin: set[int]) -> None:
        self._socket = socket
        self._me = os.getpid()
        self._list = children_file(self._me)
        self._twin = twin
        self._tasks: dict[int, Task] = {}
        self._started: dict[int, Task] = {}  # by the process that was started, while that runs
        self._adopted: dict[int, int] = {}  # the serial number of the task of each process that was adopted
        self._ending: set[Task] = set()  # those that may be gone, or that are to end
        self._beyond: set[int] = set()  # processes that have become another user's
        self._changed = False
        self._poll = select.poll()
        self._directory = b""
        self._starting: dict[int, Task] = {}  # by the pipe that ends when they have become the program
        self._marks = marks
        self._most = resource.getrlimit(RLIMIT_LOCKS)[1]
        self._answers: list[tuple[str | float, ...]] = []

    def run(self, died: int) -> None:
        """Do what nsh asks for, and when it is gone end what is left; ``died``: readable when a child has."""
        poll = self._poll
        talk = self._socket.fileno()
        poll.register(talk, select.POLLIN)
        poll.register(died, select.POLLIN)
        over = False
        self._tell("here", self._me)
        self._answer()
        while not over or self._twin or self._adopted or self._started.keys() - self._beyond:
            events = poll.poll(self._patience())
            if any(fd == died for fd, _ in events):
                os.read(died, _MESSAGE)
            if any(fd == talk for fd, _ in events) and not self._hear():
                over = True
                poll.unregister(talk)
                self._end_all()
                self._remove_directory()
            for fd, _ in events:
                if fd in self._starting:
                    self._begun(self._starting[fd])
            self._reap()
            if self._changed or not events:
                self._look()
            self._answer()

    def _patience(self) -> float | None:
        """How long nothing needs to be done if nothing happens, in milliseconds."""
        deadlines = [t.deadline for t in self._ending if t.deadline is not None and not t.killed]
        return max(min(deadlines) - time.monotonic(), 0.0) * 1000 + 1 if deadlines else None

    # --- what nsh says -------------------------------------------------------------------------

    def _hear(self) -> bool:
        """Do what the next message asks for; False when no more will come."""
        try:
            message, rights, _, _ = self._socket.recvmsg(
                _MESSAGE, _socket.CMSG_SPACE(4 * _FDS), _socket.MSG_DONTWAIT | _socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            return True
        except OSError:
            return False
        fds = [fd for _, _, data in rights for fd in memoryview(data).cast("i")]
        find.cache_clear()
        for request in marshal.loads(message) if message else ():
            self._do(request, fds)
        stand(b"/")
        return bool(message)

    def _do(self, request: tuple[Any, ...], fds: list[int]) -> None:
        """Do what nsh asks for; of ``fds``, those which are meant for that are taken away."""
        match request:
            case ("start", serial, number, job):
                self._start(serial, job, fds[:number], number)
                del fds[:number]
            case ("signal", serial, number) if serial in self._tasks:
                self._signal(self._tasks[serial].pid, number)
            case ("end", serial, grace) if serial in self._tasks:
                self._end(self._tasks[serial], grace)
            case ("directory", path):
                self._directory = path

    def _signal(self, group: int, number: int) -> None:
        if group:
            with contextlib.suppress(PermissionError):
                os.killpg(group, number)

    def _tell(self, *answer: str | float) -> None:
        self._answers.append(answer)

    def _answer(self) -> None:
        """Send what there is to tell."""
        answers, self._answers = self._answers, []
        for i in range(0, len(answers), _ANSWERS):
            try:
                self._socket.send(marshal.dumps(answers[i : i + _ANSWERS]))
            except OSError:
                pass  # nsh is gone, and that is found out by listening

    # --- starting ------------------------------------------------------------------------------

    def _start(self, serial: int, job: bytes, fds: list[int], number: int) -> None:
        """Start a task, for which there should be so many descriptors."""
        began = time.monotonic()
        try:
            if len(fds) < number:  # the kernel drops those for which there is no room here
                raise OSError(errno.EMFILE, "")
            pid, starting = self._spawn(serial, job, fds)
        except (OSError, ValueError) as e:  # ValueError: a NUL in an argument
            why = e.errno if isinstance(e, OSError) else errno.EINVAL
            self._tell("failed", serial, why or errno.EIO, isinstance(e, NoDirectory))
        else:
            task = self._tasks[serial] = self._started[pid] = Task(serial, pid, began, starting)
            if starting is None:
                self._tell("started", serial, pid)
            else:
                self._starting[starting] = task
                self._poll.register(starting, select.POLLIN)
        finally:
            for fd in fds:
                os.close(fd)

    def _spawn(self, serial: int, packed: bytes, fds: list[int]) -> tuple[int, int | None]:
        """Start a process; returns its number, and the pipe that tells when it has become the program, if it
        has not.

        Errors: `NoDirectory`, OSError, ValueError.
        """
        if not packed:
            with open(fds[0], "rb", 0, closefd=False) as file:
                packed = file.read()
            fds = fds[1:]
        job = Job(*marshal.loads(packed))
        self._mark(serial)
        top = max(job.numbers)
        if min(fds) > top:
            return _launch(job, fds)
        with _above(top, fds) as sources:
            return _launch(job, sources)

    def _begun(self, task: Task) -> None:
        """A process that was forked has become the program, or has failed to."""
        assert task.starting is not None
        told = os.read(task.starting, 2)
        self._poll.unregister(task.starting)
        del self._starting[task.starting]
        os.close(task.starting)
        task.starting = None
        if not told:
            self._tell("started", task.serial, task.pid)
            return
        del self._tasks[task.serial]
        self._ending.discard(task)
        self._tell("failed", task.serial, told[1], bool(told[0]))

    def _mark(self, serial: int) -> None:
        """Let what is started from now on carry the mark of a task.

        Linux has had no use for the limit on file locks since 2.4. But it keeps it, lets it be inherited,
        whatever becomes of the environment, and shows it to us.
        """
        try:
            resource.setrlimit(RLIMIT_LOCKS, (self._marks + serial, self._most))
        except ValueError:
            pass  # somebody has limited it: what is adopted is then only known to be some task's

    def _marked(self, pid: int) -> int:
        """The serial number of the task that the process belongs to, 0 if that is not known."""
        try:
            serial = resource.prlimit(pid, RLIMIT_LOCKS)[0] - self._marks
        except OSError:
            return 0
        return serial if serial in self._tasks else 0

    # --- ending --------------------------------------------------------------------------------

    def _end(self, task: Task, grace: float) -> None:
        task.deadline = time.monotonic() + grace
        self._ending.add(task)
        self._changed = True

    def _end_all(self) -> None:
        """nsh is gone: end everything, what nobody knows the task of, too."""
        self._tasks[0] = Task(0, 0, 0.0, None)
        for task in self._tasks.values():
            if task.deadline is None:
                self._end(task, GRACE)

    def _remove_directory(self) -> None:
        """nsh is gone: remove the sockets and the empty directories in its own."""
        if not self._directory:
            return
        with contextlib.suppress(OSError):
            for name in os.listdir(self._directory):
                path = os.path.join(self._directory, name)
                with contextlib.suppress(OSError):  # the other one does the same
                    (os.rmdir if os.path.isdir(path) else os.unlink)(path)
            os.rmdir(self._directory)

    def _reap(self) -> None:
        """See to the children that have died."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            self._changed = True
            self._twin.discard(pid)
            self._beyond.discard(pid)
            task = self._started.pop(pid, None)
            if task is None:
                self._ending.update(self._task_of(self._adopted.pop(pid, 0)))
            else:
                self._ended(task, status, usage)

    def _ended(self, task: Task, status: int, usage: resource.struct_rusage) -> None:
        if task.starting is not None:
            self._begun(task)
        task.pid = 0
        if task.serial in self._tasks:
            self._ending.add(task)
            real = time.monotonic() - task.began
            self._tell("ended", task.serial, status, usage.ru_utime, usage.ru_stime, real)

    def _task_of(self, serial: int) -> list[Task]:
        return [self._tasks[serial]] if serial in self._tasks else []

    def _look(self) -> None:
        """See what is left of the tasks that have ended, and go on with those that are to end."""
        self._changed = False
        everybody = told(self._list) if self._list is not None else children_by_search(self._me)
        strangers = everybody - self._started.keys() - self._beyond - self._twin
        self._adopted = {pid: self._adopted.get(pid) or self._marked(pid) for pid in strangers}
        left: dict[int, list[int]] = {}
        for pid, serial in self._adopted.items():
            left.setdefault(serial, []).append(pid)
        for task in list(self._ending):
            processes = left.get(task.serial, [])
            if task.pid and task.pid not in self._beyond:
                processes.append(task.pid)
            if not processes:
                self._ending.discard(task)
                del self._tasks[task.serial]
                self._tell("gone", task.serial)
            elif task.deadline is not None:
                self._press(task, processes, task.deadline)
            else:
                self._ending.discard(task)  # until one of these has ended

    def _press(self, task: Task, processes: list[int], deadline: float) -> None:
        """Ask the groups of these processes to end, or make the processes if it is time to."""
        task.killed = time.monotonic() >= deadline
        for pid in processes:
            if task.killed:
                try:
                    os.kill(pid, signal.SIGKILL)
                except PermissionError:
                    self._beyond.add(pid)
                    self._changed = True
            elif (group := os.getpgid(pid)) not in task.asked:
                task.asked += (group,)
                with contextlib.suppress(PermissionError):
                    os.kill(pid if group == self._me else -group, signal.SIGTERM)


class NoDirectory(OSError):
    """A task cannot stand where it is to run."""


_ENVIRON = dict(os.environb)
_PATH = os.fsencode(os.defpath)


class Job:
    """What to run: the words of the command, the directory, what to change in our environment for it, by how
    much the priority is to be lower, whether one may have to wait for the program or the directory, and as
    which descriptors the first of those that come with the job are wanted; the others are name spaces.
    """

    __slots__ = ("argv", "directory", "environ", "nice", "numbers", "slow")

    def __init__(
        self,
        argv: list[bytes],
        directory: bytes,
        environ: dict[bytes, bytes],
        nice: int,
        slow: bool,
        numbers: list[int],
    ) -> None:
        self.argv = argv
        self.directory = directory
        self.environ = {**_ENVIRON, **environ}
        self.nice = nice
        self.slow = slow
        self.numbers = numbers

    def program(self) -> bytes:
        """The file that is to be run, seen from its directory. Errors: as of `find`."""
        return find(self.argv[0], self.environ.get(b"PATH", _PATH), self.directory)


def _go(directory: bytes) -> None:
    try:
        os.chdir(directory)
    except OSError as e:
        raise NoDirectory(e.errno, "") from None


_at = b""
"""Where we stand."""


def stand(directory: bytes) -> None:
    """Go to a directory, unless we are there; we stay as long as a message is done. Errors: `NoDirectory`."""
    global _at
    if directory != _at:
        _go(directory)
        _at = directory


def _launch(job: Job, fds: Sequence[int]) -> tuple[int, int | None]:
    """Start a process with these descriptors, as `Keeper._spawn` does."""
    files = list(zip(fds, job.numbers, strict=False))
    spaces = fds[len(files) :]
    if job.nice or job.slow or spaces:
        return _fork(job, files, spaces)
    return _posix_spawn(job, files), None


def _posix_spawn(job: Job, files: Sequence[tuple[int, int]]) -> int:
    """Start a process; it is the program when this returns. Errors: `NoDirectory`, OSError, ValueError."""
    stand(job.directory)
    onto = [(os.POSIX_SPAWN_DUP2, source, number) for source, number in files]
    return os.posix_spawn(
        job.program(), job.argv, job.environ, file_actions=onto, setpgroup=0, setsigmask=(), setsigdef=_RESET
    )


def _fork(job: Job, files: Sequence[tuple[int, int]], spaces: Sequence[int]) -> tuple[int, int]:
    """The same, but do not wait: returns the process and a pipe, which ends when that has become the program;
    if it has failed to, two bytes come out: whether the directory is at fault, and errno. Errors: OSError.

    It takes longer. But others need not wait with it, and it can enter name spaces and lower its own
    priority, which posix_spawn(3) cannot do, and which nobody here could take back.
    """
    heard, told = os.pipe()
    try:
        pid = os.fork()
    except OSError:
        os.close(heard)
        os.close(told)
        raise
    if pid == 0:
        _become(job, files, spaces, told)
    os.close(told)
    return pid, heard


def _become(job: Job, files: Sequence[tuple[int, int]], spaces: Sequence[int], told: int) -> NoReturn:
    try:
        os.setpgid(0, 0)
        for space in spaces:
            if _libc.setns(space, 0) < 0:
                raise OSError(ctypes.get_errno(), "")
        os.nice(job.nice)
        for ignored in _RESET:
            signal.signal(ignored, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        numbers = {number for _, number in files}
        told = fcntl.fcntl(told, fcntl.F_DUPFD_CLOEXEC, max(numbers) + 1)
        for source, number in files:
            os.dup2(source, number)
        _close_all_but({*numbers, told})  # others wait for the end of their pipes, and this may take long
        _go(job.directory)
        os.execve(job.program(), job.argv, job.environ)
    except OSError as e:
        os.write(told, bytes((isinstance(e, NoDirectory), e.errno or errno.EIO)))
    except ValueError:
        os.write(told, bytes((False, errno.EINVAL)))
    finally:
        os._exit(1)


def _close_all_but(kept: set[int]) -> None:
    low = 0
    for fd in sorted(kept):
        if low < fd:
            os.closerange(low, fd)
        low = fd + 1
    os.closerange(low, resource.getrlimit(resource.RLIMIT_NOFILE)[1])


@functools.lru_cache  # only while a message is done
def find(program: bytes, search: bytes, _directory: bytes) -> bytes:
    """The file that execvp(3) would run for ``program``, in the current directory, which is told.

    Errors: FileNotFoundError, PermissionError.
    """
    if b"/" in program:
        return program
    paths = [directory + b"/" + program if directory else program for directory in search.split(b":")]
    for path in paths:
        if os.access(path, os.X_OK, effective_ids=True) and not os.path.isdir(path):
            return path
    raise OSError(errno.EACCES if any(map(os.path.isfile, paths)) else errno.ENOENT, "")


@contextlib.contextmanager
def _above(top: int, fds: Sequence[int]) -> Iterator[list[int]]:
    """The same descriptors, with numbers greater than ``top``, so that none is overwritten by another."""
    made = {fd: fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, top + 1) for fd in fds if fd <= top}
    try:
        yield [made.get(fd, fd) for fd in fds]
    finally:
        for fd in made.values():
            os.close(fd)


def children_file(pid: int) -> int | None:
    """The file that tells the children of a process which has one thread; None if the kernel has no such."""
    try:
        return os.open(f"/proc/{pid}/task/{pid}/children", os.O_RDONLY)
    except FileNotFoundError:  # without CONFIG_PROC_CHILDREN
        return None


def told(file: int) -> set[int]:
    """The children that it tells of, now."""
    text = b""
    while more := os.pread(file, _MESSAGE, len(text)):
        text += more
    return set(map(int, text.split()))


def children_by_search(pid: int) -> set[int]:
    """The children of a process, as all processes tell it."""
    return {int(name) for name in os.listdir("/proc") if name.isdecimal() and _parent(name) == pid}


def _parent(pid: str) -> int:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return int(file.read().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def deaths() -> int:
    """A descriptor that is readable when a child has died: signalfd(2), since to be called takes longer."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # who ignores it, as whoever started us may do, is not told
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGCHLD,))
    mask = (1 << signal.SIGCHLD - 1).to_bytes(_SIGSET, sys.byteorder)
    return int(_libc.signalfd(-1, mask, os.O_NONBLOCK | os.O_CLOEXEC))


def main(files: int, marks: int, twins: int) -> None:
    """Keep tasks of the nsh at the other end of descriptor 0; each may have ``files`` descriptors."""
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    twin = set[int]()
    with contextlib.suppress(OSError):  # where there can be no more processes one must do
        twin.add(os.fork())
    if 0 in twin:
        twin.clear()
        os.setpgid(0, 0)
        os.dup2(TWIN, 0)
        marks = twins
    os.close(TWIN)
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    Keeper(_socket.socket(fileno=0), marks, twin).run(deaths())


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
