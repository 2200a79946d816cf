"""mv: rename files and directories, or move files elsewhere."""

from __future__ import annotations

from nsh.cmd.arg import Usage
from nsh.cmd.files import Complaints, CopyError, copy, identity
from nsh.kern.proc import Proc
from nsh.p9.const import OREAD, OWRITE
from nsh.p9.stat import Dir

USAGE = "fromfile tofile\n       mv fromfile ... todir"


async def main(p: Proc, argv: list[str]) -> str:
    *sources, target = argv[1:] or [""]
    if not sources:
        raise Usage(USAGE)
    moving = Moving(p)
    into = await _is_directory(p, target)
    if into and len(sources) == 1 and await _is_directory(p, sources[0]):
        into = False  # one directory onto another is a rename
    if len(sources) > 1 and not into:
        await moving.complaints.say(f"{target} not a directory")
        return "error"
    directory, name = (target, "") if into else split(target)
    for source in sources:
        try:
            await moving.move(source, directory, name)
        except Blocked as e:
            await moving.complaints.say(str(e))
            return "mv"
        except CopyError as e:
            await moving.complaints.say(str(e))
    return moving.complaints.status("error")


async def _is_directory(p: Proc, name: str) -> bool:
    try:
        return (await p.stat(name)).isdir
    except OSError:
        return False


def split(name: str) -> tuple[str, str]:
    """The directory part, which ends in a slash, and the last element."""
    directory, slash, last = name.rpartition("/")
    if slash:
        return directory + slash, last
    return ("../", ".") if name == ".." else ("./", name)


class Blocked(CopyError):
    """What is in the way cannot be removed; nothing more should be tried."""


class Moving:
    """Moves things."""

    def __init__(self, p: Proc) -> None:
        self.complaints = Complaints(p, "mv")
        self._p = p

    async def move(self, source: str, directory: str, name: str) -> None:
        """Move one file to ``name`` in ``directory``, or there under its own name. Raises `CopyError`."""
        try:
            d = await self._p.stat(source)
        except OSError as e:
            raise CopyError(f"can't stat {source}: {e}") from None
        from_directory, from_name = split(source)
        source = from_directory + from_name
        if not name:
            directory, name = directory.rstrip("/") + "/", from_name
        if not name:
            raise CopyError(f"null last name element moving {source}")
        target = directory + name
        if not await self._same(from_directory, directory) or not await self._rename(source, target, d):
            await self._copy(source, target, d)

    async def _same(self, a: str, b: str) -> bool:
        if a == b:
            return True
        try:
            return identity(await self._p.stat(a)) == identity(await self._p.stat(b))
        except OSError:
            return False

    async def _rename(self, source: str, target: str, d: Dir) -> bool:
        """Rename in the same directory; False if that cannot be done, and a file has to be copied."""
        if await self._same(source, target):
            raise CopyError(f"{source} and {target} are the same")
        if await self._exists(target):
            if d.isdir:
                raise CopyError("can't rename a directory to an existing name")
            await self._clear(target)
        try:
            await self._p.wstat(source, Dir.dont_touch(name=split(target)[1]))
        except OSError as e:
            if d.isdir:
                raise CopyError(f"can't rename directory {source}: {e}") from None
            return False
        return True

    async def _exists(self, name: str) -> bool:
        try:
            await self._p.stat(name)
        except OSError:
            return False
        return True

    async def _clear(self, name: str) -> None:
        """Remove ``name`` until nothing of that name is left: a union may have several."""
        try:
            await self._p.remove(name)
        except OSError as e:
            raise Blocked(f"can't remove {name}: {e}") from None
        while await self._exists(name):
            try:
                await self._p.remove(name)
            except OSError:
                break

    async def _copy(self, source: str, target: str, d: Dir) -> None:
        """Copy a file, and remove it when the copy is complete."""
        p = self._p
        if d.isdir:
            raise CopyError(f"{source} is a directory, not copied to {target}")
        try:
            reading = await p.open(source, OREAD)
        except OSError as e:
            raise CopyError(f"can't open {source}: {e}") from None
        try:
            try:
                writing = await p.create(target, OWRITE, d.mode & 0o777)
            except OSError as e:
                raise CopyError(f"can't create {target}: {e}") from None
            try:
                await copy(p, reading, writing, (source, target))
            finally:
                p.close(writing)
        finally:
            p.close(reading)
        try:
            await p.remove(source)
        except OSError as e:
            raise CopyError(f"can't remove {source}: {e}") from None
