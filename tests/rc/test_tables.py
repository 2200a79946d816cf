"""tables: lark is imported once; after that the tables come from a cache that only the user can write."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nsh.rc import parse, tables, tree

SCRIPT = """
import sys
from nsh.rc import parse
from nsh.rc.unparse import unparse
print(*map(unparse, parse.parse("a |b; x=`{c}")))
print("lark" in sys.modules)
"""


def _shell(cache: Path) -> tuple[str, bool]:
    """What a new process makes of a line, and whether it had to import lark."""
    env = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=env, capture_output=True, text=True, check=True)
    printed, lark = done.stdout.splitlines()
    return printed, lark == "True"


def test_the_second_start_does_not_import_lark(tmp_path: Path) -> None:
    assert _shell(tmp_path) == ("a|b;x=`{c}", True)
    assert _shell(tmp_path) == ("a|b;x=`{c}", False)


def test_the_cache_is_for_the_user_alone(tmp_path: Path) -> None:
    _shell(tmp_path)
    (made,) = (tmp_path / "nsh").iterdir()
    assert (tmp_path / "nsh").stat().st_mode & 0o777 == 0o700
    assert made.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("spoil", [b"", b"nonsense", b"\xe9\x00\x00\x00\x00"])
def test_a_spoilt_cache_is_made_anew(tmp_path: Path, spoil: bytes) -> None:
    _shell(tmp_path)
    (made,) = (tmp_path / "nsh").iterdir()
    made.write_bytes(spoil)
    assert _shell(tmp_path) == ("a|b;x=`{c}", True)
    assert _shell(tmp_path) == ("a|b;x=`{c}", False)


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o777])
def test_a_directory_open_to_others_is_not_used(tmp_path: Path, mode: int) -> None:
    (tmp_path / "nsh").mkdir()
    (tmp_path / "nsh").chmod(mode)
    assert _shell(tmp_path) == ("a|b;x=`{c}", True)
    assert list((tmp_path / "nsh").iterdir()) == []


def test_a_link_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "nsh").symlink_to(tmp_path / "elsewhere")
    assert _shell(tmp_path) == ("a|b;x=`{c}", True)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_no_cache_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert _shell(tmp_path / "file") == ("a|b;x=`{c}", True)


def test_tables_from_the_cache_are_those_that_were_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    built = tables.load("rc")
    assert tables.load("rc") == built
    assert len(built.rules) > 50


def test_another_grammar_gets_other_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    tables.load("rc")
    text = "%declare A B\nstart: A B\n     | start A -> more\n"
    monkeypatch.setattr(tables, "_grammar", lambda name: text)
    other = tables.load("rc")
    assert sorted(other.rules) == [("start", 2, "", (0, 1)), ("start", 2, "more", (0, 1))]
    assert len(list((tmp_path / "nsh").iterdir())) == 2


def test_every_method_that_the_grammar_names_exists() -> None:
    """A Parser binds them all when it is made."""
    assert isinstance(parse.Parser("a").next(), tree.Simple)
