"""styxlisten: serve files to all who connect to an address."""

from collections.abc import Callable
from typing import Protocol, cast

from nsh.cmd import Fail, complain
from nsh.cmd.child import command_text
from nsh.cmd.export import exported
from nsh.cmd.listen import asked, refuse_unknown, stay
from nsh.cmd.mount import run_server
from nsh.errors import P9Error
from nsh.kern.chan import Chan
from nsh.kern.proc import Proc
from nsh.kern.stream import stream
from nsh.kern.sys import MountDriver
from nsh.net.dial import answer
from nsh.net.serve import Server, listen, permitted

USAGE = "[-a alg]... [-Atsv] [-k keyfile] address cmd [arg...]"


async def main(p: Proc, argv: list[str]) -> str:
    options, target, command = asked(argv, "a:Atsvk:f:", USAGE)
    refuse_unknown(options, target, "error", "clients")
    try:
        listener = await answer(p, str(target))
    except OSError as e:
        raise Fail("error", f"cannot announce on {target}: {e}") from None
    try:
        source = await _source(p, command)
    except OSError:
        listener.close()
        raise
    if "A" in options and listener.public and p.system.ndb is None:
        whom = f"everybody who can reach {listener.address}"
        await complain(p, f"{argv[0]}: {whom} {await _permitted(p, source, command)}")

    async def welcome(q: Proc, connection: Chan) -> None:
        client = stream(connection)
        if "v" in options:
            await complain(q, f"{argv[0]}: got connection from {client.address}")
        try:
            Server(q, await source.root(), client)
        except OSError as e:
            client.close()
            raise P9Error(f"cannot mount for user '{q.user}': {e}") from None

    server = listen(p, argv, listener, welcome)
    server.atexit(source.close)
    source.atexit(server.kill)
    return await stay(options, server)


class Source(Protocol):
    """Where the files come from."""

    async def root(self) -> Chan:
        """The root of the tree, for one client."""
        ...

    def close(self) -> None:
        """No client will come any more."""

    def atexit(self, stop: Callable[[], None]) -> None:
        """Call ``stop`` when there are no files any more."""


class Exported:
    """A directory of this name space: served as it is."""

    def __init__(self, directory: Chan) -> None:
        self._directory = directory

    async def root(self) -> Chan:
        return self._directory

    def close(self) -> None:
        """There is nothing to give back."""

    def atexit(self, stop: Callable[[], None]) -> None:
        """A directory stays."""


class Relayed:
    """What a command serves at the other end of a pipe: every client is an attach of its own there."""

    def __init__(self, p: Proc, pipe: Chan, server: Proc) -> None:
        self._driver = cast(MountDriver, p.system.device("M"))
        self._user = p.user
        self._pipe = pipe
        self._server = server

    async def root(self) -> Chan:
        return await self._driver.connect(self._pipe, self._user, "")

    def close(self) -> None:
        self._pipe.close()

    def atexit(self, stop: Callable[[], None]) -> None:
        if self._server.status is None:
            self._server.atexit(stop)
        else:
            stop()


async def _permitted(p: Proc, source: Source, command: list[str]) -> str:
    if isinstance(source, Exported):
        return permitted(p, await source.root(), command[1])
    return f"may now do to the files of {command_text(command)} what {p.user} may"


async def _source(p: Proc, command: list[str]) -> Source:
    """Start the command that serves the files, once for all clients.

    What `export` would put into the pipe is served without the way through it.
    """
    if len(command) == 2 and command[0] == "export":
        return Exported(await exported(p, command[1]))
    return Relayed(p, *await run_server(p, command_text(command)))
