"""server: the rules of version(5) to wstat(5) that do not depend on what the files are."""

from __future__ import annotations

import logging
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsh.errors import Enotag, ProtocolError
from nsh.p9 import msg, server
from nsh.p9.const import DMDIR, NOFID, NOTAG, OEXEC, ORCLOSE, ORDWR, OREAD, OTRUNC, OWRITE, TCLUNK, TWALK
from nsh.p9.msg import (
    Message,
    Rclunk,
    Rcreate,
    Rerror,
    Rflush,
    Ropen,
    Rread,
    Rremove,
    Rstat,
    Rversion,
    Rwalk,
    Rwrite,
    Rwstat,
    Tattach,
    Tauth,
    Tclunk,
    Tcreate,
    Tflush,
    Topen,
    Tread,
    Tremove,
    Tstat,
    Tversion,
    Twalk,
    Twrite,
    Twstat,
    encode,
)
from nsh.p9.stat import Dir, unpack_dirs

from .memfs import Server
from .strategies import message


def walk(server: Server, newfid: int, *names: str) -> Any:
    return server.rpc(Twalk(1, 0, newfid, names))


def opened(server: Server, fid: int, mode: int, *names: str) -> Any:
    walk(server, fid, *names)
    return server.rpc(Topen(1, fid, mode))


def ename(reply: Any) -> str:
    assert type(reply) is Rerror, reply
    return str(reply.ename)


# --- version(5) ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "agreed"),
    [
        ("9P2000", "9P2000"),
        ("9P2000.u", "9P2000"),
        ("9P2000.L", "9P2000"),
        ("9P3000", "9P2000"),
        ("9P20000", "9P2000"),
        ("9P1999", "unknown"),
        ("9P", "unknown"),
        ("9P.2000", "unknown"),
        ("9P2000x", "unknown"),
        ("9P२०००", "unknown"),
        ("Styx", "unknown"),
        ("", "unknown"),
        ("9P" + "9" * 5000, "9P2000"),
    ],
)
def test_a_later_version_comes_down_to_ours_and_others_are_unknown(
    fresh: Server, asked: str, agreed: str
) -> None:
    """version(5): the server answers a version that is not later than the client's, or ``unknown``."""
    assert fresh.rpc(Tversion(NOTAG, 8192, asked)) == Rversion(NOTAG, 8192, agreed)


@pytest.mark.parametrize(
    ("asked", "agreed"), [(64, 64), (256, 256), (8192, 8192), (1 << 20, 1 << 20), (NOFID, (1 << 20) + 24)]
)
def test_the_smaller_message_size_holds(fresh: Server, asked: int, agreed: int) -> None:
    """version(5): the server's msize is not greater than the client's."""
    assert fresh.rpc(Tversion(NOTAG, asked, "9P2000")) == Rversion(NOTAG, agreed, "9P2000")
    assert fresh.session.msize == agreed
    with pytest.raises(ProtocolError):
        fresh.feed_bytes(struct.pack("<IBH", agreed + 1, TCLUNK, 1))


def test_a_message_size_that_nothing_fits_in_is_an_error(fresh: Server) -> None:
    """version(5), and Inferno's limit."""
    assert ename(fresh.rpc(Tversion(NOTAG, 63, "9P2000"))) == "message size too small"


def test_nothing_but_a_version_may_come_first(fresh: Server) -> None:
    """version(5): Tversion must be the first message."""
    assert ename(fresh.rpc(Tattach(1, 0, NOFID, "glenda", ""))) == "Tversion not seen"
    fresh.rpc(Tversion(NOTAG, 8192, "Styx"))
    assert ename(fresh.rpc(Tattach(1, 0, NOFID, "glenda", ""))) == "Tversion not seen"


def test_a_second_version_clunks_all_fids(server: Server) -> None:
    """version(5): all outstanding I/O is aborted, all active fids are freed."""
    opened(server, 1, OREAD, "file")
    assert len(server.tree.alive) == 2
    server.rpc(Tversion(NOTAG, 300, "9P2000"))
    assert server.tree.alive == []
    assert ename(server.rpc(Tstat(1, 0))) == "unknown fid"
    assert type(server.rpc(Tattach(1, 0, NOFID, "glenda", ""))) is msg.Rattach
    assert server.session.msize == 300


def test_a_version_not_agreed_on_changes_nothing(server: Server) -> None:
    """version(5): a successful version request initializes the connection; another does not."""
    server.rpc(Tversion(NOTAG, 300, "9P1000"))
    server.rpc(Tversion(NOTAG, 3, "9P2000"))
    assert type(server.rpc(Tstat(1, 0))) is Rstat
    assert server.session.msize == 8216


def test_a_version_in_the_middle_of_a_segment_counts_from_there_on(server: Server) -> None:
    replies = server.feed(
        Twalk(1, 0, 1, ()),
        Tversion(NOTAG, 512, "9P2000"),
        Tattach(1, 0, NOFID, "glenda", ""),
        Tclunk(2, 1),
    )
    assert [type(r) for r in replies] == [Rwalk, Rversion, msg.Rattach, Rerror]


# --- attach(5) ----------------------------------------------------------------------------------


def test_no_authentication_is_needed_or_possible(server: Server) -> None:
    """attach(5): a server that needs none answers Tauth with Rerror."""
    assert ename(server.rpc(Tauth(1, 5, "glenda", ""))) == "authentication not required"
    assert ename(server.rpc(Tattach(1, 6, 5, "glenda", ""))) == "unknown fid"
    assert ename(server.rpc(Tstat(1, 6))) == "unknown fid"


def test_attach_wants_a_new_fid(server: Server) -> None:
    """attach(5): an error is returned if fid is already in use."""
    assert ename(server.rpc(Tattach(1, 0, NOFID, "glenda", ""))) == "fid in use"
    assert ename(server.rpc(Tattach(1, NOFID, NOFID, "glenda", ""))) == "unknown fid"
    assert type(server.rpc(Tattach(1, 7, NOFID, "rob", "other"))) is msg.Rattach


# --- intro(5): fids and tags --------------------------------------------------------------------

ENTRY = Dir.dont_touch().pack()


@pytest.mark.parametrize(
    "m",
    [
        Twalk(1, 9, 10, ()),
        Twalk(1, 9, 10, ("file",)),
        Topen(1, 9, OREAD),
        Tcreate(1, 9, "x", 0o600, OREAD),
        Tread(1, 9, 0, 1),
        Twrite(1, 9, 0, b"x"),
        Tclunk(1, 9),
        Tremove(1, 9),
        Tstat(1, 9),
        Twstat(1, 9, ENTRY),
    ],
)
def test_an_unknown_fid_is_an_error(server: Server, m: Message) -> None:
    """intro(5): a request names a fid that an attach or a walk has made."""
    assert ename(server.rpc(m)) == "unknown fid"


def test_clunk_frees_the_fid(server: Server) -> None:
    """clunk(5): the fid may be used again."""
    walk(server, 1)
    assert server.rpc(Tclunk(1, 1)) == Rclunk(1)
    assert ename(server.rpc(Tclunk(1, 1))) == "unknown fid"
    assert type(walk(server, 1)) is Rwalk


def test_a_connection_has_a_bound_on_its_fids(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nsh.p9.server.MAXFIDS", 3)
    assert [type(walk(server, n)) for n in (1, 2)] == [Rwalk, Rwalk]
    assert ename(walk(server, 3)) == "too many fids on this connection"
    assert ename(server.rpc(Tattach(1, 3, NOFID, "glenda", ""))) == "too many fids on this connection"
    assert type(server.rpc(Twalk(1, 2, 2, ("dir",)))) is Rwalk


def test_replies_to_one_segment_come_in_order_and_in_one_list(server: Server) -> None:
    server.split = False
    tags = list(range(10, 40))
    replies = server.feed(*(Tstat(tag, 0) for tag in tags))
    assert [r.tag for r in replies] == tags
    assert server.late == []


# --- walk(5) ------------------------------------------------------------------------------------


def test_walk_of_nothing_clones(server: Server) -> None:
    """walk(5): newfid stands for the same file as fid."""
    assert walk(server, 1) == Rwalk(1, ())
    assert server.rpc(Tstat(1, 1)) == server.rpc(Tstat(1, 0))
    assert server.rpc(Twalk(1, 0, 0, ())) == Rwalk(1, ())


def test_walk_goes_up_to_sixteen_names_and_no_further(server: Server) -> None:
    """walk(5): MAXWELEM names in one message."""
    assert len(walk(server, 1, *["dir", ".."] * 8).wqid) == 16
    frame = encode(Twalk(1, 0, 2, ("dir",) * 16))
    body = frame[7:15] + struct.pack("<H", 17) + frame[17:] + b"\3\0dir"
    with pytest.raises(ProtocolError):
        server.feed_bytes(struct.pack("<IBH", 7 + len(body), TWALK, 1) + body)


def test_dot_dot_at_the_root_stays(server: Server) -> None:
    """walk(5): a walk of ``..`` in the root is a walk of nothing."""
    assert walk(server, 1, "..", "..").wqid == (server.tree.root.qid,) * 2


def test_a_first_name_that_is_missing_is_an_error_a_later_one_is_not(server: Server) -> None:
    """walk(5): the qids of the names that were there; newfid is made by a whole walk only."""
    assert ename(walk(server, 1, "nosuch")) == "file does not exist"
    assert len(walk(server, 1, "dir", "nosuch").wqid) == 1
    assert len(walk(server, 1, "file", "x").wqid) == 1
    assert ename(server.rpc(Tstat(1, 1))) == "unknown fid"


def test_a_walk_that_fails_leaves_a_fid_that_is_its_own_newfid_where_it_is(server: Server) -> None:
    """walk(5): if newfid is unaffected, so is fid."""
    walk(server, 1, "dir")
    assert len(server.rpc(Twalk(1, 1, 1, ("sub", "nosuch"))).wqid) == 1
    assert ename(server.rpc(Twalk(1, 1, 1, ("nosuch",)))) == "file does not exist"
    assert Dir.unpack(server.rpc(Tstat(1, 1)).stat).name == "dir"
    assert len(server.rpc(Twalk(1, 1, 1, ("sub",))).wqid) == 1
    assert Dir.unpack(server.rpc(Tstat(1, 1)).stat).name == "sub"


def test_walk_wants_a_new_fid(server: Server) -> None:
    """walk(5): newfid must not be in use, unless it is fid."""
    walk(server, 1)
    assert ename(walk(server, 1, "file")) == "fid in use"
    assert ename(walk(server, NOFID, "file")) == "unknown fid"


def test_an_open_fid_cannot_be_walked_nor_cloned(server: Server) -> None:
    """walk(5): fid must not have been opened."""
    opened(server, 1, OREAD)
    assert ename(server.rpc(Twalk(1, 1, 2, ("file",)))) == "walk of open fid"
    assert ename(server.rpc(Twalk(1, 1, 2, ()))) == "walk of open fid"
    assert ename(server.rpc(Twalk(1, 1, 1, ()))) == "walk of open fid"


def test_names_are_walked_from_directories_only(server: Server) -> None:
    """walk(5): fid must be a directory, unless there is no name."""
    walk(server, 1, "file")
    assert ename(server.rpc(Twalk(1, 1, 2, ("x",)))) == "not a directory"
    assert ename(server.rpc(Twalk(1, 1, 2, ("..",)))) == "not a directory"
    assert type(server.rpc(Twalk(1, 1, 2, ()))) is Rwalk


@pytest.mark.parametrize("name", ["", ".", "dir/sub", "/", "a\0b"])
def test_a_name_that_no_file_can_have_is_missing(server: Server, name: str) -> None:
    """walk(5): ``.`` is not used in the protocol, and names hold no slash."""
    assert ename(walk(server, 1, name)) == "file does not exist"
    assert len(walk(server, 1, "dir", name, "sub").wqid) == 1
    assert ename(server.rpc(Tstat(1, 1))) == "unknown fid"


def test_a_walk_whose_reply_does_not_fit_is_refused(fresh: Server) -> None:
    """version(5): both sides honour msize."""
    fresh.rpc(Tversion(NOTAG, 64, "9P2000"))
    fresh.rpc(Tattach(1, 0, NOFID, "glenda", ""))
    assert len(walk(fresh, 1, *[".."] * 4).wqid) == 4
    assert ename(walk(fresh, 2, *[".."] * 5)) == "message size too small"


# --- open(5) ------------------------------------------------------------------------------------


def test_open_tells_the_qid_and_how_much_moves_at_once(server: Server) -> None:
    """open(5): iounit."""
    qid = walk(server, 1, "file").wqid[0]
    assert server.rpc(Topen(1, 1, OREAD)) == Ropen(1, qid, 8192)


def test_an_open_fid_cannot_be_opened_again(server: Server) -> None:
    """open(5): an error if the fid is already open."""
    opened(server, 1, OREAD, "file")
    assert ename(server.rpc(Topen(1, 1, OREAD))) == "fid already opened"
    opened(server, 2, OREAD)
    assert ename(server.rpc(Tcreate(1, 2, "x", 0o600, OREAD))) == "fid already opened"


def test_an_open_that_fails_leaves_the_fid_as_it_was(server: Server) -> None:
    """open(5)."""
    assert ename(opened(server, 1, OREAD, "closed")) == "permission denied"
    assert ename(server.rpc(Tread(1, 1, 0, 1))) == "read/write -- not open in suitable mode"
    assert type(server.rpc(Twalk(1, 1, 2, ()))) is Rwalk


@pytest.mark.parametrize("mode", [4, 8, 0x20, 0x80, 0x84, 0xFF])
def test_a_mode_with_unknown_bits_is_refused(server: Server, mode: int) -> None:
    """open(5): all other bits in mode should be zero."""
    assert ename(opened(server, 1, mode, "file")) == "open/create -- unknown mode"
    assert ename(server.rpc(Tcreate(1, 0, "x", 0o600, mode))) == "open/create -- unknown mode"


@pytest.mark.parametrize("mode", [OWRITE, ORDWR, OEXEC, OTRUNC, ORCLOSE, OREAD | OTRUNC])
def test_a_directory_is_for_reading_only(server: Server, mode: int) -> None:
    """open(5): it is illegal to write a directory, truncate it, or remove it on close."""
    assert ename(opened(server, 1, mode, "dir")) == "permission denied"
    assert ename(server.rpc(Tcreate(1, 0, "new", DMDIR | 0o755, mode))) == "permission denied"
    assert "new" not in server.tree.root.children


def test_the_mode_says_what_may_be_done(server: Server) -> None:
    """open(5): OREAD, OWRITE, ORDWR, OEXEC."""
    for fid, (mode, may) in enumerate([(OREAD, "r"), (OWRITE, "w"), (ORDWR, "rw"), (OEXEC, "r")], 1):
        opened(server, fid, mode, "file")
        read, written = server.rpc(Tread(1, fid, 0, 5)), server.rpc(Twrite(1, fid, 0, b"h"))
        assert (type(read) is Rread, type(written) is Rwrite) == ("r" in may, "w" in may)
        for reply in (read, written):
            if type(reply) is Rerror:
                assert reply.ename == "read/write -- not open in suitable mode"


def test_create_makes_the_file_and_opens_the_fid(server: Server) -> None:
    """open(5): fid represents the newly opened file."""
    walk(server, 1, "dir")
    made = server.rpc(Tcreate(1, 1, "new", 0o600, ORDWR))
    assert type(made) is Rcreate
    assert server.rpc(Twrite(1, 1, 0, b"text")) == Rwrite(1, 4)
    assert server.rpc(Tread(1, 1, 1, 9)) == Rread(1, b"ext")
    assert made.qid == walk(server, 2, "dir", "new").wqid[1]


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\0b"])
def test_create_and_rename_refuse_names_that_no_file_can_have(server: Server, name: str) -> None:
    """open(5), stat(5): ``.`` and ``..`` are special; names hold no slash."""
    reply = ename(server.rpc(Tcreate(1, 0, name, 0o600, OREAD)))
    assert reply in ("file name syntax", "bad character in file name")
    walk(server, 1, "file")
    if name:
        assert ename(server.rpc(Twstat(1, 1, Dir.dont_touch(name=name).pack()))) == reply
    assert set(server.tree.root.children) == {"file", "dir", "closed"}


def test_create_wants_a_directory(server: Server) -> None:
    """open(5): fid represents the directory."""
    walk(server, 1, "file")
    assert ename(server.rpc(Tcreate(1, 1, "x", 0o600, OREAD))) == "not a directory"


def test_open_and_create_may_put_another_file_in_place(server: Server) -> None:
    server.tree.swap = True
    opened(server, 1, OREAD, "file")
    assert server.rpc(Tread(1, 1, 0, 5)) == Rread(1, b"hello")
    walk(server, 2)
    assert type(server.rpc(Tcreate(1, 2, "new", 0o600, ORDWR))) is Rcreate
    assert server.rpc(Twrite(1, 2, 0, b"x")) == Rwrite(1, 1)
    assert len(server.tree.alive) == 3


def test_a_hang_up_closes_what_is_open(server: Server) -> None:
    """open(5): ORCLOSE also counts when the connection ends."""
    walk(server, 1)
    server.rpc(Tcreate(1, 1, "gone", 0o600, ORDWR | ORCLOSE))
    assert "gone" in server.tree.root.children
    server.session.close()
    assert "gone" not in server.tree.root.children
    assert server.feed(Tstat(1, 0)) == []


# --- read(5) ------------------------------------------------------------------------------------


def test_read_and_write_keep_to_the_message_size(fresh: Server) -> None:
    """read(5), version(5): a count of more than msize allows is refused."""
    fresh.rpc(Tversion(NOTAG, 256, "9P2000"))
    fresh.rpc(Tattach(1, 0, NOFID, "glenda", ""))
    assert opened(fresh, 1, ORDWR, "file").iounit == 232
    assert fresh.rpc(Tread(1, 1, 0, 232)) == Rread(1, b"hello\n")
    assert ename(fresh.rpc(Tread(1, 1, 0, 233))) == "read/write -- count too big"
    assert fresh.rpc(Twrite(1, 1, 0, b"x" * 232)) == Rwrite(1, 232)
    assert ename(fresh.rpc(Twrite(1, 1, 0, b"x" * 233))) == "read/write -- count too big"


def test_read_at_and_past_the_end_is_empty(server: Server) -> None:
    """read(5): a count of zero."""
    opened(server, 1, OREAD, "file")
    for offset in (6, 7, (1 << 63) - 1):
        assert server.rpc(Tread(1, 1, offset, 10)) == Rread(1, b"")


def test_a_negative_offset_is_refused(server: Server) -> None:
    """read(5): offsets are signed in every kernel that sends them."""
    opened(server, 1, ORDWR, "file")
    assert ename(server.rpc(Tread(1, 1, 1 << 63, 1))) == "negative i/o offset"
    assert ename(server.rpc(Twrite(1, 1, 1 << 63, b"x"))) == "negative i/o offset"


def test_a_directory_is_read_in_whole_entries_from_where_the_last_read_ended(server: Server) -> None:
    """read(5): seeking in a directory is illegal but to its beginning."""
    opened(server, 1, OREAD)
    first = server.rpc(Tread(1, 1, 0, 140)).data
    assert [d.name for d in unpack_dirs(first)] == ["file", "dir"]
    rest = server.rpc(Tread(1, 1, len(first), 140)).data
    assert [d.name for d in unpack_dirs(rest)] == ["closed"]
    end = len(first) + len(rest)
    assert server.rpc(Tread(1, 1, end, 140)) == Rread(1, b"")
    for offset in (1, len(first), end - 1, end + 1):
        assert ename(server.rpc(Tread(1, 1, offset, 140))) == "can't seek on a directory"
    assert server.rpc(Tread(1, 1, end, 140)) == Rread(1, b"")
    assert server.rpc(Tread(1, 1, 0, 140)).data == first
    assert ename(server.rpc(Tread(1, 1, end, 140))) == "can't seek on a directory"


def test_a_directory_read_that_failed_does_not_move(server: Server) -> None:
    """read(5): the offset follows from the bytes returned."""
    opened(server, 1, OREAD)
    first = server.rpc(Tread(1, 1, 0, 70)).data
    assert ename(server.rpc(Tread(1, 1, len(first), 10))) == "read or write too small"
    assert [d.name for d in unpack_dirs(server.rpc(Tread(1, 1, len(first), 70)).data)] == ["dir"]


def test_replies_that_pile_up_stop_the_feeding(server: Server) -> None:
    """A peer that asks for much in few bytes gets it piece by piece, in order, and all of it."""
    server.split = False
    server.rpc(Tversion(NOTAG, 1 << 20, "9P2000"))
    server.rpc(Tattach(1, 0, NOFID, "glenda", ""))
    server.tree.root.children["file"].data = bytes(1 << 20)
    opened(server, 1, OREAD, "file")
    count = (1 << 20) - 24
    replies = server.feed(*(Tread(tag, 1, 0, count) for tag in range(20)))
    rounds = 0
    while server.session.stalled:
        assert len(replies) % 5 == 0
        replies += server.feed_bytes(b"")
        rounds += 1
    assert [r.tag for r in replies] == list(range(20))
    assert rounds == 4


# --- remove(5), stat(5) -------------------------------------------------------------------------


def test_remove_clunks_whether_it_succeeds_or_not(server: Server) -> None:
    """remove(5): the fid is clunked even if the remove fails."""
    walk(server, 1, "file")
    assert server.rpc(Tremove(1, 1)) == Rremove(1)
    walk(server, 2, "dir")
    assert ename(server.rpc(Tremove(1, 2))) == "directory not empty"
    for fid in (1, 2):
        assert ename(server.rpc(Tstat(1, fid))) == "unknown fid"
    assert len(server.tree.alive) == 1


def test_stat_works_on_open_fids_and_others(server: Server) -> None:
    """stat(5): no special permission is needed."""
    opened(server, 1, OWRITE, "file")
    assert Dir.unpack(server.rpc(Tstat(1, 1)).stat).length == 6


def test_a_stat_that_does_not_fit_is_an_error(fresh: Server) -> None:
    """version(5): both sides honour msize."""
    fresh.rpc(Tversion(NOTAG, 64, "9P2000"))
    fresh.rpc(Tattach(1, 0, NOFID, "glenda", ""))
    assert ename(fresh.rpc(Tstat(1, 0))) == "message size too small"


def test_wstat_changes_what_is_not_left_alone(server: Server) -> None:
    """stat(5): "don't touch" values."""
    walk(server, 1, "file")
    assert server.rpc(Twstat(1, 1, ENTRY)) == Rwstat(1)
    assert server.rpc(Twstat(1, 1, Dir.dont_touch(name="new", mode=0o400).pack())) == Rwstat(1)
    d = Dir.unpack(server.rpc(Tstat(1, 1)).stat)
    assert (d.name, d.mode, d.length) == ("new", 0o400, 6)


@pytest.mark.parametrize("wrong", [b"", ENTRY[:-1], ENTRY + b"\0", b"\0\0" + ENTRY[2:]])
def test_a_malformed_entry_is_an_error_and_no_more(server: Server, wrong: bytes) -> None:
    """stat(5): the entry's size counts its fields."""
    assert ename(server.rpc(Twstat(1, 0, wrong))) == "malformed stat buffer"
    assert type(server.rpc(Tstat(1, 0))) is Rstat


# --- errors and misbehaviour --------------------------------------------------------------------


def test_an_error_of_the_host_is_told_in_plan_9_words(server: Server) -> None:
    """error(5)."""
    server.tree.fail["stat"] = FileNotFoundError(2, "No such file or directory")
    assert ename(server.rpc(Tstat(1, 0))) == "file does not exist"
    server.tree.fail["stat"] = OSError(40, "")
    assert ename(server.rpc(Tstat(1, 0))) == "Too many levels of symbolic links"


@pytest.mark.logs("a file's code failed: KeyError")
def test_a_fault_of_the_server_is_an_error_reply_and_one_line(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.tree.fail["stat"] = KeyError("oops")
    with caplog.at_level(logging.WARNING):
        assert ename(server.rpc(Tstat(1, 0))) == "i/o error"
    assert [r.message for r in caplog.records] == ["a file's code failed: KeyError('oops')"]
    server.tree.fail.clear()
    assert type(server.rpc(Tstat(1, 0))) is Rstat


@pytest.mark.logs("a file's code failed: RuntimeError")
def test_counts_that_cannot_be_are_faults_too(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """read(5): never more than was asked for."""
    opened(server, 1, ORDWR, "file")
    monkeypatch.setattr(server.tree, "reading", lambda f, count, offset: bytes(count + 1))
    monkeypatch.setattr(server.tree, "writing", lambda f, data, offset: len(data) + 1)
    assert ename(server.rpc(Tread(1, 1, 0, 4))) == "i/o error"
    assert ename(server.rpc(Twrite(1, 1, 0, b"abc"))) == "i/o error"


def test_an_error_text_is_cut_to_fit(fresh: Server) -> None:
    """version(5): both sides honour msize; error(5): the text is UTF-8."""
    fresh.rpc(Tversion(NOTAG, 64, "9P2000"))
    fresh.rpc(Tattach(1, 0, NOFID, "glenda", ""))
    fresh.tree.fail["stat"] = OSError("é" * 100)
    assert ename(fresh.rpc(Tstat(1, 0))) == "é" * 27


@pytest.mark.parametrize("m", [Rversion(NOTAG, 8192, "9P2000"), Rerror(1, "x"), Rread(1, b"x")])
def test_a_reply_from_a_client_is_a_protocol_error(server: Server, m: Message) -> None:
    """intro(5): clients send T-messages."""
    with pytest.raises(ProtocolError, match=f"{type(m).__name__} from a client"):
        server.feed(m)


def test_what_was_asked_before_a_protocol_error_is_answered(server: Server) -> None:
    garbage = struct.pack("<IBH", 7, 106, 1)
    server.split = False
    assert [type(r) for r in server.feed_bytes(encode(Tstat(1, 0)) + garbage)] == [Rstat]
    assert server.session.stalled
    with pytest.raises(ProtocolError, match="unknown message type 106"):
        server.feed_bytes(b"")


REQUESTS = st.one_of([message(kind) for kind in server._steps])
SMALL = st.integers(0, 3)


def _tame(m: Any, fid: int, newfid: int) -> Any:
    """The same request about fids and names that may well exist."""
    changes: dict[str, Any] = {name: n for name, n in (("fid", fid), ("newfid", newfid)) if hasattr(m, name)}
    if hasattr(m, "wname"):
        changes["wname"] = ("dir", "sub", "..")[: len(m.wname)]
    if hasattr(m, "afid"):
        changes["afid"] = NOFID
    if hasattr(m, "mode"):
        changes["mode"] = m.mode & 0x53
    return m._replace(**changes)


@given(st.lists(st.tuples(REQUESTS, SMALL, SMALL), max_size=30), st.booleans(), st.booleans())
def test_any_requests_get_one_reply_each_and_lose_no_file(
    requests: list[tuple[Any, int, int]], split: bool, slow: bool
) -> None:
    """intro(5): every request has one reply, with its tag."""
    s = Server(split)
    s.rpc(Tversion(NOTAG, 8216, "9P2000"))
    s.rpc(Tattach(1, 0, NOFID, "glenda", ""))
    if slow:
        s.tree.slow |= {"walk", "open", "read", "remove", "stat"}
    wanted = []
    replies = []
    for tag, (m, fid, newfid) in enumerate(requests):
        wanted.append(tag)
        replies += s.feed(_tame(m, fid, newfid)._replace(tag=tag))
        if tag % 3 == 2:
            replies += s.release()
    replies += s.release()
    assert sorted(r.tag for r in replies) == wanted
    s.session.close()
    assert s.tree.alive == []


@given(st.lists(st.tuples(REQUESTS, st.integers(0, 60), st.binary(max_size=6)), max_size=8))
def test_garbage_raises_nothing_but_protocol_error(wild: list[tuple[Any, int, bytes]]) -> None:
    """Messages with bytes changed anywhere: an answer, or the end of the connection."""
    s = Server()
    s.rpc(Tversion(NOTAG, 8216, "9P2000"))
    s.rpc(Tattach(1, 0, NOFID, "glenda", ""))
    try:
        for m, at, noise in wild:
            frame = encode(_tame(m, 0, 1))
            s.feed_bytes(frame[:at] + noise + frame[at + len(noise) :])
    except ProtocolError:
        pass
    s.session.close()
    assert s.tree.alive == []


def test_notag_is_for_version_only(server: Server) -> None:
    """intro(5): the exception is the tag NOTAG, to override tag matching in version messages."""
    assert server.rpc(Tstat(NOTAG, 0)) == Rerror(NOTAG, Enotag.text)
    assert server.rpc(Tflush(NOTAG, 5)) == Rflush(NOTAG)


def test_a_user_name_with_a_nul_is_refused(server: Server) -> None:
    """intro(5): NUL is illegal in all text strings."""
    for uname, aname in (("a\0b", ""), ("glenda", "\0")):
        assert type(server.rpc(Tattach(1, 9, NOFID, uname, aname))) is Rerror
        assert type(server.rpc(Tstat(1, 9))) is Rerror
