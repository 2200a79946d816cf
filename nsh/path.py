"""What the paths of the two Python interfaces have in common: names, and how modes are spelt.

`nsh.Path` (asyncio) and `nsh.sync.Path` (blocking) are pathlib's paths for files of a name space. Here is
what needs no file: joining and taking apart names, and Python's open modes as flags of open(2). Nothing
here knows which files a path is about.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import NamedTuple, Self

from nsh import errors
from nsh.p9.const import OEXCL, ORDWR, OREAD, OTRUNC, OWRITE


class PurePath:
    """A name of a file, and of nothing more: it need not exist. ``pure`` is the name as pathlib has it."""

    __slots__ = ("_files", "pure")

    def __init__(self, files: object, name: str | PurePosixPath = "/") -> None:
        self._files = files
        self.pure = PurePosixPath(name)

    def _at(self, pure: PurePosixPath) -> Self:
        return type(self)(self._files, pure)

    def __truediv__(self, name: str) -> Self:
        """``path / "name"``: the file below; a name that begins with a slash starts at the root."""
        return self._at(self.pure / name)

    def joinpath(self, *names: str) -> Self:
        """The same as ``path / name / name``."""
        return self._at(self.pure.joinpath(*names))

    def with_name(self, name: str) -> Self:
        """The file beside this one that is called ``name``."""
        return self._at(self.pure.with_name(name))

    def with_stem(self, stem: str) -> Self:
        """The file beside this one with another name, but the same suffix."""
        return self._at(self.pure.with_stem(stem))

    def with_suffix(self, suffix: str) -> Self:
        """The file beside this one with another suffix, or with '' none."""
        return self._at(self.pure.with_suffix(suffix))

    def relative_to(self, other: str | PurePath) -> PurePosixPath:
        """The name as seen from the directory ``other``. Errors: ValueError if it is not below that."""
        return self.pure.relative_to(str(other))

    def is_relative_to(self, other: str | PurePath) -> bool:
        """Does the name lead to ``other``, or below it?"""
        return self.pure.is_relative_to(str(other))

    def match(self, pattern: str) -> bool:
        """Does the name end as ``pattern`` says, whose elements may have ``*``, ``?`` and ``[...]``?"""
        return self.pure.match(pattern)

    @property
    def parent(self) -> Self:
        """The directory, going by the name alone."""
        return self._at(self.pure.parent)

    @property
    def name(self) -> str:
        """The last element; empty for the root."""
        return self.pure.name

    @property
    def parents(self) -> tuple[Self, ...]:
        """The directory, its directory, and so on up to the root."""
        return tuple(map(self._at, self.pure.parents))

    @property
    def suffix(self) -> str:
        """The end of the name from its last dot on; empty if there is none."""
        return self.pure.suffix

    @property
    def suffixes(self) -> list[str]:
        """All the suffixes: of ``a.tar.gz`` two."""
        return self.pure.suffixes

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return self.pure.stem

    @property
    def parts(self) -> tuple[str, ...]:
        """The elements, the first of them ``/``."""
        return self.pure.parts

    def _beside(self, target: str | Self) -> str:
        """The last element of ``target``, which must be in our directory: 9P renames within one.

        Errors: `Efilename`.
        """
        other = target.pure if isinstance(target, PurePath) else self.pure.parent / target
        if other.parent != self.pure.parent:
            raise errors.Efilename(f"{errors.Efilename.text}: {other} is not in {self.pure.parent}")
        return other.name

    def __str__(self) -> str:
        return str(self.pure)

    def __repr__(self) -> str:
        return f"{type(self).__name__}('{self.pure}')"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PurePath):
            return NotImplemented
        return self._files is other._files and self.pure == other.pure

    def __hash__(self) -> int:
        return hash((id(self._files), self.pure))


def pattern_parts(pattern: str) -> tuple[str, ...]:
    """The elements of a pattern for ``glob``. Errors: ValueError, if it is empty or begins with a slash."""
    parts = PurePosixPath(pattern).parts
    if not parts or parts[0].startswith("/"):
        raise ValueError(f"unacceptable pattern: '{pattern}'")
    return parts


class Mode(NamedTuple):
    """The ``flags`` of open(2); whether the file may be made; whether one begins at its end."""

    flags: int
    create: bool = False
    append: bool = False


_MODES = {
    "r": Mode(OREAD),
    "r+": Mode(ORDWR),
    "w": Mode(OWRITE | OTRUNC, create=True),
    "w+": Mode(ORDWR | OTRUNC, create=True),
    "x": Mode(OWRITE | OEXCL, create=True),
    "x+": Mode(ORDWR | OEXCL, create=True),
    "a": Mode(OWRITE, create=True, append=True),
    "a+": Mode(ORDWR, create=True, append=True),
}


def open_mode(text: str) -> Mode:
    """Python's ``"rb"``, ``"w"``, ``"r+b"`` ...; files hold bytes, so the ``b`` may be left out.

    Errors: ValueError.
    """
    try:
        return _MODES[text.replace("b", "", 1)]
    except KeyError:
        raise ValueError(f"invalid mode: '{text}'") from None
