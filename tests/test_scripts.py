"""scripts/nsh and scripts/test start what they promise, where they promise, or say in one line why not.

Installing takes a network and half a minute, so it is left to those who run the scripts: all do. Here the
environment is one that counts as made, and its interpreter shows how it was called.
"""

from __future__ import annotations

import pathlib
import shutil
import subprocess

import pytest

CHECKOUT = pathlib.Path(__file__).parents[1]


class Copy:
    """A checkout with our scripts, in a directory with a blank in its name."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.top = directory / "a copy"
        self.bin = directory / "bin"
        self.bin.mkdir()
        (self.top / "tests").mkdir(parents=True)
        shutil.copytree(CHECKOUT / "scripts", self.top / "scripts")
        shutil.copy(CHECKOUT / "pyproject.toml", self.top)
        for program in ("cmp", "flock", "mkdir", "readlink", "sh"):
            (self.bin / program).symlink_to(str(shutil.which(program)))

    def make_environment(self) -> None:
        """Put an environment in place that is up to date."""
        venv = self.top / ".venv"
        self.program(venv / "bin" / "python", 'pwd; printf "%s\\n" "$@"')
        (venv / "checkout").symlink_to(self.top)
        for stamp in ("installed", "installed-test"):
            shutil.copy(self.top / "pyproject.toml", venv / stamp)

    def program(self, path: pathlib.Path, text: str) -> None:
        """Make an executable shell script."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def run(self, script: pathlib.Path, *args: str, cwd: pathlib.Path) -> subprocess.CompletedProcess[str]:
        """Run `script` with nothing on the path but what the scripts need, and what the test put there."""
        environ = {"PATH": str(self.bin), "HOME": str(self.top)}
        return subprocess.run([script, *args], cwd=cwd, env=environ, capture_output=True, text=True)


@pytest.fixture
def copy(tmp_path: pathlib.Path) -> Copy:
    return Copy(tmp_path)


def test_nsh_runs_in_the_callers_directory_also_through_a_link_and_imports_nothing_from_there(
    copy: Copy, tmp_path: pathlib.Path
) -> None:
    copy.make_environment()
    link = tmp_path / "link"
    link.symlink_to(copy.top / "scripts" / "nsh")
    for script in (copy.top / "scripts" / "nsh", link):
        result = copy.run(script, "-c", "echo  two  blanks", "", cwd=tmp_path)
        assert result.stdout.splitlines() == [str(tmp_path), "-P", "-m", "nsh", "-c", "echo  two  blanks", ""]
        assert (result.returncode, result.stderr) == (0, "")


def test_all_tests_run_unless_an_argument_names_a_file(copy: Copy, tmp_path: pathlib.Path) -> None:
    copy.make_environment()
    (tmp_path / "test_one.py").touch()
    script = copy.top / "scripts" / "test"
    pytest_in_copy = [str(tmp_path), "-P", "-m", "pytest", "-c", str(copy.top / "pyproject.toml")]
    everything = copy.run(script, "-k", "word", cwd=tmp_path)
    assert everything.stdout.splitlines() == [*pytest_in_copy, "-k", "word", str(copy.top / "tests")]
    one = copy.run(script, "test_one.py::test_it", "-x", cwd=tmp_path)
    assert one.stdout.splitlines() == [*pytest_in_copy, "test_one.py::test_it", "-x"]


@pytest.mark.parametrize("stale", ["pyproject.toml changed", "copied from elsewhere", "interpreter gone"])
def test_an_environment_that_does_not_fit_is_not_used(copy: Copy, tmp_path: pathlib.Path, stale: str) -> None:
    copy.make_environment()
    if stale == "pyproject.toml changed":
        (copy.top / "pyproject.toml").write_text("[project]\n")
        copy.program(copy.top / ".venv" / "bin" / "python", "echo pip has no network; exit 1")
        expected = ["pip has no network", "nsh: pip could not install what *"]
    else:
        expected = ["nsh: there is no python3 here; try: apt-get install python3 python3-venv"]
    if stale == "copied from elsewhere":
        (copy.top / ".venv" / "checkout").unlink()
        (copy.top / ".venv" / "checkout").symlink_to(CHECKOUT)
    if stale == "interpreter gone":
        (copy.top / ".venv" / "bin" / "python").unlink()
    result = copy.run(copy.top / "scripts" / "nsh", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (1, "")
    pytest.LineMatcher(result.stderr.splitlines()).fnmatch_lines(expected)


@pytest.mark.parametrize(
    ("python3", "complaint"),
    [
        (
            'test "$1" = -V && echo Python 3.9.2',
            "nsh: needs Python 3.11 or newer, not Python 3.9.2; try: apt-get install python3.11-venv",
        ),
        (
            'case "$2" in *ensurepip*) exit 1; esac',
            "nsh: python3 cannot make virtual environments; try: apt-get install python3-venv",
        ),
    ],
)
def test_a_python_that_will_not_do_gives_one_line_with_the_cure(
    copy: Copy, tmp_path: pathlib.Path, python3: str, complaint: str
) -> None:
    copy.program(copy.bin / "python3", python3)
    result = copy.run(copy.top / "scripts" / "nsh", cwd=tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (1, "", complaint + "\n")
