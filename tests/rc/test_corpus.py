"""The recorded behaviour of plan9port's rc: every case is run through nsh and compared, but for a few.

Compared are standard output, the exit code, and whether something is said on standard error. Where nsh
decides otherwise, and why, is in `tests.rc.overruled`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.rc.overruled import AS_RECORDED, OVERRULED

CORPUS = Path(__file__).parent.parent / "corpus" / "rc" / "cases"

CASES: list[dict[str, Any]] = json.loads((CORPUS / "manifest.json").read_text())


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A program that is nsh: the recordings were made with argv[0] "rc"."""
    path = tmp_path_factory.mktemp("bin") / "nsh"
    root = Path(__file__).parent.parent.parent
    path.write_text(f'#!/bin/sh\nPYTHONPATH={root} exec {sys.executable} -m nsh "$@"\n')
    path.chmod(0o755)
    return str(path)


def _recorded(name: str, suffix: str) -> bytes:
    return (CORPUS / f"{name}{suffix}").read_bytes()


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_recorded_case(case: dict[str, Any], shell: str, tmp_path: Path) -> None:
    name, text = case["name"], _recorded(case["name"], ".rc")
    argv = [shell, *case["flags"]]
    if case["mode"] == "c":
        argv += ["-c", text.decode(), *case["args"]]
    elif case["mode"] == "script":
        (tmp_path / "t.rc").write_bytes(text)
        argv += ["./t.rc", *case["args"]]
    environ = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8", **case["env"]}
    environ |= {key: value for key, value in os.environ.items() if key.startswith("NSH_TEST")}
    done = subprocess.run(
        argv, cwd=tmp_path, env=environ, input=text if case["mode"] == "stdin" else b"", capture_output=True
    )
    same = (done.stdout, done.returncode) == (_recorded(name, ".out"), case["exit"])
    otherwise = OVERRULED.get(name, AS_RECORDED)
    assert same != otherwise.output, (done.stdout, done.stderr, done.returncode)
    if same:  # the words themselves are nsh's own
        assert bool(done.stderr) == (bool(_recorded(name, ".err")) and not otherwise.silent), done.stderr
