"""HostTree: the files of the host below fs, for the owner of the host.

They are those of `#U`: what is asked of a file here is asked there. But they are files of this tree as well,
so that ``..`` leads out of it again, and the way in is the owner's alone (`about`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nsh.dev.host import HostDevice, host_path
from nsh.kern.chan import Chan, Maybe, Path, settle
from nsh.kern.dev import Device
from nsh.p9.stat import Dir, Qid

if TYPE_CHECKING:
    from nsh.kern.proc import System
    from taskfs.about import OwnerDirectory

Walked = tuple[Chan | None, list[Qid]]


class HostTree(Device):
    """The tree of `#U`, seen below ``top``, a directory of ``outside``. A Chan has one of `#U` as ``aux``."""

    letter, name = "T", "taskfs"
    any_buffer = True
    small_qids = False

    def __init__(self, system: System, outside: Device, top: OwnerDirectory) -> None:
        super().__init__(system)
        self._host = HostDevice.of(system)
        self._outside = outside
        self._top = top

    def _seen(self, inner: Chan, path: Path) -> Chan:
        return Chan(self, inner.qid, path, inner, inner.instance)

    def _top_chan(self, path: Path) -> Chan:
        return Chan(self._outside, self._top.qid, path, self._top)

    async def enter(self, path: Path, names: list[str]) -> Walked:
        """Walk ``names`` from the top; the first must not lead out. Errors: those of `#U`."""
        return await self._walk(await settle(self._host.attach("")), path, names)

    async def walk(self, c: Chan, names: list[str]) -> Walked:
        return await self._walk(c.aux, c.path, names)

    async def _walk(self, inner: Chan, path: Path, names: list[str]) -> Walked:
        found, qids = await settle(self._host.walk(inner, names))
        if found is None:
            return None, qids
        if names and host_path(found) == "/":
            return self._top_chan(path), [*qids[:-1], self._top.qid]
        return self._seen(found, path), qids

    async def open_top(self, c: Chan, mode: int) -> Chan:
        """The top, open. Errors: those of `#U`."""
        return await self.open(self._seen(await settle(self._host.attach("")), c.path), mode)

    async def open(self, c: Chan, mode: int) -> Chan:
        c.aux = await settle(self._host.open(c.aux, mode))
        c.qid, c.iounit, c.mode = c.aux.qid, c.aux.iounit, mode
        c.aux.mode = mode
        return c

    async def create(self, c: Chan, name: str, mode: int, perm: int) -> Chan:
        inner = c.aux if c.dev is self else await settle(self._host.attach(""))
        made = await settle(self._host.create(inner, name, mode, perm))
        made.mode = mode
        new = self._seen(made, c.path)
        new.mode = mode
        return new

    def read(self, c: Chan, count: int, offset: int) -> Maybe[bytes]:
        return self._host.read(c.aux, count, offset)

    def write(self, c: Chan, data: bytes, offset: int) -> Maybe[int]:
        return self._host.write(c.aux, data, offset)

    def close(self, c: Chan) -> None:
        c.aux.close()

    def stat(self, c: Chan) -> Maybe[Dir]:
        return self._host.stat(c.aux)

    def wstat(self, c: Chan, d: Dir) -> Maybe[None]:
        return self._host.wstat(c.aux, d)

    def remove(self, c: Chan) -> Maybe[None]:
        return self._host.remove(c.aux)
