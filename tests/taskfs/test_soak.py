"""Much of the same: many cycles, and long output.

In full that takes minutes, and is run by hand: a thousand cycles with ``python -m tests.taskfs.soak 1000
off``, or ``on``, and two gigabytes with ``python -m tests.taskfs.stream 226000000 here``, or ``there``.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]


def run(*arguments: str) -> None:
    """Run one of the programs, which do not bear the debug mode of our event loop."""
    argv = [sys.executable, "-P", "-m", *arguments]
    done = subprocess.run(argv, cwd=TOP, capture_output=True, text=True)
    assert done.stdout == "as promised\n", done.stderr


@pytest.mark.limit(120)
def test_many_sessions_leave_nothing() -> None:
    run("tests.taskfs.soak", "150", "off")


@pytest.mark.limit(120)
@pytest.mark.requires("FUSE in a name space")
def test_many_sessions_whose_tasks_had_peers_leave_nothing() -> None:
    run("tests.taskfs.soak", "60", "on")


@pytest.mark.limit(120)
def test_output_is_held_back_at_the_quota_and_then_read_to_the_last_byte() -> None:
    run("tests.taskfs.stream", "12000000", "here", str(32 << 20))
