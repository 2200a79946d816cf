"""`#B`: the commands of nsh as files, so that they can be found, listed, bound and hidden like any program.

Which commands there are is told by whoever puts the system together (`nsh.boot`): a device does not know the
layers above it. The file of a command is not a program of the host; its name is what the shell needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from nsh.kern.chan import Chan, Maybe
from nsh.kern.dev import Device, Directory, File, Text


class Command(Text):
    """A command; reading it tells what it is."""

    def __init__(self, name: str) -> None:
        super().__init__(name, lambda: f"{name}: a command of nsh; see man {name}\n", 0o555)


class Commands(Directory):
    """The root: the names are asked for when somebody looks for one."""

    def __init__(self, device: BinDevice) -> None:
        super().__init__("#B")
        self._device = device

    def _fill(self) -> None:
        if not self._entries:
            for name in self._device.commands():
                self.add(Command(name))

    def lookup(self, name: str) -> Maybe[File]:
        self._fill()
        return super().lookup(name)

    def entries(self) -> Iterable[File]:
        self._fill()
        return super().entries()


class BinDevice(Device):
    """`#B`: a file for each command."""

    letter, name = "B", "bin"
    harmless = True

    commands: Callable[[], list[str]] = staticmethod(list)
    """The names of the commands; set by the program that has some."""

    def tree(self) -> Directory:
        return Commands(self)


def command(c: Chan) -> str | None:
    """The command whose file ``c`` is; None when it is another file."""
    return c.aux.name if isinstance(c.aux, Command) else None
