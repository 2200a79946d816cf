"""A small tree in memory, and a driver without an event loop, to run a `Session` on.

`Tree` is a complete `Files`: directories, plain files, removal on close, names that exist once. It
counts what it hands out, so that a test can see that everything comes back. Any of its methods can be
made to wait: its name in ``slow`` turns it into a coroutine that stops at a `Gate`. `Driver` steps
such coroutines and reports their end as an event loop would: later, and also when they are cancelled.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Sequence
from typing import Any, TypeVar

from nsh.errors import Eexist, Enonexist, Enospace, Enotdir, Enotempty, Eperm, Etoosmall
from nsh.p9.const import DMDIR, ORCLOSE, OTRUNC, QTDIR
from nsh.p9.files import Soon
from nsh.p9.frame import Framer
from nsh.p9.msg import Buffer, Message, Rmsg, decode, encode
from nsh.p9.server import Done, Session
from nsh.p9.stat import Dir, Qid

T = TypeVar("T")

MAXFILE = 16 << 20
"""Bytes that a file can have: any offset may be written to, and what lies before it takes memory."""


class Node:
    """A file or a directory."""

    def __init__(self, name: str, qid: Qid, perm: int, parent: Node | None) -> None:
        self.name, self.qid, self.perm = name, qid, perm
        self.parent = parent or self
        self.data = b""
        self.children: dict[str, Node] = {}

    def dir(self) -> Dir:
        length = 0 if self.qid.type & QTDIR else len(self.data)
        return Dir(0, 0, self.qid, self.perm, 0, 0, length, self.name, "glenda", "sys", "glenda")


class Fid:
    """What `Tree` hands out."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.mode = 0
        self.iounit = 0
        self.next = 0  # of a directory: the entry to read next

    @property
    def qid(self) -> Qid:
        return self.node.qid


class Tree:
    """``/file`` "hello\\n", ``/dir/sub``, ``/dir/deep/...``, ``/closed`` that nobody may open."""

    def __init__(self) -> None:
        self.paths = 0
        self.root = self.make(None, "/", DMDIR | 0o755)
        self.make(self.root, "file", 0o644).data = b"hello\n"
        at = self.make(self.root, "dir", DMDIR | 0o755)
        self.make(at, "sub", DMDIR | 0o755)
        for _ in range(40):
            at = self.make(at, "deep", DMDIR | 0o755)
        self.make(self.root, "closed", 0)
        self.alive: list[Fid] = []
        self.slow: set[str] = set()
        self.gates: list[Gate] = []
        self.swap = False  # open and create put another Fid in place of the one they get
        self.fail: dict[str, Exception] = {}

    def make(self, parent: Node | None, name: str, perm: int) -> Node:
        self.paths += 1
        node = Node(name, Qid(perm >> 24, 0, self.paths), perm, parent)
        if parent is not None:
            parent.children[name] = node
        return node

    def new(self, node: Node) -> Fid:
        fid = Fid(node)
        self.alive.append(fid)
        return fid

    def does(self, name: str, work: Callable[[], T]) -> Soon[T]:
        """The result of ``work``, at once or behind a gate; or the failure that a test has set."""
        if name in self.fail:
            raise self.fail[name]
        return self.later(work) if name in self.slow else work()

    async def later(self, work: Callable[[], T]) -> T:
        gate = Gate()
        self.gates.append(gate)
        await gate
        return work()

    def attach(self, uname: str, aname: str) -> Soon[Fid]:
        return self.does("attach", lambda: self.new(self.root))

    def walk(self, f: Fid, names: Sequence[str]) -> Soon[tuple[Fid | None, Sequence[Qid]]]:
        return self.does("walk", lambda: self.walked(f, names))

    def walked(self, f: Fid, names: Sequence[str]) -> tuple[Fid | None, Sequence[Qid]]:
        node, qids = f.node, list[Qid]()
        for name in names:
            if not node.qid.type & QTDIR:
                return None, qids
            found = node.parent if name == ".." else node.children.get(name)
            if found is None:
                if not qids:
                    raise Enonexist
                return None, qids
            node = found
            qids.append(node.qid)
        return self.new(node), qids

    def open(self, f: Fid, mode: int) -> Soon[Fid]:
        return self.does("open", lambda: self.opened(f, mode))

    def opened(self, f: Fid, mode: int) -> Fid:
        if f.node.perm == 0:
            raise Eperm
        if mode & OTRUNC:
            f.node.data = b""
        if self.swap:
            f = self.new(f.node)
        f.mode = mode
        return f

    def create(self, f: Fid, name: str, perm: int, mode: int) -> Soon[Fid]:
        return self.does("create", lambda: self.created(f, name, perm, mode))

    def created(self, f: Fid, name: str, perm: int, mode: int) -> Fid:
        if name in f.node.children:
            raise Eexist
        node = self.make(f.node, name, perm)
        if self.swap:
            f = self.new(node)
        f.node, f.mode = node, mode
        return f

    def read(self, f: Fid, count: int, offset: int) -> Soon[Buffer | bytearray]:
        return self.does("read", lambda: self.reading(f, count, offset))

    def reading(self, f: Fid, count: int, offset: int) -> bytes:
        if not f.qid.type & QTDIR:
            return f.node.data[offset : offset + count]
        if offset == 0:
            f.next = 0
        out = b""
        for child in list(f.node.children.values())[f.next :]:
            entry = child.dir().pack()
            if len(out) + len(entry) > count:
                if not out:
                    raise Etoosmall
                break
            out += entry
            f.next += 1
        return out

    def write(self, f: Fid, data: memoryview, offset: int) -> Soon[int]:
        return self.does("write", lambda: self.writing(f, data, offset))

    def writing(self, f: Fid, data: memoryview, offset: int) -> int:
        if offset + len(data) > MAXFILE:
            raise Enospace
        old = f.node.data.ljust(offset, b"\0")
        f.node.data = old[:offset] + data + old[offset + len(data) :]
        return len(data)

    def stat(self, f: Fid) -> Soon[Dir]:
        return self.does("stat", f.node.dir)

    def wstat(self, f: Fid, d: Dir) -> Soon[None]:
        return self.does("wstat", lambda: self.changed(f.node, d))

    def changed(self, node: Node, d: Dir) -> None:
        touched = d.touched()
        if touched - {"name", "mode"}:
            raise Eperm
        if d.name in node.parent.children:
            raise Eexist
        if d.name:
            del node.parent.children[node.name]
            node.parent.children[d.name] = node
            node.name = d.name
        if "mode" in touched:
            node.perm = d.mode

    def remove(self, f: Fid) -> Soon[None]:
        return self.does("remove", lambda: self.removed(f.node))

    def removed(self, node: Node) -> None:
        if node.children:
            raise Enotempty
        if node is self.root:
            raise Enotdir
        if node.parent.children.pop(node.name, None) is None:
            raise Enonexist

    def clunk(self, f: Fid) -> None:
        self.alive.remove(f)  # fails for one that came back before
        if f.mode & ORCLOSE:
            f.node.parent.children.pop(f.node.name, None)


class Cancelled(BaseException):
    """What an event loop throws into a task that is cancelled."""


class Gate:
    """Something to wait for."""

    def __init__(self) -> None:
        self.open = False

    def __await__(self) -> Generator[Gate, None, None]:
        while not self.open:
            yield self


class Job:
    """A coroutine under way."""

    def __init__(self, coro: Coroutine[Any, Any, Any], done: Done) -> None:
        self.coro, self.done = coro, done
        self.cancelled = self.begun = self.over = False

    def cancel(self) -> None:
        self.cancelled = True

    def step(self) -> None:
        """One turn, as a task would take it: one cancelled before its first step runs no code at all."""
        try:
            if not self.cancelled:
                self.begun = True
                self.coro.send(None)
            elif self.begun:
                self.cancelled = False
                self.coro.throw(Cancelled())
            else:
                self.coro.close()
                raise Cancelled
        except StopIteration as end:
            self.finish(end.value, None)
        except BaseException as e:
            self.finish(None, e)

    def finish(self, value: Any, error: BaseException | None) -> None:
        self.over = True
        self.done(value, error)


class Driver:
    """Runs a session's coroutines. ``eager``: their first step is taken at once, as the session hopes."""

    def __init__(self, eager: bool = True) -> None:
        self.eager = eager
        self.jobs: list[Job] = []

    def start(self, coro: Coroutine[Any, Any, Any], done: Done) -> Job | None:
        job = Job(coro, done)
        if self.eager:
            job.step()
            if job.over:
                return None
        self.jobs.append(job)
        return job

    def turn(self) -> None:
        """Step every job that is under way."""
        jobs, self.jobs = self.jobs, []
        for job in jobs:
            job.step()
        self.jobs = [job for job in jobs if not job.over] + self.jobs


class Server:
    """A session on a `Tree`, talked to in messages. ``split``: everything arrives byte by byte."""

    def __init__(self, split: bool = False, eager: bool = True) -> None:
        self.tree = Tree()
        self.driver = Driver(eager)
        self.split = split
        self.session: Session[Fid] = Session(self.tree, self.driver.start, self.receive)
        self.framer = Framer(1 << 21)
        self.late: list[Rmsg] = []

    def receive(self, buffers: list[Buffer]) -> None:
        assert buffers, "nothing to send is not to be sent"
        self.late += self.replies(buffers)

    def replies(self, buffers: list[Buffer]) -> list[Any]:
        return [decode(frame) for frame in self.framer.feed(b"".join(buffers))]

    def feed(self, *messages: Message) -> list[Any]:
        """The replies to messages that arrive in one segment."""
        return self.feed_bytes(b"".join(map(encode, messages)))

    def feed_bytes(self, data: bytes) -> list[Any]:
        pieces = [data[i : i + 1] for i in range(len(data))] if self.split else [data]
        return [r for piece in pieces for r in self.replies(self.session.feed(piece))]

    def rpc(self, message: Message) -> Any:
        """The one reply to a message that is answered at once."""
        (reply,) = self.feed(message)
        assert reply.tag == message.tag
        return reply

    def turn(self) -> list[Any]:
        """Let everything that waits take a step; the replies that become ready."""
        self.driver.turn()
        late, self.late = self.late, []
        return late

    def release(self) -> list[Any]:
        """Open all gates; the replies that become ready."""
        for gate in self.tree.gates:
            gate.open = True
        return self.turn()
