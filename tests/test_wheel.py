"""The wheel: what an installation gets besides the modules."""

from __future__ import annotations

import pathlib
import zipfile

import pytest
from hatchling.build import build_wheel

CHECKOUT = pathlib.Path(__file__).parents[1]


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The files in the wheel."""
    directory = tmp_path_factory.mktemp("wheel")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(CHECKOUT)
        wheel = build_wheel(str(directory))
    return set(zipfile.ZipFile(directory / wheel).namelist())


def test_manual_pages_go_to_where_man_of_the_host_looks_and_hide_none_of_its_own(names: set[str]) -> None:
    pages = {pathlib.PurePath(name) for name in names if "/share/man/" in name}
    expected = {(f"man{page.suffix[1]}", f"{page.name}nsh") for page in (CHECKOUT / "nsh" / "man").iterdir()}
    assert {(page.parent.name, page.name) for page in pages} == expected
    assert ("man1", "ls.1nsh") in expected


def test_pages_and_grammars_are_in_the_package(names: set[str]) -> None:
    assert {"nsh/man/nsh.1", "nsh/grammar/rc.lark"} <= names
