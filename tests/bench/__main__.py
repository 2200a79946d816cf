"""``python -m tests.bench NAME ...``: run benches and print their tables; scripts/bench calls it.

A bench is a module beside this one with a function ``bench()`` that yields rows.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.bench.table import Row, heading, line


def benches() -> list[str]:
    """The names of the benches there are."""
    others = ("__init__", "__main__", "table")
    names = (path.stem for path in Path(__file__).parent.glob("*.py"))
    return sorted(name for name in names if name not in others and not name.startswith("test_"))


def main(names: list[str]) -> int:
    """Run the benches; 1 if a target was missed, 2 if there is no such bench."""
    known = benches()
    if not names or not set(names) <= set(known):
        print(f"usage: scripts/bench {'|'.join(known)} ...", file=sys.stderr)
        return 2
    met = True
    print(heading())
    for name in names:
        bench: Callable[[], Iterator[Row]] = importlib.import_module(f"tests.bench.{name}").bench
        for row in bench():
            print(line(row), flush=True)
            met &= row.met
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
