"""client: operations, tags and fids, joined in memory to the session that the server tests examine."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsh.errors import (
    Ebadstat,
    Eexist,
    Ehungup,
    Elimit,
    Emountrpc,
    Enametoolong,
    Enonexist,
    Enotempty,
    Eperm,
    Etoobig,
    P9Error,
    ProtocolError,
)
from nsh.p9 import msg
from nsh.p9.client import Client, Op, drive
from nsh.p9.const import DMDIR, NOTAG, ORDWR, OREAD
from nsh.p9.msg import Message, Rmsg, Tmsg, encode
from nsh.p9.stat import Dir, Qid

from .memfs import Server
from .strategies import messages

T = TypeVar("T")


class Joined:
    """A client and a server, and the wire between them in plain sight."""

    def __init__(self, msize: int = 8216, split: bool = False) -> None:
        self.server = Server(split)
        self.client = Client(msize)
        self.replies: dict[int, Rmsg] = {}
        self.fix: Callable[[Rmsg], Rmsg] = lambda reply: reply  # what the wire does to replies

    def carry(self) -> None:
        """Take what each side has to say to the other."""
        while out := self.client.take():
            for reply in self.server.feed_bytes(b"".join(out)):
                self.deliver(reply)

    def deliver(self, reply: Any) -> None:
        for tag, r in self.client.feed(encode(self.fix(reply))):
            assert tag not in self.replies
            self.replies[tag] = r

    def rpc(self, message: Tmsg) -> Rmsg:
        tag = self.client.send(message)
        self.carry()
        return self.replies.pop(tag)

    def do(self, op: Op[T]) -> T:
        return drive(op, self.rpc)


@pytest.fixture(params=["whole", "bytes"])
def pair(request: pytest.FixtureRequest) -> Joined:
    """Joined and attached; the root is fid 0."""
    pair = Joined(split=request.param == "bytes")
    pair.do(pair.client.version())
    assert pair.do(pair.client.attach("glenda"))[0] == 0
    return pair


def names(pair: Joined) -> list[str]:
    """What the server has fids for."""
    return [f.node.name for f in pair.server.tree.alive]


# --- the operations -----------------------------------------------------------------------------


def test_version_takes_the_smaller_size() -> None:
    """version(5)."""
    pair = Joined(1 << 30)
    pair.do(pair.client.version())
    assert pair.client.msize == (1 << 20) + 24
    assert pair.client.iounit == 1 << 20


def test_a_server_that_has_no_room_for_a_stat_is_asked_for_less() -> None:
    """version(5): Inferno's export agrees to 65560 bytes, and then no stat fits in its buffer."""
    pair = Joined(1 << 20)
    asked: list[int] = []

    def limited(reply: Rmsg) -> Rmsg:
        if isinstance(reply, msg.Rversion):
            asked.append(reply.msize)
            return reply._replace(msize=min(reply.msize, 65560))
        return reply

    pair.fix = limited
    pair.do(pair.client.version())
    assert asked == [1 << 20, 65536]
    assert pair.client.msize == 65536


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (msg.Rversion(NOTAG, 8192, "unknown"), "bad 9P version returned from server"),
        (msg.Rversion(NOTAG, 8217, "9P2000"), "server tries to increase msize in fversion"),
        (msg.Rversion(NOTAG, 10, "9P2000"), "nonsense value of msize in fversion"),
        (msg.Rerror(NOTAG, "go away"), "go away"),
        (msg.Rflush(NOTAG), "mount rpc error"),
    ],
)
def test_a_version_we_cannot_live_with_is_an_error(reply: Rmsg, why: str) -> None:
    """version(5), in Inferno's words."""
    pair = Joined()
    pair.fix = lambda _: reply
    with pytest.raises(P9Error) as caught:
        pair.do(pair.client.version())
    assert str(caught.value) == why


def test_a_file_is_made_written_read_described_and_removed(pair: Joined) -> None:
    """open(5), read(5), stat(5), remove(5)."""
    c = pair.client
    fid, qids = pair.do(c.walk(0, ["dir"]))
    assert fid is not None
    assert qids == [pair.server.tree.root.children["dir"].qid]
    qid, iounit = pair.do(c.create(fid, "new", 0o600, ORDWR))
    assert iounit == 8192
    data = bytes(range(256)) * 100
    assert pair.do(c.write(fid, data, 3)) == len(data)
    assert pair.do(c.readall(fid)) == b"\0\0\0" + data
    assert pair.do(c.read(fid, 1 << 20, 5)) == data[2 : 2 + 8192]
    assert pair.do(c.stat(fid))[2:] == (qid, 0o600, 0, 0, len(data) + 3, "new", "glenda", "sys", "glenda")
    pair.do(c.wstat(fid, Dir.dont_touch(name="newer")))
    assert pair.do(c.stat(fid)).name == "newer"
    pair.do(c.remove(fid))
    assert names(pair) == ["/"]


def test_an_empty_write_is_sent(pair: Joined) -> None:
    """read(5): some control files act on one."""
    fid, _ = pair.do(pair.client.walk(0, ["file"]))
    assert fid is not None
    pair.do(pair.client.open(fid, ORDWR))
    op = pair.client.write(fid, b"", 7)
    assert next(op) == msg.Twrite(0, fid, 7, b"")
    assert pair.do(pair.client.write(fid, b"", 7)) == 0


def test_a_server_that_takes_less_ends_the_write(pair: Joined) -> None:
    """read(5): the count tells what was written."""
    pair.server.tree.writing = lambda f, data, offset: min(3, len(data))  # type: ignore[method-assign]
    fid, _ = pair.do(pair.client.walk(0, ["file"]))
    assert fid is not None
    pair.do(pair.client.open(fid, ORDWR))
    assert pair.do(pair.client.write(fid, b"x" * 10_000, 0)) == 3


def test_a_directory_is_read_to_its_end(pair: Joined) -> None:
    """read(5)."""
    root = pair.server.tree.root
    for i in range(500):
        pair.server.tree.make(root, f"file{i}", 0o644)
    fid, _ = pair.do(pair.client.walk(0, []))
    assert fid is not None
    pair.do(pair.client.open(fid, OREAD))
    assert pair.do(pair.client.readdir(fid)) == [node.dir() for node in root.children.values()]
    pair.do(pair.client.clunk(fid))
    assert names(pair) == ["/"]


@pytest.mark.parametrize("depth", [1, 15, 16, 17, 32, 33, 41])
def test_a_path_may_be_of_any_length(pair: Joined, depth: int) -> None:
    """walk(5): no limit on the number of elements, only on those of one message."""
    fid, qids = pair.do(pair.client.walk(0, ["dir", *["deep"] * (depth - 1)]))
    assert fid is not None
    assert len(qids) == depth
    assert pair.do(pair.client.stat(fid)).qid == qids[-1]
    assert len(names(pair)) == 2


@pytest.mark.parametrize("good", [1, 2, 16, 17, 20, 32])
def test_a_path_that_ends_early_tells_how_far_it_goes_and_keeps_no_fid(pair: Joined, good: int) -> None:
    """walk(5): a partial walk makes no newfid."""
    path = ["dir", *["deep"] * (good - 1), "nosuch", "more"]
    fid, qids = pair.do(pair.client.walk(0, path))
    assert (fid, len(qids)) == (None, good)
    pair.carry()
    assert names(pair) == ["/"]
    assert pair.do(pair.client.walk(0, []))[0] == 1, "the number is used again"


def test_the_first_name_missing_is_the_servers_error(pair: Joined) -> None:
    """walk(5)."""
    with pytest.raises(Enonexist, match="file does not exist"):
        pair.do(pair.client.walk(0, ["nosuch"]))
    assert pair.do(pair.client.walk(0, []))[0] == 1


def test_names_that_fill_a_message_are_sent_in_several() -> None:
    """version(5): a message is never longer than msize."""
    pair = Joined(300)
    pair.do(pair.client.version())
    pair.do(pair.client.attach("glenda"))
    long = "d" * 100
    at = pair.server.tree.root
    for _ in range(5):
        at = pair.server.tree.make(at, long, DMDIR | 0o755)
    assert len(pair.do(pair.client.walk(0, [long] * 5))[1]) == 5
    with pytest.raises(Enametoolong):
        pair.do(pair.client.walk(0, ["d" * 282]))
    with pytest.raises(Etoobig):
        pair.do(pair.client.create(0, "d" * 283, 0o600, OREAD))
    assert pair.do(pair.client.walk(0, []))[0] == 2


def test_a_string_that_no_message_can_hold_is_too_large_and_keeps_its_tag_free() -> None:
    """intro(5): a string has at most 65535 bytes."""
    pair = Joined(1 << 20)
    with pytest.raises(Enametoolong):
        pair.do(pair.client.walk(0, ["d" * 65536]))
    for op in (pair.client.create(0, "d" * 65536, 0o600, OREAD), pair.client.attach("u" * 65536)):
        with pytest.raises(Etoobig):
            pair.do(op)
    assert pair.client.take() == []
    assert pair.client.send(msg.Tclunk(0, 0)) == 1


def test_errors_are_of_the_class_with_their_text(pair: Joined) -> None:
    """error(5)."""
    c = pair.client
    fid, _ = pair.do(c.walk(0, ["closed"]))
    assert fid is not None
    with pytest.raises(Eperm):
        pair.do(c.open(fid, OREAD))
    with pytest.raises(Eexist):
        pair.do(c.create(0, "file", 0o600, OREAD))
    fid, _ = pair.do(c.walk(0, ["dir"]))
    assert fid is not None
    with pytest.raises(Enotempty):
        pair.do(c.remove(fid))
    with pytest.raises(P9Error, match="unknown fid"):
        pair.do(c.clunk(77))


SOME = Qid(0, 0, 0)


@pytest.mark.parametrize(
    ("op", "reply"),
    [
        (lambda c: c.attach("glenda"), msg.Ropen(1, SOME, 0)),
        (lambda c: c.walk(0, ["a"]), msg.Rwalk(1, (SOME, SOME))),
        (lambda c: c.walk(0, ["a"]), msg.Rflush(1)),
        (lambda c: c.open(0, OREAD), msg.Rcreate(1, SOME, 0)),
        (lambda c: c.read(0, 2, 0), msg.Rread(1, b"abc")),
        (lambda c: c.write(0, b"ab", 0), msg.Rwrite(1, 3)),
        (lambda c: c.stat(0), msg.Rclunk(1)),
    ],
)
def test_a_reply_that_makes_no_sense_is_a_mount_rpc_error(
    pair: Joined, op: Callable[[Client], Op[Any]], reply: Rmsg
) -> None:
    """intro(5): a reply has the type of its request, and holds no more than was asked for."""
    pair.fix = lambda real: reply._replace(tag=real.tag)
    with pytest.raises(Emountrpc):
        pair.do(op(pair.client))


def test_a_broken_entry_from_the_server_is_an_error(pair: Joined) -> None:
    """stat(5)."""
    pair.fix = lambda real: msg.Rstat(real.tag, b"\1\0x")
    with pytest.raises(Ebadstat):
        pair.do(pair.client.stat(0))


def test_iounit_is_never_more_than_a_message_holds(pair: Joined) -> None:
    """open(5): iounit may be 0."""
    for told, means in ((0, 8192), (100, 100), (1 << 30, 8192)):
        pair.fix = lambda real, told=told: msg.Ropen(real.tag, SOME, told)  # type: ignore[misc]
        assert pair.do(pair.client.open(0, OREAD)) == (SOME, means)


# --- many requests at a time --------------------------------------------------------------------


def test_replies_find_their_requests_in_any_order(pair: Joined) -> None:
    """intro(5): the tag tells."""
    pair.server.tree.slow.add("stat")
    tags = [pair.client.send(msg.Tstat(0, 0)) for _ in range(5)]
    assert len(set(tags)) == 5
    pair.carry()
    quick = pair.client.send(msg.Twalk(0, 0, 9, ()))
    pair.carry()
    assert list(pair.replies) == [quick]
    for reply in reversed(pair.server.release()):
        pair.deliver(reply)
    assert list(pair.replies) == [quick, *reversed(tags)]


def test_a_request_in_the_background_tells_nobody(pair: Joined) -> None:
    """clunk(5): there is nothing to learn from the reply."""
    fid, _ = pair.do(pair.client.walk(0, []))
    assert fid is not None
    pair.client.release(fid)
    assert pair.do(pair.client.walk(0, []))[0] != fid, "not before the server knows"
    assert pair.replies == {}
    assert pair.do(pair.client.walk(0, []))[0] == fid
    assert names(pair) == ["/"] * 3


def test_a_fid_of_which_more_was_asked_than_to_be_made_waits_for_the_answers() -> None:
    """walk(5): a newfid that was refused is free; but the server may still think of what else was asked."""
    client = Client()

    def copy() -> msg.Twalk:
        message = next(client.walk(100, []))
        assert isinstance(message, msg.Twalk)
        return message

    first = copy()
    walk, more = client.send(first), client.send(msg.Topen(0, first.newfid, OREAD))
    client.feed(encode(msg.Rerror(walk, "no more fids")))
    assert copy().newfid != first.newfid
    client.feed(encode(msg.Rerror(more, "unknown fid")))
    assert copy().newfid == first.newfid


def test_there_are_65535_tags_and_no_more() -> None:
    """intro(5): NOTAG is for version messages."""
    client = Client()
    tags = {client.send(msg.Tstat(0, 0)) for _ in range(65534)}
    assert len(tags) == 65534
    assert NOTAG not in tags
    with pytest.raises(Elimit):
        client.send(msg.Tstat(0, 0))


# --- flush(5) -----------------------------------------------------------------------------------


def test_a_flushed_tag_rests_until_the_rflush(pair: Joined) -> None:
    """flush(5): the client must wait for the Rflush before it reuses oldtag."""
    pair.server.tree.slow.add("stat")
    tag = pair.client.send(msg.Tstat(0, 0))
    pair.carry()
    pair.client.flush(tag)
    pair.client.flush(tag)
    pair.carry()
    others = {pair.client.send(msg.Tclunk(0, 99)) for _ in range(3)}
    pair.carry()
    assert tag not in others
    assert set(pair.replies) == others
    (rflush,) = pair.server.turn()
    pair.deliver(rflush)
    assert tag in {pair.client.send(msg.Tclunk(0, 99)) for _ in range(5)}


def test_a_reply_before_the_rflush_does_not_free_the_tag(pair: Joined) -> None:
    """flush(5): if a response is received before the Rflush, the client must honour it."""
    tag = pair.client.send(msg.Tstat(0, 0))
    pair.client.flush(tag)
    stat, rflush = pair.server.feed_bytes(b"".join(pair.client.take()))
    pair.deliver(stat)
    assert pair.client.send(msg.Tclunk(0, 99)) != tag
    pair.deliver(stat)
    pair.deliver(rflush)
    assert pair.client.send(msg.Tclunk(0, 99)) in (tag, rflush.tag)
    assert pair.replies == {}


def test_a_walk_that_succeeds_in_spite_of_its_flush_is_clunked(pair: Joined) -> None:
    """flush(5): Twalk may have allocated a fid."""
    op = pair.client.walk(0, ["dir"])
    tag = pair.client.send(next(op))
    pair.client.flush(tag)
    op.close()
    pair.carry()
    assert names(pair) == ["/"]
    assert pair.do(pair.client.walk(0, []))[0] == 1


def test_a_flushed_walk_that_never_happened_frees_its_fid(pair: Joined) -> None:
    """flush(5): as though it had never been sent."""
    pair.server.tree.slow.add("walk")
    tag = pair.client.send(next(pair.client.walk(0, ["dir"])))
    pair.client.flush(tag)
    pair.carry()
    pair.server.tree.slow.clear()
    assert pair.do(pair.client.walk(0, []))[0] == 2, "the server may have it yet"
    for reply in pair.server.turn():
        pair.deliver(reply)
    assert pair.do(pair.client.walk(0, []))[0] == 1


def test_a_flushed_remove_that_never_happened_clunks(pair: Joined) -> None:
    """flush(5), remove(5): whoever gave up the remove expects the fid to be gone."""
    fid, _ = pair.do(pair.client.walk(0, ["file"]))
    assert fid is not None
    pair.server.tree.slow.add("remove")
    pair.client.flush(pair.client.send(msg.Tremove(0, fid)))
    pair.carry()
    for reply in pair.server.turn():
        pair.deliver(reply)
    pair.carry()
    assert names(pair) == ["/"]
    assert "file" in pair.server.tree.root.children


def test_a_clunk_given_up_goes_on_in_the_background(pair: Joined) -> None:
    """clunk(5): it waits for nothing, so there is nothing to flush."""
    fid, _ = pair.do(pair.client.walk(0, ["file"]))
    assert fid is not None
    pair.client.flush(pair.client.send(msg.Tclunk(0, fid)))
    pair.carry()
    assert names(pair) == ["/"]
    assert pair.replies == {}


def test_a_long_walk_given_up_in_the_middle_keeps_no_fid(pair: Joined) -> None:
    """walk(5): of several messages, the first has made the fid."""
    op = pair.client.walk(0, ["dir", *["deep"] * 30])
    second = op.send(pair.rpc(next(op)))
    pair.server.tree.slow.add("walk")
    tag = pair.client.send(second)
    pair.carry()
    pair.client.flush(tag)
    op.close()
    pair.carry()
    for reply in pair.server.turn():
        pair.deliver(reply)
    pair.carry()
    assert names(pair) == ["/"]


# --- the end, and servers that misbehave --------------------------------------------------------


def test_a_lost_connection_is_told_once_to_all_who_wait(pair: Joined) -> None:
    tags = [pair.client.send(msg.Tstat(0, 0)) for _ in range(3)]
    pair.client.release(5)
    assert pair.client.close() == tags
    assert pair.client.close() == []
    with pytest.raises(Ehungup):
        pair.client.send(msg.Tstat(0, 0))
    pair.client.release(0)
    pair.client.flush(tags[0])
    assert pair.client.take() == []


def test_what_fetching_a_reply_raises_is_raised_in_the_operation() -> None:
    def lost(message: Tmsg) -> Rmsg:
        raise Emountrpc

    with pytest.raises(Emountrpc):
        drive(Client().stat(0), lost)


def test_a_reply_to_nothing_is_ignored(pair: Joined) -> None:
    assert pair.client.feed(encode(msg.Rstat(77, b""))) == []


@pytest.mark.parametrize("m", [msg.Tclunk(1, 0), msg.Tversion(NOTAG, 8192, "9P2000")])
def test_a_request_from_a_server_is_a_protocol_error(pair: Joined, m: Message) -> None:
    """intro(5): servers send R-messages."""
    with pytest.raises(ProtocolError, match="from a server"):
        pair.client.feed(encode(m))


def test_a_reply_longer_than_agreed_is_a_protocol_error(pair: Joined) -> None:
    """version(5): both sides honour msize."""
    with pytest.raises(ProtocolError):
        pair.client.feed(struct.pack("<I", 8217))


@given(st.lists(st.tuples(messages, st.integers(0, 60), st.binary(max_size=6)), max_size=8))
def test_garbage_raises_nothing_but_protocol_error(wild: list[tuple[Message, int, bytes]]) -> None:
    client = Client(8216)
    for request in (msg.Twalk(0, 0, 1, ("x",)), msg.Tstat(0, 0), msg.Tclunk(0, 0), msg.Tremove(0, 5)):
        client.send(request)
    client.flush(2)
    try:
        for m, at, noise in wild:
            frame = encode(m._replace(tag=m.tag % 8))
            client.feed(frame[:at] + noise + frame[at + len(noise) :])
    except ProtocolError:
        pass
