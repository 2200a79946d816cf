"""The table of what is mounted on the host: /proc/self/mountinfo, proc(5). Reading it asks no file system."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

TABLE = "/proc/self/mountinfo"


class Mount(NamedTuple):
    """A line: the number of the mount, that of its device, the directory where it is, and its kind."""

    number: str
    device: str
    point: str
    kind: str


def mounts() -> Iterator[Mount]:
    """What this process sees mounted, of two at one place the newer one later. Nothing without /proc."""
    try:
        with open(TABLE, encoding="utf-8", errors="surrogateescape") as table:
            for line in table:
                mount, _, rest = line.partition(" - ")
                number, _, device, _, point, *_ = mount.split(" ")
                yield Mount(number, device, _unescaped(point), rest.partition(" ")[0])
    except OSError:
        pass


def _unescaped(text: str) -> str:
    return re.sub(r"\\(\d{3})", lambda m: chr(int(m[1], 8)), text) if "\\" in text else text
