"""installed: the devices that packages offer are found, and are those that importlib would find."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

from nsh import installed


def _package(directory: Path, name: str, text: str) -> None:
    info = directory / name
    info.mkdir(parents=True)
    (info / "entry_points.txt").write_text(text)


def test_the_devices_found_are_those_that_importlib_finds() -> None:
    assert installed.devices() == {e.name: e.value for e in entry_points(group=installed.GROUP)}


def test_a_device_is_found_among_other_entry_points_with_comments_and_extras(tmp_path: Path) -> None:
    text = (
        "[other]\nx = a:b\n\n[nsh.devices]\n# ours\nh = hello.dev:Hello [fast]\n[console_scripts]\nk = c:d\n"
    )
    _package(tmp_path, "hello-1.0.dist-info", text)
    assert installed.devices([str(tmp_path)]) == {"h": "hello.dev:Hello"}


def test_what_comes_first_on_the_path_wins(tmp_path: Path) -> None:
    for name in ("one", "two"):
        _package(tmp_path / name, f"{name}.egg-info", f"[nsh.devices]\nh = {name}:Hello\n")
    path = [str(tmp_path / name) for name in ("missing", "one", "two")]
    assert installed.devices(path) == {"h": "one:Hello"}


def test_a_start_imports_neither_importlib_metadata_nor_what_a_session_of_taskfs_needs() -> None:
    text = (
        "import asyncio, sys; from nsh.boot import boot; asyncio.run(boot()); names ="
        " {'importlib.metadata', 'taskfs.session', 'taskfs.hosts', 'taskfs.dev'};"
        "print(sorted(names & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True).stdout
    assert out == "['taskfs.dev']\n"
