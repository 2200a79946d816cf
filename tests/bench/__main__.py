"""``python -m tests.bench NAME ...``: run benches and print their tables; scripts/bench calls it.

A bench is a module beside this one with a function ``bench()`` that yields rows, and lines of text for
what cannot be measured.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.bench.table import Row, heading, line

NAMES = {"ninep": "9p"}
"""What is called otherwise than its module, since that has to be a name for Python, too."""


def benches() -> dict[str, str]:
    """The module of each bench there is."""
    others = ("__init__", "__main__", "table")
    modules = (path.stem for path in Path(__file__).parent.glob("*.py"))
    found = (name for name in modules if name not in others and not name.startswith("test_"))
    return dict(sorted((NAMES.get(name, name), name) for name in found))


def main(names: list[str]) -> int:
    """Run the benches; 1 if a target was missed, 2 if there is no such bench."""
    known = benches()
    if not names or not set(names) <= known.keys():
        print(f"usage: scripts/bench {'|'.join(known)} ...", file=sys.stderr)
        return 2
    met = True
    print(heading())
    for name in names:
        bench: Callable[[], Iterator[Row | str]] = importlib.import_module(f"tests.bench.{known[name]}").bench
        for row in bench():
            if isinstance(row, str):
                print(row, flush=True)
            else:
                print(line(row), flush=True)
                met &= row.met
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
