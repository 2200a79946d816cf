"""What the tests with foreign clients share: a program of ours that exports something while they need it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TOP = Path(__file__).parents[2]


@contextmanager
def exported(*names: str) -> Iterator[list[int]]:
    """The ports of the loopback interface where a program of its own exports these files of its name space.

    What it has to complain about goes to standard error, and makes the test fail.
    """
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.interop.server", *names],
        cwd=TOP, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert server.stdin is not None and server.stdout is not None
    try:
        yield [int(server.stdout.readline()) for _ in names]
    finally:
        _, complaints = server.communicate()
    assert (server.returncode, complaints) == (0, "")
