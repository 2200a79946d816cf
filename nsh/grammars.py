"""Where the grammars are: in an installed package inside it, in a checkout beside it."""

from __future__ import annotations

import os


def read(name: str) -> str:
    """The text of ``NAME.lark``. Errors: `FileNotFoundError`."""
    package = os.path.dirname(os.path.abspath(__file__))
    path = os.path.join("grammar", f"{name}.lark")
    try:
        file = open(os.path.join(package, path), encoding="utf-8")
    except FileNotFoundError:
        file = open(os.path.join(os.path.dirname(package), path), encoding="utf-8")
    with file:
        return file.read()
