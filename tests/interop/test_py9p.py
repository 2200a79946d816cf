"""python-9p, whose messages are made by plan9port's C code, works on our exports as on any server's."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import py9p
import pytest

from nsh.p9.const import DMDIR, DMEXCL, OEXEC, ORCLOSE, ORDWR, OREAD, OTRUNC, OWRITE
from nsh.p9.stat import Dir
from tests.interop.export import exported

ROOT, SCRATCH = 0, 1


@contextmanager
def connected(port: int, msize: int = 8192) -> Iterator[py9p.Client]:
    """A client that has attached; `ROOT` is the fid of the root."""
    with py9p.Client.connect_tcp("127.0.0.1", port, timeout=20, msize=msize) as client:
        client.negotiate()
        client.attach(ROOT, uname="glenda")
        yield client


@pytest.fixture(params=["#Rpy9p", "a directory of the host"])
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[py9p.Client]:
    """A client of an empty export."""
    tmp_path.chmod(0o755)
    name = request.param if request.param[0] == "#" else f"#U{tmp_path}"
    with exported(name) as (port,), connected(port) as client:
        yield client


def make(client: py9p.Client, path: str, data: bytes = b"", perm: int = 0o644) -> None:
    """A new file at ``path`` with ``data``; a directory if ``perm`` says so."""
    directory, _, name = path.rpartition("/")
    client.walk(ROOT, SCRATCH, directory)
    client.create(SCRATCH, name, perm, OREAD if perm & DMDIR else OWRITE)
    step = client.msize - 24
    for offset in range(0, len(data), step):
        piece = data[offset : offset + step]
        assert client.write(SCRATCH, piece, offset) == len(piece)
    client.clunk(SCRATCH)


def content(client: py9p.Client, path: str, fid: int = SCRATCH) -> bytes:
    """The bytes of a file, or the entries of a directory."""
    client.walk(ROOT, fid, path)
    client.open(fid, OREAD)
    data = b""
    while piece := client.read(fid, offset=len(data)):
        data += piece
    client.clunk(fid)
    return data


def entries(client: py9p.Client, path: str) -> list[py9p.Dir]:
    data, found = content(client, path), []
    while data:
        size = int.from_bytes(data[:2], "little") + 2
        found.append(py9p.decode_dir(data[:size]))
        data = data[size:]
    return found


def dont_touch(**values: Any) -> bytes:
    """stat(5): what changes nothing but ``values``; python-9p's own cannot say so of a length."""
    return Dir.dont_touch(**values).pack()


def refusal(call: object, *args: object) -> str:
    """The text of the error that a call gets."""
    with pytest.raises(py9p.RemoteError) as caught:
        call(*args)  # type: ignore[operator]
    return str(caught.value)


def test_the_version_and_the_message_size_are_agreed(tmp_path: Path) -> None:
    with exported("#Rversion") as (port,):
        for asked in (256, 8192, 1 << 20):
            with py9p.Client.connect_tcp("127.0.0.1", port, timeout=20, msize=asked) as client:
                assert client.negotiate() == py9p.Rversion(msize=asked, version="9P2000", tag=0xFFFF)
        with py9p.Client.connect_tcp("127.0.0.1", port, timeout=20) as client:
            client.version_string = "9P2000.u"
            assert client.negotiate().version == "9P2000"
            assert client.rpc(py9p.Tversion(msize=8192, version="8P")).version == "unknown"


@pytest.mark.parametrize("msize", [256, 8192, 65536, 1 << 20])
def test_a_file_is_written_and_read_whatever_the_message_size(msize: int) -> None:
    data = bytes(range(256)) * 401 + b"end"
    with exported("#Rsizes") as (port,), connected(port, msize) as client:
        make(client, "file", data)
        assert content(client, "file") == data


def test_files_are_made_read_written_and_removed(client: py9p.Client) -> None:
    make(client, "d", perm=DMDIR | 0o755)
    make(client, "d/file", b"hello, world\n")
    assert content(client, "d/file") == b"hello, world\n"

    client.walk(ROOT, SCRATCH, "d/file")
    client.open(SCRATCH, ORDWR)
    assert client.write(SCRATCH, b"J", 0) == 1
    assert client.write(SCRATCH, b"!", 20) == 1
    assert client.read(SCRATCH, 4, 0) == b"Jell"
    assert client.read(SCRATCH, 100, 10) == b"ld\n" + bytes(7) + b"!"
    assert client.read(SCRATCH, 100, 21) == b""
    client.clunk(SCRATCH)

    client.walk(ROOT, SCRATCH, "d/file")
    client.open(SCRATCH, OWRITE | OTRUNC)
    client.clunk(SCRATCH)
    assert content(client, "d/file") == b""

    client.walk(ROOT, SCRATCH, "d/file")
    client.remove(SCRATCH)
    assert entries(client, "d") == []


def test_a_walk_gives_the_qid_of_every_name_and_stops_where_there_is_nothing(client: py9p.Client) -> None:
    make(client, "a", perm=DMDIR | 0o755)
    make(client, "a/b", perm=DMDIR | 0o755)
    make(client, "a/b/c")
    qids = client.walk(ROOT, SCRATCH, ["a", "b", "c"])
    assert [qid.type for qid in qids] == [0x80, 0x80, 0]
    assert client.stat(SCRATCH).qid == qids[2]
    client.clunk(SCRATCH)
    assert client.walk(ROOT, SCRATCH, ["a", "nosuch", "c"]) == qids[:1]
    assert refusal(client.clunk, SCRATCH) == "unknown fid"
    root = client.stat(ROOT).qid
    assert client.walk(ROOT, SCRATCH, ["a", "b", "..", "..", ".."]) == (*qids[:2], qids[0], root, root)


def test_stat_and_wstat(client: py9p.Client) -> None:
    make(client, "file", b"12345")
    client.walk(ROOT, SCRATCH, "file")
    before = client.stat(SCRATCH)
    assert (before.name, before.mode, before.length) == ("file", 0o644, 5)
    client.wstat(SCRATCH, dont_touch(mode=0o600, mtime=1_000_000_000, length=3))
    after = client.stat(SCRATCH)
    assert (after.mode, after.mtime, after.length) == (0o600, 1_000_000_000, 3)
    assert (after.qid.path, after.uid, after.gid) == (before.qid.path, before.uid, before.gid)
    client.wstat(SCRATCH, dont_touch(name="renamed"))
    assert client.stat(SCRATCH).name == "renamed"
    client.wstat(SCRATCH, dont_touch())
    client.clunk(SCRATCH)
    assert [d.name for d in entries(client, "/")] == ["renamed"]
    assert content(client, "renamed", 2) == b"123"


def test_what_changes_a_file_changes_the_version_of_its_qid(client: py9p.Client) -> None:
    make(client, "file")
    client.walk(ROOT, SCRATCH, "file")
    before, _ = client.open(SCRATCH, OWRITE)
    client.write(SCRATCH, b"x")
    after = client.stat(SCRATCH).qid
    assert after.path == before.path and after.vers != before.vers


def test_a_directory_of_1000_entries_is_listed_whole(client: py9p.Client) -> None:
    make(client, "many", perm=DMDIR | 0o755)
    names = {f"file-{i:04}" for i in range(1000)}
    for name in names:
        make(client, f"many/{name}")
    found = entries(client, "many")
    assert len(found) == 1000 and {d.name for d in found} == names
    assert len({d.qid.path for d in found}) == 1000
    client.walk(ROOT, SCRATCH, "many/file-0500")
    assert client.stat(SCRATCH) in found


def test_a_file_may_go_when_it_is_closed(client: py9p.Client) -> None:
    make(client, "file")
    client.walk(ROOT, SCRATCH, "file")
    client.open(SCRATCH, OREAD | ORCLOSE)
    client.clunk(SCRATCH)
    assert entries(client, "/") == []


def test_exclusive_use() -> None:
    with exported("#Rexclusive") as (port,), connected(port) as client, connected(port) as other:
        client.walk(ROOT, SCRATCH, "")
        client.create(SCRATCH, "lock", DMEXCL | 0o600, ORDWR)
        other.walk(ROOT, SCRATCH, "lock")
        assert refusal(other.open, SCRATCH, OREAD) == "exclusive lock"
        client.clunk(SCRATCH)
        other.open(SCRATCH, OREAD)


def test_every_misuse_has_its_error_and_the_connection_goes_on(client: py9p.Client) -> None:
    make(client, "d", perm=DMDIR | 0o755)
    make(client, "d/file", b"data")
    assert refusal(client.walk, ROOT, SCRATCH, "nosuch") == "file does not exist"
    assert refusal(client.walk, 7, SCRATCH, "d") == "unknown fid"
    assert refusal(client.attach, ROOT) == "fid in use"
    assert refusal(client.read, ROOT) == "read/write -- not open in suitable mode"
    assert refusal(client.rpc, py9p.Tauth(afid=9, uname="glenda")) == "authentication not required"
    client.walk(ROOT, SCRATCH, "d/file")
    assert refusal(client.walk, SCRATCH, 2, "x") == "not a directory"
    assert refusal(client.create, SCRATCH, "x", 0o644) == "not a directory"
    assert refusal(client.open, SCRATCH, OEXEC) == "permission denied"
    client.open(SCRATCH, OREAD)
    assert refusal(client.open, SCRATCH, OREAD) == "fid already opened"
    assert refusal(client.walk, SCRATCH, 2, "") == "walk of open fid"
    assert refusal(client.write, SCRATCH, b"x") == "read/write -- not open in suitable mode"
    client.clunk(SCRATCH)
    client.walk(ROOT, SCRATCH, "d")
    assert refusal(client.open, SCRATCH, OWRITE) == "permission denied"
    assert refusal(client.create, SCRATCH, "..", 0o644) == "file name syntax"
    assert refusal(client.wstat, SCRATCH, dont_touch(length=7)) != ""
    assert refusal(client.remove, SCRATCH).lower() == "directory not empty"  # of the host, in its words
    assert refusal(client.stat, SCRATCH) == "unknown fid"  # remove(5): gone all the same
    assert content(client, "d/file") == b"data"


def test_a_flush_is_answered(client: py9p.Client) -> None:
    assert client.rpc(py9p.Tflush(oldtag=77), py9p.Rflush) == py9p.Rflush(client._next_tag - 1)


def test_many_threads_share_one_connection(client: py9p.Client) -> None:
    data = {i: bytes([i]) * 30_000 for i in range(8)}
    for i, text in data.items():
        make(client, f"file{i}", text)
    found: dict[int, bytes] = {}

    def read(i: int) -> None:
        found[i] = content(client, f"file{i}", fid=10 + i)

    threads = [threading.Thread(target=read, args=(i,)) for i in data]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == data
