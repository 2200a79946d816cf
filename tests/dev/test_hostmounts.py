"""Which names of the host lead to where one may have to wait, told without asking anybody there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from nsh.dev import mountinfo
from nsh.dev.hostid import Nodes
from nsh.dev.hostmounts import Mounts, is_slow, may_be_slow
from nsh.dev.mountinfo import Mount, mounts
from nsh.dev.patience import Patience


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[tuple[Mounts, Path]]:
    """What is known of the host, and a directory of which it is known that one may have to wait there."""
    (tmp_path / "slow").mkdir()
    known = Mounts()
    known.add(str(tmp_path / "slow"))
    yield known, tmp_path / "slow"
    known.close()


@pytest.mark.parametrize(
    ("kind", "slow"),
    [
        *[("fuse.sshfs", True), ("fuseblk", True), ("nfs4", True), ("9p", True), ("autofs", True)],
        *[("cifs", True), ("smb3", True), ("ceph", True), ("fuse", True)],
        *[("ext4", False), ("tmpfs", False), ("overlay", False), ("proc", False), ("fusectl", False)],
    ],
)
def test_file_systems_that_ask_others_are_slow(kind: str, slow: bool) -> None:
    assert is_slow(Mount("1", "0:1", "/", kind)) is slow


def test_the_table_is_read_as_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "mountinfo"
    table.write_bytes(
        rb"36 35 98:0 /mnt1 /mnt\0402\134x rw,noatime master:1 shared:2 - ext3 /dev/root rw,errors=continue"
        b"\n37 36 0:9 / /\xff rw - fuse.x a\\040-\\040b rw\n"
    )
    monkeypatch.setattr(mountinfo, "TABLE", str(table))
    assert list(mounts()) == [
        Mount("36", "98:0", "/mnt 2\\x", "ext3"),
        Mount("37", "0:9", "/\udcff", "fuse.x"),
    ]
    monkeypatch.setattr(mountinfo, "TABLE", str(tmp_path / "none"))
    assert list(mounts()) == []


def test_a_name_leads_there_through_whatever_links(slow: tuple[Mounts, Path], tmp_path: Path) -> None:
    known, place = slow
    (tmp_path / "d").mkdir()
    (tmp_path / "absolute").symlink_to(place)
    (tmp_path / "d" / "relative").symlink_to("../absolute")
    (tmp_path / "below").symlink_to("slow/there/../x")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "beside").symlink_to("slowly")
    for name in ("slow", "slow/x", "absolute", "d/relative/y", "below", "d/../slow", "d/..//slow/."):
        assert known.resolve(f"{tmp_path}/{name}") == (str(place), known.places[str(place)]), name
    for name in ("d", "slowly", "beside", "circle", "circle/slow", "d/slow", "none/../slow\0"):
        assert known.resolve(f"{tmp_path}/{name}")[1] is None, name
    assert known.resolve("/") == ("/", None)


def test_a_link_that_comes_to_lead_there_is_found_out(slow: tuple[Mounts, Path], tmp_path: Path) -> None:
    known, place = slow
    (tmp_path / "fast").mkdir()
    link = tmp_path / "link"
    link.symlink_to("fast")
    nodes = Nodes()
    node = nodes.root
    for name in [*tmp_path.parts[1:], "link", "f"]:
        node = nodes.child(node, name)
    known.check(node)
    link.unlink()
    link.symlink_to(place)
    with pytest.raises(Patience):
        known.check(node)


def test_a_name_without_links_is_looked_at_once(slow: tuple[Mounts, Path], tmp_path: Path) -> None:
    known, _ = slow
    nodes = Nodes()
    node = nodes.root
    for name in [*tmp_path.parts[1:], "fast", "f"]:
        node = nodes.child(node, name)
    (tmp_path / "fast").mkdir()
    known.check(node)
    assert node.sure is known.token
    known.add(str(tmp_path / "fast"))
    assert node.sure is not known.token, "what was known does not hold any more"
    with pytest.raises(Patience):
        known.check(node)
    known.discard(str(tmp_path / "fast"))
    known.check(node)


def test_when_the_root_is_slow_everything_is() -> None:
    known = Mounts()
    known.add("/")
    assert known.resolve("/etc/passwd") == ("/", known.places["/"])
    with pytest.raises(Patience):
        known.check(Nodes().root)


def test_a_directory_that_has_the_root_of_a_slow_place_in_it(
    slow: tuple[Mounts, Path], tmp_path: Path
) -> None:
    known, place = slow
    (tmp_path / "link").symlink_to(".")
    assert known.holds_slow(str(tmp_path)) and known.holds_slow(str(tmp_path / "link"))
    assert not known.holds_slow(str(tmp_path.parent)) and not known.holds_slow(str(place))


def test_of_an_open_file_it_is_known_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    fd = os.open(tmp_path / "f", os.O_RDONLY)
    roots = [mount for mount in mounts() if mount.point == "/"]
    try:
        assert may_be_slow(fd) is (not roots or any(map(is_slow, roots)))
    finally:
        os.close(fd)
    assert may_be_slow(fd), "what is not known is not relied on"
