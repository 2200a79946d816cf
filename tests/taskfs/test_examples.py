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


HEADER = f"""\
# host host1 at tcp!192.0.2.1!6666 hostname host1
# host host2 at tcp!192.0.2.2!6666 hostname host2
# host host3 at tcp!192.0.2.3!6666 hostname host3
# host host4 at tcp!192.0.2.4!6666 hostname host4
# where /usr/local/bin/ring is {SCRIPTS}/ring
"""


def typed(page: str) -> str:
    """The examples of a manual page that begin with a prompt, but for what is typed on another machine."""
    text = page.replace(r"\(aq", "'").replace("\\\\", "\\")
    blocks = [block.split("\n.EE")[0] for block in text.split(".EX\n")[1:]]
    return "\n".join(b for b in blocks if b.startswith(";") and "styxlisten" not in b)


@pytest.mark.limit(90)
@pytest.mark.requires("FUSE in a name space", "a host name of its own")
def test_what_the_tutorial_shows_happens(tmp_path: pathlib.Path) -> None:
    text = typed((SCRIPTS.parent / "nsh" / "man" / "taskfs-tutorial.7").read_text())
    for told in (r"... UTC 2026", r"4711 1 2 4 ''"):  # the time, and the times
        line = next(line for line in text.split("\n") if line.endswith(told.removeprefix("... ")))
        text = text.replace(line, "...")
    transcript = tmp_path / "tutorial.transcript"
    transcript.write_text(f"{HEADER}\n{text}\n")
    assert text.count("\n; ") > 20
    argv = [sys.executable, "-P", "-m", "nsh", "replay", str(transcript)]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.limit(60)
@pytest.mark.requires("FUSE in a name space")
def test_the_tasks_of_the_manual_that_pass_a_word_on_come_to_an_end(tmp_path: pathlib.Path) -> None:
    page = (SCRIPTS.parent / "nsh" / "man" / "taskfs.3").read_text()
    lines = (
        page.split("Each of four tasks passes a word on")[1].split(".EX\n")[1].split(".EE")[0].splitlines()
    )
    assert len(lines) == 3
    text = ["cd /task/remote/`{cat /task/remote/clone}", "echo res 4 > ctl"]
    for line in lines:
        text += [line, *(["cat stdout"] if "exec" in line else [])]
    argv = [sys.executable, "-P", "-m", "nsh", "-c", "\n".join(text)]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("hi\n" * 8, "")
