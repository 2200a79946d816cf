"""The files of a session: what reading and writing each of them means, said to the session.

Here are the rules of the files: what they take, when their reports are made, and which open descriptors
count, as users or as writers. What is then done is the session's business.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nsh import errors
from nsh.errors import P9Error
from nsh.kern.chan import Chan, Maybe, must_wait
from nsh.kern.dev import AWRITE, Device, File, Text, access_needed
from nsh.p9.const import OTRUNC
from nsh.p9.stat import Dir
from taskfs import ctl

if TYPE_CHECKING:
    from taskfs.session import Session


MAXSETTING = 1 << 20
"""Most bytes of args, of env, and of ns."""


class SessionFile(File):
    """A file of a session. ``counts``: its open descriptors are counted in status."""

    counts = False

    def __init__(self, session: Session, name: str, perm: int) -> None:
        super().__init__(name, perm, uid=session.uid)
        self.session = session

    def stat(self, dev: Device) -> Dir:
        """What it is. Errors: `Enonexist` if the session was freed."""
        if self.session.gone:
            raise errors.Enonexist()
        return super().stat(dev)

    def open(self, c: Chan, mode: int) -> Chan | None:
        self.session.alive()
        self.session.opened(self.counts)
        return None

    def close(self, c: Chan) -> None:
        self.session.closed(self.counts)

    def wstat(self, c: Chan, d: Dir) -> None:
        """Truncation and times are accepted and mean nothing, for those who open with truncation."""
        if d.touched() - {"length", "atime", "mtime"} or (d.touched() & {"length"} and d.length):
            raise errors.Eperm()


class Ctl(SessionFile):
    """ctl: takes commands; a read gives the session's number."""

    counts = True

    def __init__(self, session: Session) -> None:
        super().__init__(session, "ctl", 0o660)

    def read(self, c: Chan, count: int, offset: int) -> bytes:
        return str(self.session.number).encode()[offset : offset + count]

    def write(self, c: Chan, data: bytes, offset: int) -> Maybe[int]:
        self.session.alive()
        done = ctl.run(self.session, bytes(data).decode("utf-8", "surrogateescape"), c)
        return _written(done, len(data)) if must_wait(done) else len(data)

    def close(self, c: Chan) -> None:
        stake: ctl.Stake | None = c.dirpos
        if stake is not None and stake.kept:
            self.session.kept_open(-stake.kept)
        super().close(c)
        if stake is not None and stake.kill and not self.session.gone:
            self.session.background(self.session.kill())


async def _written(done: Any, count: int) -> int:
    await done
    return count


class Setting(SessionFile):
    """args, env and ns: what was set for the tasks. How much that is has bounds."""

    def __init__(self, session: Session, perm: int) -> None:
        super().__init__(session, type(self).__name__.lower(), perm)

    def size(self) -> int:
        """The bytes of the setting."""
        raise NotImplementedError

    def grow(self, n: int) -> None:
        """Raise `Elimit` unless there is room for ``n`` bytes more; they count from now on."""
        known = self.session.sizes.get(self.name, 0)
        if known + n > MAXSETTING:
            known = self.size()  # what was written twice was counted twice
        if known + n > MAXSETTING:
            raise errors.Elimit(f"{self.name}: more than {MAXSETTING} bytes")
        self.session.resize(self.name, known + n)


class Args(Setting):
    """args: words that are put behind those of exec; each open begins anew."""

    def __init__(self, session: Session) -> None:
        super().__init__(session, 0o222)

    def size(self) -> int:
        return sum(len(word) + 1 for word in self.session.options.args)

    def open(self, c: Chan, mode: int) -> Chan | None:
        opened = super().open(c, mode)
        self.session.options.args = []
        self.session.resize(self.name, 0)
        return opened

    def write(self, c: Chan, data: bytes, offset: int) -> int:
        text = bytes(data).decode("utf-8", "surrogateescape")
        words = [word for line in ctl.split(text) for word in line]
        self.grow(len(data))
        self.session.options.args += words
        return len(data)


class Env(Setting):
    """env: lines NAME=VALUE, for the environment of the tasks; NAME takes back what was set here.

    A line may come in pieces, as what a program writes does.
    """

    def __init__(self, session: Session) -> None:
        super().__init__(session, 0o222)

    def size(self) -> int:
        return sum(len(name) + len(value) + 2 for name, value in self.session.options.env.items())

    def write(self, c: Chan, data: bytes, offset: int) -> int:
        *lines, begun = ((c.dirpos or b"") + bytes(data)).split(b"\n")
        pairs = [_pair(line) for line in (*lines, begun) if line]
        self.grow(len(data))
        if begun and b"=" not in begun:
            pairs.pop()  # until the line goes on, or the file is closed
        self._set(pairs)
        c.dirpos = begun
        return len(data)

    def _set(self, pairs: list[tuple[str, str, str]]) -> None:
        env = self.session.options.env
        for name, equals, value in pairs:
            if equals:
                env[name] = value
            else:
                env.pop(name, None)
        self.session.resize(self.name, self.size())

    def close(self, c: Chan) -> None:
        if c.dirpos and not self.session.gone:
            self._set([_pair(c.dirpos)])
        super().close(c)


def _pair(line: bytes) -> tuple[str, str, str]:
    name, equals, value = line.decode("utf-8", "surrogateescape").partition("=")
    if not name or "\0" in name + value:
        raise P9Error("env: a line is NAME=VALUE, or NAME")
    return name, equals, value


class Ns(Setting):
    """ns: namespace(6) lines for the tasks; what is written is added. Truncation means something here."""

    def __init__(self, session: Session) -> None:
        super().__init__(session, 0o660)

    def size(self) -> int:
        return len(self.session.options.ns)

    def _empty(self) -> None:
        self.session.options.ns = b""
        self.session.resize(self.name, 0)

    def open(self, c: Chan, mode: int) -> Chan | None:
        opened = super().open(c, mode)
        if mode & OTRUNC:
            self._empty()
        return opened

    def read(self, c: Chan, count: int, offset: int) -> bytes:
        return self.session.options.ns[offset : offset + count]

    def write(self, c: Chan, data: bytes, offset: int) -> int:
        self.grow(len(data))
        self.session.options.ns += bytes(data)
        return len(data)

    def wstat(self, c: Chan, d: Dir) -> None:
        super().wstat(c, d)
        if "length" in d.touched():
            self._empty()


class Report(SessionFile):
    """status and wait: a text that is made when it is read from the start."""

    def __init__(self, session: Session, name: str, make: Any, counts: bool = False) -> None:
        super().__init__(session, name, 0o444)
        self.counts = counts
        self._text = Text(name, make)

    def read(self, c: Chan, count: int, offset: int) -> Maybe[bytes]:
        self.session.alive()
        return self._text.read(c, count, offset)


class Output(SessionFile):
    """stdout, stderr: what the tasks print; a read waits for it, and ends when they have.

    Who reads no bytes says that he does not read on: as if he had closed it, nothing is kept for him.
    """

    counts = True

    def read(self, c: Chan, count: int, offset: int) -> Maybe[bytes]:
        self.session.alive()
        if not count:
            self.session.work.forget(c)
            return b""
        name = "stderr" if self.name == "stderr" else "stdout"
        return self.session.work.read(c, name, count, offset)

    def close(self, c: Chan) -> None:
        super().close(c)
        if not self.session.gone:
            self.session.work.forget(c)


class Writer:
    """One descriptor that is open for writing to the standard input; ``written``: bytes, through it.

    A parent session keeps the stdin of its children open, and is a writer only while one of its own
    clients is. It says so by empty writes: the first, before any other, means "I only hold this open";
    after that one means "I have written all".
    """

    __slots__ = ("_counted", "_fresh", "_session", "written")

    def __init__(self, session: Session) -> None:
        self._session = session
        self.written = 0
        self._fresh = True
        self._counted = True
        session.writer_came()

    def write(self, data: bytes) -> Maybe[int]:
        session = self._session
        session.alive()
        if data:
            self._fresh = False
            if not self._counted:
                self._counted = True
                session.writer_came()
            taken = session.work.write(data, self)
            self.written += len(data)
            return taken
        if self._fresh:
            self._fresh = self._counted = False
            session.writer_waits()
        else:
            session.fed_above = False
            self.close()
            session.end_unwritten()
        return 0

    def close(self) -> None:
        if self._counted:
            self._counted = False
            self._session.writer_left(self)


class Input(SessionFile):
    """stdin: what is written goes to the tasks; when the last writer closes, they see the end."""

    counts = True

    def open(self, c: Chan, mode: int) -> Chan | None:
        super().open(c, mode)
        if access_needed(mode) & AWRITE:
            c.dirpos = Writer(self.session)
        return None

    def write(self, c: Chan, data: bytes, offset: int) -> Maybe[int]:
        writer: Writer = c.dirpos
        return writer.write(bytes(data))

    def close(self, c: Chan) -> None:
        super().close(c)
        if c.dirpos is not None:
            c.dirpos.close()


class Stdio(Output, Input):
    """stdio: reads as stdout, writes as stdin.

    A descriptor has one offset for both, but the output goes on where its reader was.
    """

    counts = False

    def read(self, c: Chan, count: int, offset: int) -> Maybe[bytes]:
        writer: Writer | None = c.dirpos
        if writer is not None:
            if offset < writer.written:
                writer.written = 0  # somebody has gone back
            offset -= writer.written
        return super().read(c, count, offset)


FILES: dict[str, Callable[[Session], File]] = {
    "args": Args,
    "ctl": Ctl,
    "env": Env,
    "ns": Ns,
    "status": lambda session: Report(session, "status", session.status),
    "stderr": lambda session: Output(session, "stderr", 0o444),
    "stdin": lambda session: Input(session, "stdin", 0o222),
    "stdio": lambda session: Stdio(session, "stdio", 0o660),
    "stdout": lambda session: Output(session, "stdout", 0o444),
    "wait": lambda session: Report(session, "wait", session.wait, counts=True),
}
"""The files of a session, and how each is made."""
