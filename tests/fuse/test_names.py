"""What the kernel may believe of names, and what becomes of that when it was wrong."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from nsh.kern.proc import current
from nsh.kern.tree import Tree
from nsh.net.fuse import abi
from nsh.net.fuse.owners import Owners
from nsh.net.fuse.session import NAMES, Session
from nsh.net.step import start
from tests.fuse.mounts import ninepfuse, server
from tests.kern.world import world


async def session(trust: float, timeout: float = 0.0) -> Callable[..., bytes]:
    """How to ask a session for a reply's data; its tree has a directory ``d`` and a file ``f``."""
    p = await world()
    current.set(p)
    tree = Tree(p, await p.system.attach("R", "names"))
    replies: list[bytes] = []
    root = tree.attach("", "")
    s = Session(tree, root, start, lambda parts: replies.append(b"".join(parts)), Owners(), timeout, trust)

    def ask(opcode: int, body: bytes) -> bytes:
        request = abi.HEADER.pack(abi.BODY + len(body), opcode, 1, abi.ROOT, 0, 0, 1, 0) + body
        s.feed(memoryview(request))
        reply = replies.pop()
        assert abi.REPLY.unpack_from(reply)[1] == 0
        return reply[abi.REPLY.size :]

    ask(abi.MKDIR, abi.MKDIR_IN.pack(0o755, 0) + b"d\0")
    ask(abi.MKNOD, abi.MKNOD_IN.pack(0o100644, 0, 0, 0) + b"f\0")
    return ask


def valid(reply: bytes) -> tuple[float, float]:
    """For how many seconds the name and the attributes of an entry may be believed."""
    _, _, name, attr, name_nsec, attr_nsec = abi.ENTRY.unpack_from(reply)
    return name + name_nsec / 1e9, attr + attr_nsec / 1e9


@pytest.mark.parametrize(
    ("trust", "timeout", "directory", "file"),
    [
        (0.0, 0.0, (0.0, 0.0), (0.0, 0.0)),
        (1.0, 0.0, (NAMES, 0.0), (0.0, 0.0)),
        (1.0, 2.5, (2.5, 2.5), (2.5, 2.5)),
        (0.0, 2.5, (2.5, 2.5), (2.5, 2.5)),
    ],
)
async def test_of_a_server_that_is_far_away_the_names_of_directories_are_believed_for_a_moment(
    trust: float, timeout: float, directory: tuple[float, float], file: tuple[float, float]
) -> None:
    ask = await session(trust, timeout)
    assert valid(ask(abi.LOOKUP, b"d\0")) == directory
    assert valid(ask(abi.LOOKUP, b"f\0")) == file


@pytest.mark.requires("/dev/fuse", "fusermount3")
@pytest.mark.limit(60)
def test_a_directory_that_others_replace_or_rename_is_found_out(tmp_path: Path) -> None:
    one, two = tmp_path / "1", tmp_path / "2"
    one.mkdir()
    two.mkdir()

    def make(content: str) -> None:
        (one / "d" / "e").mkdir(parents=True)
        (one / "d" / "e" / "f").write_text(content)

    def seen() -> str:
        return (two / "d" / "e" / "f").read_text()

    with server() as (address, _), ninepfuse(address, one), ninepfuse(address, two):
        make("first")
        assert seen() == "first"
        for content in ("second", "third"):
            shutil.rmtree(one / "d")
            make(content)
            assert seen() == content
        assert os.listdir(two / "d" / "e") == ["f"]
        os.rename(one / "d", one / "x")
        assert not (two / "d").exists()
        assert os.listdir(two / "x") == ["e"]
        shutil.rmtree(one / "x")
        (one / "x").write_text("a file")
        assert (two / "x").read_text() == "a file"
