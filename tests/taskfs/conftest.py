"""A fixture of the tests of taskfs: where nsh keeps its sockets and mount points, and what is left there."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator

import pytest

SETTLE = 3.0
"""Seconds that a helper may take to tidy up behind a dead nsh."""


@pytest.fixture
def nothing_stays(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The directory in which an nsh of this test makes its own; in the end nothing is there any more."""
    directory = tempfile.mkdtemp(prefix="run.", dir="/tmp")  # a short name: sockets have such
    os.chmod(directory, 0o777)
    monkeypatch.setenv("XDG_RUNTIME_DIR", directory)
    yield directory
    end = time.monotonic() + SETTLE
    while (left := os.listdir(directory)) and time.monotonic() < end:
        time.sleep(0.02)
    shutil.rmtree(directory)
    assert left == []
