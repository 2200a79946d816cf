"""The README's walk through the Python interface is a program that prints what the README says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"


def walk() -> tuple[str, str]:
    """The program of the section about devices, and what it is said to print."""
    section = README.read_text().split("## A device of one's own\n")[1].split("\n## ")[0]
    program, output = re.findall(r"```(?:python)?\n(.*?)```", section, re.DOTALL)
    return program, output


def test_the_device_of_the_readme_is_twenty_lines() -> None:
    program, _ = walk()
    body = program.split("class Counter(nsh.Device):\n")[1].split("\nasync def somebody")[0]
    assert len([line for line in body.splitlines() if line.strip()]) <= 20


def test_the_program_of_the_readme_prints_what_the_readme_says(tmp_path: Path) -> None:
    program, output = walk()
    (tmp_path / "counter.py").write_text(program)
    command = [sys.executable, "-W", "error", "-P", str(tmp_path / "counter.py")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=20)
    assert (done.stdout, done.stderr, done.returncode) == (output, "", 0)
