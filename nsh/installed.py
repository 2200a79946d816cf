"""Which devices installed packages offer: the entry points of the group ``nsh.devices``.

Every start of nsh needs to know. importlib.metadata would tell, but to import it takes longer than all of nsh
does. So what installers have written is read here: each package has a directory on the path, NAME.dist-info
or NAME.egg-info, with its entry points in a file of sections.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence

GROUP = "nsh.devices"


def devices(path: Sequence[str] | None = None) -> dict[str, str]:
    """For each letter "module:Class", from packages on ``path`` (``sys.path``).

    As with modules, what comes first on the path hides what comes later.
    """
    found: dict[str, str] = {}
    for directory in sys.path if path is None else path:
        for text in _entry_points(directory or "."):
            for letter, where in _section(text, GROUP):
                found.setdefault(letter, where)
    return found


def _entry_points(directory: str) -> Iterator[str]:
    """The texts that say what the packages in ``directory`` offer."""
    try:
        names = os.listdir(directory)
    except OSError:
        return  # not there, or an archive
    for name in names:
        if name.endswith((".dist-info", ".egg-info")):
            try:
                with open(f"{directory}/{name}/entry_points.txt", encoding="utf-8") as file:
                    yield file.read()
            except (OSError, UnicodeDecodeError):
                continue


def _section(text: str, group: str) -> Iterator[tuple[str, str]]:
    """The lines ``name = value`` of a section; a comment, or extras in brackets, are not part of a value."""
    inside = False
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("["):
            inside = line == f"[{group}]"
        elif inside and "=" in line and not line.startswith(("#", ";")):
            name, _, value = line.partition("=")
            yield name.strip(), value.partition("[")[0].strip()
