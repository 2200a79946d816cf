"""Near: a session of this process that was reserved for another one.

It looks as one of another host does, with the same files held open; but here there is nobody to ask, so that
what goes through those files elsewhere is said to the session itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nsh import errors
from nsh.kern.chan import Maybe, must_wait, settle
from taskfs import ctl
from taskfs.child import HELD, Child, Order
from taskfs.files import Writer
from taskfs.post import Role

if TYPE_CHECKING:
    from nsh.kern.proc import Proc
    from taskfs.hosts import Host
    from taskfs.session import Session


class NearChild(Child):
    """``session``, reserved for another one of this process."""

    __slots__ = ("_opens", "_session", "_writer")

    def __init__(self, host: Host, session: Session) -> None:
        super().__init__(host, session.number, session.chan(), {})
        self._session = session
        self._writer: Writer | None = None
        self._opens = 0
        self._keep_open(1)

    def _keep_open(self, n: int) -> None:
        """Count so many files more as open."""
        self._session.kept_open(n)
        self._opens += n

    @property
    def opens(self) -> int:
        return self._opens

    async def exec(self, order: Order, words: list[str]) -> None:
        session = self._session
        session.alive()
        if order.files != self._given:
            await self.equip(order.files)
        session.options.follow(order.session.options)
        place = str(self.rank)
        session.fed_above = order.fed
        session.take(Role(self.rank, order.size, self.host.name, order.session.post, place))
        self._hold()
        work = session.exec(words)
        if must_wait(work):
            await work

    async def hold(self) -> None:
        self._session.alive()
        self._hold()

    def _hold(self) -> None:
        if self._writer is None:
            self._keep_open(len(HELD))
            self._writer = Writer(self._session)
            self._writer.write(b"")  # it is held open, and nothing is written yet

    async def command(self, text: str) -> None:
        self._session.alive()
        await settle(ctl.run(self._session, text))

    def read(self, name: str, count: int, offset: int) -> Maybe[bytes]:
        self._session.alive()
        return self._session.work.read((self, name), name, count, offset)

    def leave(self, name: str) -> None:
        if not self._session.gone:
            self._session.work.forget((self, name))

    def write(self, name: str, data: bytes) -> Maybe[int]:
        if self._writer is None:
            raise errors.Ehungup()
        return self._writer.write(data)

    def feed(self, data: bytes) -> Maybe[int]:
        return self.write("stdin", data)

    def claim(self) -> None:
        self._session.feed_above(True)

    async def _status(self) -> str:
        self._session.alive()
        return await settle(self._session.status())

    async def _wait(self) -> str:
        return await self._session.wait()

    def release(self, proc: Proc) -> None:
        if self._opens:
            self._opens = 0
            self.unbind()
            self._session.release()
