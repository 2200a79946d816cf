"""Post: what the tasks of one session, as far as they run here, are told of it, and how they come to it.

A task finds in its environment its place among the others, and the address at which it may dial the session.
Who takes the call is not known here: the session itself, if it is one of this process, or else that which
has reserved the resources (`back`).
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from nsh import errors
from taskfs.many import looked_at

if TYPE_CHECKING:
    from nsh.net.conn import Conn
    from nsh.net.fuse import Mounted
    from taskfs.dev import TaskDevice
    from taskfs.door import Door
    from taskfs.room import Room


TOOL = "9p"
"""The program that is to be found by every task."""


def _nothing() -> None:
    """Nobody wants to know."""


class Post:
    """The way to one session for its tasks on this host.

    ``answer`` takes their calls; ``tree`` returns a function that serves the session on a descriptor of
    /dev/fuse. It is held by whoever may run such tasks; with the last of them it is closed, and ``closed`` is
    called.
    """

    def __init__(
        self,
        device: TaskDevice,
        answer: Callable[[Conn], None],
        tree: Callable[[], Awaitable[Callable[[int], Mounted]]],
        closed: Callable[[], None] = _nothing,
    ) -> None:
        self._device = device
        self._answer = answer
        self._tree = tree
        self._closed = closed
        self._door: Door | None = None
        self._building: asyncio.Task[Room] | None = None
        self._holders = 0

    @property
    def address(self) -> str:
        """What tasks dial. Errors: those of the host, when it is first asked for; `Ehungup`."""
        if not self._holders:
            raise errors.Ehungup()
        if self._door is None:
            self._door = self._device.doors.open(self._answer)
        return self._door.address

    async def room(self) -> Room:
        """A room in which the session's directory is mounted. Errors: as of `Room.build`, and of the way."""
        if self._building is None:
            self._building = asyncio.get_running_loop().create_task(self._build())
            self._building.add_done_callback(looked_at)
        building = self._building
        try:
            return await asyncio.shield(building)
        except OSError:
            if self._building is building:
                self._building = None  # the next one may be more fortunate
            raise

    async def _build(self) -> Room:
        import tempfile

        from taskfs.room import Room

        serve = await self._tree()
        room = Room(tempfile.mkdtemp(prefix="", dir=self._device.guard.directory()), serve)
        try:
            await room.build()
            if not self._holders:
                raise errors.Ehungup()
        except BaseException:
            self._leave(room)
            raise
        return room

    def _leave(self, room: Room) -> None:
        """Nobody will be in the room any more."""
        with contextlib.suppress(OSError):
            os.rmdir(room.path)
        room.close()

    def hold(self) -> Post:
        """One more may run tasks that come this way."""
        self._holders += 1
        return self

    def drop(self) -> None:
        """One less; without any nobody can call any more."""
        self._holders -= 1
        if not self._holders:
            if self._door is not None:
                self._device.doors.close(self._door)
                self._door = None
            building, self._building = self._building, None
            if building is not None and building.done() and not building.exception():
                self._leave(building.result())
            self._closed()


class Role(NamedTuple):
    """A task's place among those of its session: its rank, how many there are, its host, its way to them;
    and the name of its directory in the session's, if it is not that itself.
    """

    rank: int
    size: int
    host: str
    post: Post
    directory: str

    def environ(self, session: str) -> dict[bytes, bytes]:
        """What the environment of the task has to say; ``session``: where it sees its session.

        Errors: as of `Post.address`.
        """
        return {
            b"PATH": _path(os.environ.get("PATH", os.defpath)),
            b"TASK_RANK": b"%d" % self.rank,
            b"TASK_SIZE": b"%d" % self.size,
            b"TASK_HOST": os.fsencode(self.host),
            b"TASK_SESSION": os.fsencode(session),
            b"TASK_ADDR": os.fsencode(self.post.address),
        }


@functools.lru_cache(maxsize=8)
def _path(path: str) -> bytes:
    """``path``, with a directory that has `TOOL` at its end if none in it has."""
    if any(map(_has_tool, path.split(os.pathsep))):
        return os.fsencode(path)
    where = next(filter(_has_tool, _places()), None)
    return os.fsencode(f"{path}:{where}" if where else path)


def _has_tool(directory: str) -> bool:
    name = os.path.join(directory, TOOL)
    return os.path.isfile(name) and os.access(name, os.X_OK)


def _places() -> Iterator[str]:
    """Directories where it may have been installed."""
    yield os.path.dirname(sys.executable)
    import sysconfig

    yield sysconfig.get_path("scripts")
    yield os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "scripts")
