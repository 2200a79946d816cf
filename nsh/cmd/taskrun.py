"""One run of a command by taskfs, as on(1) shows it: no command itself.

A session is cloned, and its files carry everything: control messages, input, output, and how the tasks have
ended. However the run ends, the session is released.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import re
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from nsh.cmd import progress
from nsh.cmd.arg import Options
from nsh.cmd.files import READSIZE
from nsh.cmd.outputs import OWN, RED, Labels, Outputs
from nsh.cmd.screen import Bottom, coloured, terminal, withheld
from nsh.cmd.taskfiles import TASK, Ending, Places, Session, Task, pause, together
from nsh.errors import P9Error
from nsh.hostnames import expand, fold
from nsh.kern.ctlmsg import requote
from nsh.kern.proc import Proc
from nsh.p9.const import ORDWR, OWRITE

T = TypeVar("T")

GRACE = 4.0
"""Seconds that tasks may take to end when they are killed; taskfs gives two to those that do not want to."""
LINGER = 5.0
"""Seconds without output after which no more is waited for, when all tasks have ended."""
BRIEF = 0.5
"""Seconds that a run may take before one is shown how it stands."""
INTERVAL = 1.0
"""Seconds between two looks at how it stands, if looking takes no time."""
SHARE = 10
"""Looking takes one part in so many of the time."""
GLANCE = 0.5
"""Seconds that a look may take before tasks are killed of which nothing is known."""
LONGEST = 4 << 20
"""Bytes after which a line that does not end is broken; taskfs does that before."""

_FAILED = re.compile(r"([0-9][0-9,-]*): (.*?)(?:; (?=[0-9][0-9,-]*: )|$)")
_RULE = "-" * 15


class Flow:
    """The way of one output, from a file of a session to who takes it.

    ``whole``: only whole lines are passed on, and the last one gets a newline if it has none. ``idle``: it
    waits for more; ``count``: bytes that have come.
    """

    def __init__(self, p: Proc, take: Callable[[bytes], Awaitable[None]], whole: bool) -> None:
        self.idle = True
        self.count = 0
        self._p = p
        self._take = take
        self._whole = whole

    async def run(self, file: str, tell: Callable[[str], Awaitable[None]], tasks: int) -> None:
        """Carry until the end. What cannot be read is told, once for each task. Errors: of who takes it."""
        fd = await self._p.open(file)
        rest = b""
        while tasks:
            try:
                data = await self._p.read(fd, READSIZE)
            except ConnectionError:
                break  # the session is gone, which who waits for its tasks is told, too
            except P9Error as e:
                await tell(f"{file}: {e}")
                tasks -= 1
                continue
            if not data:
                break
            self.idle = False
            self.count += len(data)
            rest = await self._pass(rest + data)
            self.idle = True
        if rest:
            await self._take(rest + b"\n")
        self._p.close(fd)

    async def _pass(self, data: bytes) -> bytes:
        """Pass on what is whole; returns the rest."""
        if not self._whole:
            await self._take(data)
            return b""
        lines, newline, rest = data.rpartition(b"\n")
        if len(rest) > LONGEST:
            lines, newline, rest = data, b"\n", b""
        if newline:
            await self._take(lines + newline)
        return rest


class Run:
    """One session of taskfs, from its clone to its release.

    ``fail`` is told why some tasks have failed, what they are called, and whether these are but ranks.
    """

    def __init__(self, p: Proc, options: Options, fail: Callable[[str, list[str], bool], None]) -> None:
        self._p = p
        self._options = options
        self._fail = fail
        self._bottom = Bottom(p)
        self._kept: dict[int, Outputs] = {}
        self._labelled = "N" not in options or "b" in options
        self._hosts: dict[str, str] = {}
        self._places = Places({})
        self._ctl = -1
        self._tasks = 0
        self._begun = time.monotonic()
        self._seen: list[Task] = []
        self._labels: dict[int, Labels] = {}  # for each of our descriptors
        self._flows: list[Flow] = []
        self._waiting: asyncio.Task[list[Ending]] | None = None
        self._pending: set[asyncio.Task[object]] = set()  # the tasks' end, and the ends of their output
        self._beside: list[asyncio.Task[Any]] = []  # what nobody waits for
        self._showing: list[asyncio.Task[None]] = []  # how it stands
        self._doing = "reserving"  # as long as nothing is known of how it stands

    async def whole(self, hosts: list[str], tasks: int, command: list[str]) -> None:
        """Run a command as so many tasks, on these hosts if there are any. Errors: of taskfs, of writing."""
        self._tasks = tasks
        if "b" in self._options:
            self._kept = {fd: Outputs(tasks) for fd in (1, 2)}
        if self._bottom.width and "q" not in self._options:
            self._showing.append(self._begin(self._draw()))
        try:
            await self._reserve(hosts)
            self._doing = "starting"
            if await self._exec(command):
                self._start()
                await self._until_end()
                await self._finish()
        except asyncio.CancelledError:
            await self._interrupted()
            raise
        finally:
            await self._end()

    # --- its beginning -------------------------------------------------------------------------

    async def _reserve(self, hosts: list[str]) -> None:
        self._ctl = await self._p.open(f"{TASK}/clone", ORDWR)
        self._session = Session(self._p, (await self._p.read(self._ctl, 32)).decode("ascii", "replace"))
        messages = [["outmode", "line"]]
        for letter, word in (("t", "timeout"), ("d", "dir")):
            if letter in self._options:
                messages.append([word, self._options.value(letter)])
        if "l" in self._options:
            messages.append(["inmode", "lines"])
        if hosts:
            messages.append(["hosts", fold(hosts)])
        await self._control(*messages)
        try:
            await self._control(["res", str(self._tasks)])
        except P9Error as e:
            if hosts or not str(e).startswith("res: "):  # some host is at fault, which is named
                raise
            await self._say(f"{e}; once more, without")
            await self._control(["res", str(self._tasks)])  # what was found out to be lost is passed by
        self._hosts = await self._session.hosts()
        self._places = Places(self._hosts)
        if self._labelled:
            # who may not know the host of a rank has taskfs put it before the lines
            await self._control(["label", "rank" if self._hosts or self._kept else "host"])

    async def _control(self, *messages: list[str]) -> None:
        """Send control messages. Errors: of taskfs."""
        text = "\n".join(map(requote, messages))
        await self._p.write(self._ctl, text.encode("utf-8", "surrogateescape"))

    async def _exec(self, command: list[str]) -> bool:
        """Start the tasks; True if any has started. Errors: P9Error, when taskfs refuses."""
        stdin = await self._p.open(f"{self._session.directory}/stdin", OWRITE)
        self._beside.append(self._begin(self._feed(stdin)))
        try:
            await self._control(["exec", *command])
        except P9Error as e:
            if not self._not_started(command[0], str(e)):
                raise
            return any(task.running or task.state == "Done" for task in await self._session.look())
        return True

    def _not_started(self, command: str, text: str) -> bool:
        """Take in who has not been started, ``2,5: exec failed: WHY; ...``; False if the text is no such."""
        try:
            found = [(expand(f"[{ranks}]"), why) for ranks, why in _FAILED.findall(text)]
        except ValueError:
            return False
        for ranks, why in found:
            reason = "lost" if why.endswith(": host is lost") else f"{command}: {why}"
            self._fail(reason, self._places.names(ranks), self._places.by_rank)
        return bool(found)

    async def _feed(self, stdin: int) -> None:
        """Carry standard input to the tasks, up to its end, or until they take no more.

        In the background nothing is typed for us, and to wait for it would stop us.
        """
        typed = terminal(self._p, 0) is not None
        empty = withheld(self._p, 0)
        try:
            while not empty and (data := await self._p.read(0, READSIZE)):
                if typed:
                    await self._hide()
                await self._p.write(stdin, data)
        except OSError:
            pass  # we have none, or they have closed theirs
        self._p.close(stdin)

    def _start(self) -> None:
        """Let everything flow that comes from the tasks."""
        for fd, colour in ((1, OWN), (2, RED)):
            self._labels[fd] = Labels(self._places.name, colour if coloured(self._p, fd) else None)
        self._waiting = self._begin(self._ends())
        self._pending = {self._waiting}
        for fd, name in ((1, "stdout"), (2, "stderr")):
            take = functools.partial(self._take, fd)
            flow = Flow(self._p, take, self._labelled or self._bottom.width > 0)
            self._flows.append(flow)
            file = f"{self._session.directory}/{name}"
            self._pending.add(self._begin(flow.run(file, self._say, self._tasks)))
        if self._showing:
            self._showing.append(self._begin(self._watch()))

    async def _ends(self) -> list[Ending]:
        """How the tasks have ended, once they have. Errors: P9Error when the session has been released."""
        try:
            return await self._session.wait()
        except ConnectionError:
            raise P9Error(f"session {self._session.name} is gone") from None

    # --- its output ----------------------------------------------------------------------------

    async def _take(self, fd: int, lines: bytes) -> None:
        """Show some output at our descriptor ``fd``, or keep it. Errors: of the disk, and of writing."""
        if self._kept:
            self._kept[fd].add(lines)
        if not self._kept or "L" in self._options:
            await self._bottom.write(fd, self._labels[fd](lines) if self._labelled else lines)

    async def _say(self, text: str) -> None:
        """A complaint, above the line that shows how it stands."""
        await self._bottom.write(2, f"on: {text}\n".encode("utf-8", "surrogateescape"))

    # --- how it stands -------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Look from time to time, and seldom where that takes long."""
        while True:
            begun = time.monotonic()
            try:
                self._seen = await self._session.look()
            except OSError:
                return
            await asyncio.sleep(pause(time.monotonic() - begun, INTERVAL, SHARE))

    async def _draw(self) -> None:
        await asyncio.sleep(BRIEF)
        while True:
            seconds = time.monotonic() - self._begun
            if self._seen:
                text = progress.line(self._seen, self._places, seconds)
            else:
                text = f"{progress.clock(seconds)}  {self._doing}"
            await self._bottom.show(text)
            await asyncio.sleep(INTERVAL)

    def _begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Do something beside the rest; like that it rests while the command is stopped."""

        async def gated() -> T:
            return await self._p.noteg.gated(work)

        return asyncio.create_task(gated())

    async def _hide(self) -> None:
        """Show no more how it stands."""
        for work in self._showing:
            work.cancel()
        await self._bottom.show("")

    # --- its end -------------------------------------------------------------------------------

    async def _until_end(self) -> None:
        """Wait until the tasks have ended, and all that they have printed has come. Errors: of our output."""
        assert self._waiting is not None
        pending, before = self._pending, -1
        while pending:
            timeout = LINGER if self._waiting.done() else None
            done, pending = await asyncio.wait(pending, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            count = sum(flow.count for flow in self._flows)
            if not done and count == before and all(flow.idle for flow in self._flows):
                await self._say("what the tasks have left behind holds their output open: not waited for")
                break
            before = count

    async def _finish(self) -> None:
        """All has come: tell who has failed, and show what was kept."""
        assert self._waiting is not None
        ended = self._waiting.result()
        self._places = Places(self._hosts or {ending.rank: ending.host for ending in ended})
        reasons = dict.fromkeys(ending.why for ending in ended if ending.why)
        for why in reasons:
            ranks = [ending.rank for ending in ended if ending.why == why]
            self._fail(why, self._places.names(ranks), self._places.by_rank)
        await self._show_folded()

    async def _show_folded(self) -> None:
        """Show what was kept: once for all tasks that have printed the same."""
        for fd, outputs in self._kept.items():
            for ranks in outputs.groups():
                names = together(self._places.names(ranks))
                title = f"{names} ({len(ranks)})" if len(ranks) > 1 else names
                heading = f"{_RULE}\n{title}\n{_RULE}\n".encode("utf-8", "surrogateescape")
                for piece in itertools.chain([heading], outputs.text(ranks[0])):
                    await self._bottom.write(fd, piece)

    async def _interrupted(self) -> None:
        """Kill the tasks, and show what comes of them while they end. A second interrupt ends this."""
        await self._bottom.leave()
        if self._waiting is None:
            await self._say("interrupted")
        else:
            killing = asyncio.create_task(self._kill())
            self._beside.append(killing)
            await asyncio.wait([killing], timeout=GRACE)

    async def _kill(self) -> None:
        looking = asyncio.create_task(self._session.look())
        self._beside.append(looking)
        await asyncio.wait([looking], timeout=GLANCE)  # a host that hangs keeps nobody alive
        seen = looking.result() if looking.done() else self._seen
        running = [task.rank for task in seen if task.running]
        if running:
            await self._say(f"interrupted: killing {together(self._places.names(running))}")
        elif not looking.done():
            await self._say("interrupted: killing all")
        await self._control(["kill"])
        await self._until_end()
        await self._finish()

    async def _end(self) -> None:
        """Release the session, whatever has happened, and leave nothing behind."""
        work = [*self._beside, *self._pending, *self._showing]
        for task in work:
            task.cancel()
        if self._ctl >= 0:
            try:
                await self._p.write(self._ctl, b"release")
            except OSError:
                pass  # it is gone already, and so are its tasks
        await asyncio.gather(*work, return_exceptions=True)
        await self._bottom.show("")
        for outputs in self._kept.values():
            outputs.close()
