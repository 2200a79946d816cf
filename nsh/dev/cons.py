"""`#c`, cons(3): the console, and small files that tell about the system.

What the console is, only the program knows in which this kernel runs: it puts an opener into
`ConsDevice.console` (`nsh.boot` does). Without one the console is empty and takes everything.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from nsh.dev.fd import Descriptor
from nsh.kern.chan import Chan, Maybe
from nsh.kern.dev import Device, Directory, File, Text, up


class Cons(File):
    """cons: reads what is typed, writes to the screen."""

    def open(self, c: Chan, mode: int) -> Maybe[Chan | None]:
        dev = c.dev
        return dev.console(mode) if isinstance(dev, ConsDevice) and dev.console is not None else None

    def read(self, c: Chan, count: int, offset: int) -> bytes:
        return b""

    def write(self, c: Chan, data: bytes, offset: int) -> int:
        return len(data)


class Null(File):
    """null: empty, and takes everything."""

    def read(self, c: Chan, count: int, offset: int) -> bytes:
        return b""

    def write(self, c: Chan, data: bytes, offset: int) -> int:
        return len(data)


class Zero(Null):
    """zero: zero bytes without end."""

    def read(self, c: Chan, count: int, offset: int) -> bytes:
        return bytes(count)


class Random(Null):
    """random, notquiterandom: random bytes without end."""

    def read(self, c: Chan, count: int, offset: int) -> bytes:
        return os.urandom(count)


class ConsDevice(Device):
    """`#c`: the console, the reader's own descriptors 0, 1 and 2, and the small files."""

    letter, name = "c", "cons"
    harmless = False

    console: Callable[[int], Chan] | None = None
    """Opens the console for a mode; set by the program that has one."""

    def tree(self) -> Directory:
        return Directory(
            "#c",
            Cons("cons", 0o666),
            Null("consctl", 0o222),
            Text("drivers", self._drivers),
            Text("hostowner", lambda: self.eve),
            Random("notquiterandom", 0o444),
            Null("null", 0o666),
            Random("random", 0o444),
            Descriptor("stderr", 2),
            Descriptor("stdin", 0),
            Descriptor("stdout", 1),
            Text("sysname", lambda: os.uname().nodename),
            Text("time", lambda: str(time.time_ns() // 1000)),
            Text("user", lambda: up().user),
            Zero("zero", 0o444),
        )

    def _drivers(self) -> str:
        devices = (self.system.device(letter) for letter in self.system.letters())
        return "".join(f"#{dev.letter} {dev.name}\n" for dev in devices)
