"""How a tree is drawn with letters, as tree(1) does it on a terminal without line drawing characters.

Only the drawing: text in, text out. What the tree consists of is for the caller to know.
"""

from __future__ import annotations


def branch(margin: str, last: bool) -> tuple[str, str]:
    """What stands before an entry, and the margin of everything below it.

    ``margin``: that of the entries of this directory; ``last``: no entry of it follows.
    """
    return (margin + "`-- ", margin + "    ") if last else (margin + "|-- ", margin + "|   ")


def summary(directories: int, files: int | None) -> str:
    """The line that ends a tree; ``files`` None: they were not counted."""
    counts = [_count(directories, "directory", "directories")]
    if files is not None:
        counts.append(_count(files, "file", "files"))
    return ", ".join(counts)


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
