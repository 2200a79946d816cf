"""styxmon: print the 9P messages that pass between a client and a server, record them, replay them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from nsh import errors
from nsh.cmd import Fail
from nsh.cmd.arg import Options, Usage, parse
from nsh.cmd.child import command_text
from nsh.cmd.mount import connect, run_server
from nsh.errors import FileFormatError
from nsh.kern.chan import Chan, settle
from nsh.kern.proc import RFFDG, Proc
from nsh.kern.stream import READSIZE, write_all
from nsh.p9 import msg
from nsh.p9.watch import Record, Seen, Watch, record, records, seen

USAGE = "[-rt] [-w file] cmd [arg...] | net!addr\n       styxmon -p file cmd [arg...] | net!addr"

LATE = 5.0
"""Seconds that a reply may take longer than in the record before it is missed."""

HUNGUP = "the server has hung up"

Tell = Callable[[Seen], Awaitable[None]]


async def main(p: Proc, argv: list[str]) -> str:
    options = parse(argv, "rtw:p:", USAGE)
    if not options.args or ("p" in options and len(options.letters) > 1):
        raise Usage(USAGE)
    if "p" in options:
        return await _replay(p, options.value("p"), options.args)
    tell = await _teller(p, options)
    server = await _server(p, options.args)
    try:
        await between(p.fgrp.get(0), server, tell)
    finally:
        server.close()
    return ""


async def _server(p: Proc, args: list[str]) -> Chan:
    """The open connection to the server that the arguments name: an address, or a command."""
    if len(args) == 1 and "!" in args[0] and not args[0].startswith("{"):
        return await connect(p, args[0], "styx", True)
    return (await run_server(p, command_text(args)))[0]


async def _teller(p: Proc, options: Options) -> Tell:
    """What prints a message, and records it if that is asked for."""
    show_requests = "t" in options or "r" not in options
    show_replies = "r" in options or "t" not in options
    file = await p.create(options.value("w")) if "w" in options else -1
    begun = time.monotonic()

    async def tell(message: Seen) -> None:
        if file >= 0 and message.frame:
            await p.print(record(time.monotonic() - begun, message), file)
        if not message.frame or (show_replies if message.reply else show_requests):
            await p.print(message.text + "\n", 2)

    return tell


# --- standing between a client and a server -----------------------------------------------------------


async def between(client: Chan, server: Chan, tell: Tell) -> None:
    """Pass on what the two open connections say to each other, until one of them ends.

    Each message is told of before it is passed on, so that the order is that of cause and effect.
    """
    ways = [
        asyncio.create_task(_pass(client, server, tell)),
        asyncio.create_task(_pass(server, client, tell)),
    ]
    try:
        ended, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
    for way in ended:
        way.result()


async def _pass(source: Chan, target: Chan, tell: Tell) -> None:
    watch = Watch()
    while data := await settle(source.dev.read(source, READSIZE, source.offset)):
        source.offset += len(data)
        for message in watch.see(data):
            await tell(message)
        try:
            await write_all(target, data)
        except (errors.Ewclosed, errors.Ehungup):
            return


async def watched(p: Proc, server: Chan) -> Chan:
    """A connection to the other end of ``server``, of which each message is printed on standard error.

    ``server``, open, is taken over.
    """
    theirs, ours = await p.system.pipe()

    async def program(q: Proc) -> str:
        async def tell(message: Seen) -> None:
            await q.print(message.text + "\n", 2)

        try:
            await between(theirs, server, tell)
        finally:
            server.close()
            theirs.close()
        return ""

    child = p.fork(RFFDG)
    child.args = ["styxmon", str(server.path)]
    child.atexit(p.leader.atexit(child.kill))
    child.start(program)
    return ours


# --- replaying ------------------------------------------------------------------------------------------


async def _replay(p: Proc, file: str, args: list[str]) -> str:
    """Ask a server what the record's client asked, and print where it answers otherwise."""
    try:
        recorded = records((await p.readfile(file)).decode("utf-8", "replace"), file)
    except FileFormatError as e:
        raise Fail("format", str(e)) from None
    server = await _server(p, args)
    replay = Replay(p, server)
    try:
        await replay.run(recorded)
    finally:
        await replay.close()
        server.close()
    return "differences" if replay.differences else ""


class Replay:
    """The client of a recorded conversation, once more. ``differences``: replies that were not as recorded.

    The requests are sent byte for byte, and in the same order to the replies: one that followed a reply is
    sent when that reply has come.
    """

    def __init__(self, p: Proc, server: Chan) -> None:
        self.differences = 0
        self._p = p
        self._server = server
        self._asked: set[int] = set()  # the tags of requests whose reply was not yet looked for
        self._replies: dict[int, Seen] = {}  # by tag, not yet looked for
        self._ignored: dict[int, int] = {}  # so many replies under a tag will come that nobody looks for
        self._strays: list[Seen] = []  # and these came
        self._flushing: dict[int, int] = {}  # the tag of each Tflush, and what it is to flush
        self._flushed: set[int] = set()
        self._over = False  # the server says no more
        self._hungup = False  # and more was wanted of it
        self._news = asyncio.Event()
        self._reader = asyncio.create_task(self._read())

    async def run(self, recorded: list[Record]) -> None:
        """Go through the record; stop where the server hangs up."""
        before = 0.0
        for seconds, frame in recorded:
            message = seen(frame)
            if message.reply:
                await self._expect(message, seconds - before + LATE)
            else:
                await self._send(message)
            if self._hungup:
                return
            before = seconds
        # the last requests may have been recorded without their replies: nobody waits for those
        unasked = [reply for reply in self._replies.values() if reply.tag not in self._asked]
        for left in [*self._strays, *unasked]:
            await self._differ("", left.text)

    async def close(self) -> None:
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)

    async def _send(self, message: Seen) -> None:
        tag = message.tag
        if (left := self._replies.pop(tag, None)) is not None:
            await self._differ("", left.text)
        elif tag in self._asked - self._flushed:
            self._ignored[tag] = self._ignored.get(tag, 0) + 1
        self._flushed.discard(tag)
        self._asked.add(tag)
        if message.frame[4] == msg.NUMBER[msg.Tflush] and len(message.frame) >= 9:
            self._flushing[tag] = int.from_bytes(message.frame[7:9], "little")
        try:
            if self._over:
                raise errors.Ehungup()
            await write_all(self._server, message.frame)
        except OSError:
            self._hungup = True
            await self._differ("", HUNGUP)

    async def _expect(self, wanted: Seen, patience: float) -> None:
        """Wait for the reply with the tag of ``wanted``, and compare."""
        self._asked.discard(wanted.tag)
        try:
            async with asyncio.timeout(patience):
                while not (wanted.tag in self._replies or wanted.tag in self._flushed or self._over):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            await self._differ(wanted.text, f"no reply in {patience:.1f} s")
            return
        found = self._replies.pop(wanted.tag, None)
        if found is None:
            self._hungup = wanted.tag not in self._flushed
            await self._differ(wanted.text, HUNGUP if self._hungup else "flushed, no reply")
        elif found.frame != wanted.frame:
            await self._differ(wanted.text, found.text, _where(wanted, found))

    async def _differ(self, wanted: str, found: str, where: str = "") -> None:
        self.differences += 1
        lines = [f"< {wanted}\n"] if wanted else []
        await self._p.print("".join([*lines, f"> {found}{where}\n"]))

    async def _read(self) -> None:
        """Sort what the server says."""
        watch = Watch()
        server = self._server
        try:
            while data := await settle(server.dev.read(server, READSIZE, server.offset)):
                server.offset += len(data)
                for reply in watch.see(data):
                    self._sort(reply)
                self._news.set()
        except OSError:
            pass  # told of where a reply is missed
        finally:
            self._over = True
            self._news.set()

    def _sort(self, reply: Seen) -> None:
        if not reply.frame:
            raise errors.Ehungup()  # not 9P any more
        oldtag = self._flushing.pop(reply.tag, None)
        if oldtag is not None and oldtag not in self._replies:
            self._flushed.add(oldtag)
        if self._ignored.get(reply.tag):
            self._ignored[reply.tag] -= 1
            self._strays.append(reply)
        else:
            self._replies[reply.tag] = reply


def _where(wanted: Seen, found: Seen) -> str:
    """Where two messages differ whose lines do not show it."""
    if wanted.text != found.text:
        return ""
    pairs = zip(wanted.frame, found.frame, strict=False)
    at = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(wanted.frame), len(found.frame)))
    return f" (differs from byte {at} on)"
