"""Egrp: the environment, variables that a group of processes shares. `#e` shows them as files."""

from __future__ import annotations

from collections.abc import Iterator

from nsh import errors

VALUEMAX = 1 << 20
"""Most bytes of one value."""


class Egrp:
    """Names and values. A value is bytes; a list of rc has its words separated by NUL."""

    __slots__ = ("_borrowed", "_values", "vers")

    def __init__(self) -> None:
        self._values: dict[str, bytes] = {}
        self._borrowed = False
        self.vers = 0

    def get(self, name: str) -> bytes | None:
        return self._values.get(name)

    def set(self, name: str, value: bytes) -> None:
        """Errors: `Etoobig`."""
        if len(value) > VALUEMAX:
            raise errors.Etoobig()
        self._own()[name] = value

    def unset(self, name: str) -> None:
        if name in self._values:
            del self._own()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._values))

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def fork(self) -> Egrp:
        """A copy of its own (RFENVG); it costs nothing until one side changes a value."""
        child = Egrp()
        child._values = self._values
        child._borrowed = self._borrowed = True
        return child

    def _own(self) -> dict[str, bytes]:
        if self._borrowed:
            self._values, self._borrowed = dict(self._values), False
        self.vers += 1
        return self._values
