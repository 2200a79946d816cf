"""The processes of a replay: a small world of machines on this one, and how it ends.

Each host is an nsh of its own that exports its taskfs, with a host name of its own (a UTS name space) and a
directory that plays its root. Two more shells are typed to: the name space shell, and the Linux shell, which
sees this machine's files and has a scratch home; with ``--host`` it is this machine's own (linux.py). They
find each other by an ndb (nsh/net/ndb.py), a file that says which loopback port plays a dial string; nothing
else can be dialled.

A world leaves nothing behind (remains.py): all its processes carry NSH_NDB with the path of its own table in
their environment, and what still runs after the shells have ended is found by that. The shells end when their
standard input does, and by a signal when this process dies. What is typed and compared is run.py's business.
"""

from __future__ import annotations

import ctypes
import grp
import os
import selectors
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import NamedTuple

from nsh.errors import FileFormatError
from nsh.kern.user import whoami
from nsh.replay.linux import environment
from nsh.replay.remains import PATIENCE, Caretaker, remove
from nsh.replay.script import Command, Host, Transcript
from nsh.replay.shell import Bash, Nsh, Shell
from nsh.replay.signals import ENDING, held

__all__ = ["Result", "World"]

START = 60.0
"""Seconds that the shells may take to start, on a machine that is busy."""

LIMIT = 16 << 20
"""Bytes that one command may print; it is held back after that, and so runs into its time limit."""

# The Linux shell has the machine's own files at its root, and our commands in front of those in /bin.
_LINUX = ("bind -b '#B' '#U/bin'", "bind '#U' /")

_CLONE_NEWUTS, _CLONE_NEWUSER, _PR_SET_PDEATHSIG = 0x04000000, 0x10000000, 1


class Result(NamedTuple):
    """What a command printed, and what went wrong with running it ('' for nothing)."""

    printed: list[str]
    trouble: str


class World:
    """The hosts and shells of a transcript, alive while the context lasts.

    ``file`` is the transcript's name for messages. `values` has what $home, $user, $group, $scratch and
    $here are, `meanings` the pairs that the hosts add to ``# where``. Errors of entering:
    `FileFormatError` for a host that does not come up as its line says; `OSError`. ``check`` is called
    before each time that a shell is waited for, and raises what ends that. ``host``: the Linux shell is
    the bash of this machine.
    """

    def __init__(
        self, transcript: Transcript, file: str, check: Callable[[], None], host: bool = False
    ) -> None:
        self._transcript, self._file, self._check, self._host = transcript, file, check, host
        self._selector = selectors.DefaultSelector()
        self._shells: list[Shell] = []
        self._told: set[str] = set()
        self._caretaker: Caretaker | None = None
        self.scratch = ""
        self.refused = ""
        """Why the hosts have no host names of their own, or ''."""
        self.values: dict[str, str] = {}
        self.meanings: list[tuple[str, str]] = []

    # --- beginning -----------------------------------------------------------------------------

    def __enter__(self) -> World:
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def _build(self) -> None:
        with held():
            self.scratch = os.path.realpath(tempfile.mkdtemp(prefix="nsh-replay-"))
            self._caretaker = Caretaker(self._tag, self.scratch)
        home = self._directory("home")
        self.values = {
            "home": home,
            "user": whoami(),
            "group": _group(),
            "scratch": self.scratch,
            "here": os.path.dirname(os.path.realpath(self._file)),
        }
        for directory in _mountpoints(self._transcript.commands):
            os.makedirs(os.path.join(home, directory), exist_ok=True)
        with open(self._ndb, "x"):
            pass
        hosts = [self._start_host(host) for host in self._transcript.hosts]
        self.namespace = self._start("name space", home)
        self.linux = self._start("Linux", home, kind=Bash if self._host else Nsh)
        for shell in self._shells:
            self._first_prompt(shell)
        for host, shell in zip(self._transcript.hosts, hosts, strict=True):
            below = [other for other in self._transcript.hosts if other.name in host.over]
            lines = [f"mount -A {_quoted(other.address)} /remote/{other.name}" for other in below]
            for line in (*lines, f"styxlisten -A {_quoted(host.address)} export /task"):
                printed, trouble = self._run(shell, line, START)
                if printed or trouble:
                    what = " ".join([*printed, trouble]).strip()
                    raise FileFormatError(f"host {host.name}: {what}", self._file, host.line)
        for line in () if self._host else _LINUX:
            printed, trouble = self._run(self.linux, line, START)
            if printed or trouble:
                raise OSError(f"the Linux shell cannot {line}: {' '.join([*printed, trouble])}")

    @property
    def _ndb(self) -> str:
        return os.path.join(self.scratch, "ndb")

    @property
    def _tag(self) -> str:
        """What the environment of each process of this world has in it."""
        return f"NSH_NDB={self._ndb}"

    def _directory(self, name: str) -> str:
        path = os.path.join(self.scratch, name)
        os.mkdir(path)
        return path

    def _start_host(self, host: Host) -> Shell:
        directory = self._directory(f"host-{host.name}")
        if host.root:
            self.meanings.append((host.root, directory))
        if host.hostname and not self.refused:
            try:
                return self._start(host.name, directory, lambda: _take_hostname(host.hostname))
            except subprocess.SubprocessError:
                self.refused = "the kernel refuses a UTS name space"
        if host.hostname:
            self.meanings.append((host.hostname, socket.gethostname()))
        return self._start(host.name, directory)

    def _start(
        self,
        name: str,
        directory: str,
        first: Callable[[], None] = lambda: None,
        kind: type[Nsh] | type[Bash] = Nsh,
    ) -> Shell:
        libc = ctypes.CDLL(None)
        environ = self._environ()
        if kind is Bash:
            environ = environment(os.path.join(self.scratch, "bin"), environ)
        # At a fork Python may lose an exception, and a shell that has started has to be known.
        with held() as mask:

            def prepare() -> None:
                for number in ENDING:  # or else it would be this process's handler that they call here
                    signal.signal(number, signal.SIG_DFL)
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)
                first()
                libc.prctl(_PR_SET_PDEATHSIG, kind.hangs_up)

            shell = kind(name, directory, environ, prepare)
            self._shells.append(shell)
            self._selector.register(shell.stdout, selectors.EVENT_READ, shell)
        return shell

    def _environ(self) -> dict[str, str]:
        """This process's environment without what says where its user's files are, the caches excepted."""
        cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        environ = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
        environ.pop("prompt", None)
        return {**environ, "XDG_CACHE_HOME": cache, "NSH_NDB": self._ndb}

    def _first_prompt(self, shell: Shell) -> None:
        printed, trouble = self._result(shell, START, None)
        if trouble:
            raise OSError(f"the {shell.name} shell does not start: {' '.join([*printed, trouble])}")

    # --- typing --------------------------------------------------------------------------------

    def run(self, command: Command, text: str, timeout: float, show: Callable[[str], None] | None) -> Result:
        """Type ``text`` to the shell of ``command``; wait at most ``timeout`` seconds for it to end.

        ``show`` is called with each line as it comes. A command that takes longer is interrupted; if even
        that does not bring the prompt back, its shell is killed.
        """
        shell = self.linux if command.prompt == "$" else self.namespace
        leaves = not shell.ended and text.split()[:1] == ["exit"]
        result = self._run(shell, text, timeout, show)
        return result._replace(trouble="") if leaves and shell.ended else result

    def casualties(self) -> list[str]:
        """Hosts that have ended since the last call, each with how."""
        self._read(0)
        hosts = [shell for shell in self._shells if shell not in (self.namespace, self.linux)]
        dead = [shell for shell in hosts if shell.ended and shell.name not in self._told]
        self._told.update(shell.name for shell in dead)
        return [f"host {shell.name} has ended ({shell.status()})" for shell in dead]

    def _run(
        self, shell: Shell, text: str, timeout: float, show: Callable[[str], None] | None = None
    ) -> Result:
        shell.type(text)
        return self._result(shell, timeout, show)

    def _result(self, shell: Shell, timeout: float, show: Callable[[str], None] | None) -> Result:
        """What a shell prints until its prompt comes, or something else than that."""
        printed = self._until_prompt(shell, timeout, show)
        trouble = ""
        if printed is None:
            if shell.ended:
                trouble = f"the shell has ended ({shell.status()})"
            else:
                trouble = f"timed out after {timeout:g} s"
            printed = self._interrupt(shell)
        return Result(_split(printed), trouble)

    def _until_prompt(
        self, shell: Shell, timeout: float, show: Callable[[str], None] | None = None
    ) -> bytes | None:
        """What the shell prints up to its prompt; None if it ends, or takes too long."""
        end, shown = time.monotonic() + timeout, 0
        while True:
            printed = shell.prompted()
            complete = shell.printed if printed is None else printed
            if show is not None:
                whole = len(complete) if printed is not None else complete.rfind(b"\n") + 1
                for line in _split(complete[shown:whole]):
                    show(line)
                shown = max(shown, whole)
            if printed is not None:
                return printed
            left = end - time.monotonic()
            if shell.ended or left <= 0:
                return None
            self._check()
            self._read(left)

    def _interrupt(self, shell: Shell) -> bytes:
        """Bring the prompt back, as Ctrl-C does, or else kill the shell; what it printed so far."""
        if not shell.ended:
            shell.send(signal.SIGINT)
            printed = self._until_prompt(shell, PATIENCE)
            if printed is not None:
                return printed
            shell.send(signal.SIGKILL)
            shell.ended = True
        printed, shell.printed = bytes(shell.printed), bytearray()
        return printed

    def _read(self, timeout: float) -> None:
        """Take what the shells have printed, waiting for it as long as ``timeout`` says."""
        for key, _ in self._selector.select(timeout):
            shell: Shell = key.data
            data = os.read(key.fd, 1 << 16)
            shell.printed += data
            if not data:
                shell.ended = True
            if not data or len(shell.printed) > LIMIT:
                self._selector.unregister(shell.stdout)

    # --- ending --------------------------------------------------------------------------------

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End everything: the shells that use the hosts before the hosts, then whatever is left.

        Signals that ask this process to end have to wait for it.
        """
        with held():
            self._close()

    def _close(self) -> None:
        hosts = len(self._transcript.hosts)
        self._end(self._shells[hosts:])
        self._end(self._shells[:hosts])
        self._selector.close()
        for shell in self._shells:
            shell.stdout.close()
        if self.scratch:
            remove(self._tag, self.scratch)
        if self._caretaker is not None:
            self._caretaker.dismiss()

    def _end(self, shells: list[Shell]) -> None:
        for shell in shells:
            shell.hangup()
            if shell.busy and shell.running():  # it does not look at its input now
                shell.send(shell.hangs_up)
        for last in (False, True):
            end = time.monotonic() + PATIENCE
            while any(shell.running() for shell in shells) and time.monotonic() < end:
                self._read(0.02)
                for shell in shells:
                    shell.printed.clear()
            for shell in shells:
                if shell.running():
                    shell.send(signal.SIGKILL if last else shell.hangs_up)
        for shell in shells:
            shell.process.wait()


def _split(printed: bytes | bytearray) -> list[str]:
    text = printed.decode(errors="surrogateescape")
    return text.removesuffix("\n").split("\n") if text else []


def _quoted(word: str) -> str:
    """A word as it is typed to our shell."""
    return "'" + word.replace("'", "''") + "'"


def _group() -> str:
    try:
        return grp.getgrgid(os.getegid()).gr_name
    except KeyError:
        return str(os.getegid())


def _mountpoints(commands: Iterable[Command]) -> list[str]:
    """The directories of the home that the recording takes for granted: those that ``9pfuse`` mounts on.

    One that the recording itself makes is not among them, nor one that it shows to be missing.
    """
    found, made = [], set()
    for command in commands:
        words = command.text.split()
        if words[:1] == ["mkdir"]:
            made.update(words[1:])
        elif command.prompt == "$" and words[:1] == ["9pfuse"] and not command.output:
            directory = words[-1].strip("'")
            if directory not in made and not directory.startswith(("/", "..")):
                found.append(directory)
    return found


def _take_hostname(name: str) -> None:
    """Give this process, which is about to become an nsh, a host name of its own. Errors: `OSError`."""
    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.geteuid(), os.getegid()
    if libc.unshare(_CLONE_NEWUTS) != 0:  # which only root may; in a user name space of its own anybody is
        if libc.unshare(_CLONE_NEWUTS | _CLONE_NEWUSER) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        for file, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{uid} {uid} 1"),
            ("gid_map", f"{gid} {gid} 1"),
        ):
            with open(f"/proc/self/{file}", "w") as control:
                control.write(text)
    socket.sethostname(name)
