"""The worked examples in scripts/ do what their transcripts say."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest

SCRIPTS = pathlib.Path(__file__).parents[2] / "scripts"

pytestmark = pytest.mark.usefixtures("nothing_stays")


@pytest.mark.limit(90)
@pytest.mark.parametrize(
    "name",
    [
        pytest.param("ring", marks=pytest.mark.requires("FUSE in a name space")),
        pytest.param("wordcount", marks=pytest.mark.requires("/usr/share/common-licenses/GPL-3", "awk")),
        pytest.param("tree", marks=pytest.mark.requires("awk")),
    ],
)
def test_a_transcript_replays(name: str, tmp_path: pathlib.Path) -> None:
    argv = [sys.executable, "-P", "-m", "nsh", "replay", str(SCRIPTS / f"{name}.transcript")]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
