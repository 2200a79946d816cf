"""server: requests that wait, and flush(5): exactly one answer each, in the right order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsh.errors import Eintr
from nsh.p9.const import DMDIR, NOFID, NOTAG, ORDWR, OREAD
from nsh.p9.msg import (
    Rattach,
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
    Tattach,
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
)

from .memfs import Server


@pytest.fixture(params=["eager", "lazy"])
def blocked(server: Server, request: pytest.FixtureRequest) -> Server:
    """Fid 1 is /file, open; reads of it wait. Lazy: nothing is stepped before the next turn."""
    server.driver.eager = request.param == "eager"
    server.rpc(Twalk(1, 0, 1, ("file",)))
    server.rpc(Topen(1, 1, ORDWR))
    server.tree.slow.add("read")
    return server


READ = Tread(5, 1, 0, 5)


def test_a_request_that_waits_holds_up_no_other(blocked: Server) -> None:
    """intro(5): replies may come in another order than requests."""
    assert blocked.feed(READ) == []
    assert type(blocked.rpc(Tstat(6, 1))) is Rstat
    assert blocked.turn() == []
    assert blocked.release() == [Rread(5, b"hello")]
    assert blocked.session.outstanding == 0


def test_what_ends_at_its_first_step_is_answered_at_once(server: Server) -> None:
    async def read(*args: Any) -> bytes:
        return b"now"

    server.tree.read = read  # type: ignore[method-assign,assignment]
    server.rpc(Twalk(1, 0, 1, ("file",)))
    server.rpc(Topen(1, 1, OREAD))
    assert server.feed(READ, Tstat(6, 0))[0] == Rread(5, b"now")


def test_a_flushed_request_is_not_answered(blocked: Server) -> None:
    """flush(5): no response to the request after the Rflush, none if it was cancelled."""
    assert blocked.feed(READ) == []
    blocked.turn()
    assert blocked.feed(Tflush(6, 5)) == []
    assert blocked.turn() == [Rflush(6)]
    assert blocked.session.outstanding == 0
    assert blocked.feed(READ) == [], "the tag is free again"
    blocked.turn()
    assert blocked.release() == [Rread(5, b"hello")]


def test_a_request_and_its_flush_in_one_segment(blocked: Server) -> None:
    """flush(5): also when not one step of the request was taken."""
    replies = blocked.feed(READ, Tflush(6, 5), Tstat(7, 0))
    assert [type(r) for r in replies] == [Rstat]
    assert blocked.turn() == [Rflush(6)]


def test_a_request_that_was_done_before_its_flush_is_answered_before_it(blocked: Server) -> None:
    """flush(5): the server may respond to the pending request before responding to the Tflush."""
    blocked.tree.slow.clear()
    assert blocked.feed(READ, Tflush(6, 5)) == [Rread(5, b"hello"), Rflush(6)]


def test_a_request_that_succeeds_in_spite_of_the_flush_is_answered_before_it(blocked: Server) -> None:
    """flush(5): the completed request may signify a state change in the server."""

    async def stubborn(work: Any) -> Any:
        try:
            return await later(work)
        except BaseException:
            return work()

    later = blocked.tree.later
    blocked.driver.eager = True
    blocked.tree.later = stubborn  # type: ignore[method-assign]
    blocked.tree.slow |= {"walk", "create"}
    blocked.feed(READ, Twalk(6, 0, 2, ("dir",)), Tcreate(7, 0, "new", 0o600, OREAD))
    assert blocked.feed(Tflush(15, 5), Tflush(16, 6), Tflush(17, 7)) == []
    replies = blocked.turn()
    assert [r.tag for r in replies] == [5, 15, 6, 16, 7, 17]
    assert [type(r) for r in replies[::2]] == [Rread, Rwalk, Rcreate]
    assert type(blocked.rpc(Tstat(8, 2))) is Rstat


def test_a_request_that_fails_because_of_the_flush_is_answered_before_it(blocked: Server) -> None:
    """flush(5): an error is a response, too."""

    async def interrupted(work: Any) -> Any:
        try:
            return await later(work)
        except BaseException:
            raise Eintr from None

    later = blocked.tree.later
    blocked.driver.eager = True
    blocked.tree.later = interrupted  # type: ignore[method-assign]
    blocked.feed(READ, Tflush(6, 5))
    assert blocked.turn() == [Rerror(5, "interrupted"), Rflush(6)]


def test_a_flush_that_comes_between_the_end_and_the_reply_changes_nothing(blocked: Server) -> None:
    """flush(5): the request is over, its reply goes first."""
    blocked.feed(READ)
    blocked.turn()
    (job,) = blocked.driver.jobs
    job.cancel = lambda: None  # type: ignore[method-assign]  # what cancelling a finished task does
    blocked.feed(Tflush(6, 5))
    assert blocked.release() == [Rread(5, b"hello"), Rflush(6)]


def test_unknown_and_finished_tags_are_flushed_at_once(blocked: Server) -> None:
    """flush(5): flushing an invalid tag, and after a transaction is completed."""
    assert blocked.feed(Tflush(6, 999), Tflush(7, 7)) == [Rflush(6), Rflush(7)]
    stat, rflush = blocked.feed(Tstat(8, 0), Tflush(9, 8))
    assert (type(stat), rflush) == (Rstat, Rflush(9))
    assert blocked.rpc(Tflush(NOTAG, NOTAG)) == Rflush(NOTAG)


def test_several_flushes_of_one_request_are_answered_in_order(blocked: Server) -> None:
    """flush(5): multiple flushes must be answered in order."""
    blocked.feed(READ)
    blocked.feed(Tflush(9, 5), Tflush(6, 5), Tflush(8, 5))
    assert blocked.turn() == [Rflush(9), Rflush(6), Rflush(8)]
    assert blocked.session.outstanding == 0


def test_a_flush_can_be_flushed(blocked: Server) -> None:
    """flush(5): flushing a Tflush is handled correctly."""
    blocked.feed(READ)
    assert blocked.feed(Tflush(6, 5), Tflush(7, 6), Tflush(8, 7)) == []
    assert blocked.turn() == [Rflush(6), Rflush(7), Rflush(8)]


def test_one_cancel_is_enough(blocked: Server) -> None:
    """A second flush must not disturb what cleans up after the first."""
    cancels = []
    blocked.feed(READ)
    (job,) = blocked.driver.jobs
    cancel = job.cancel

    def counted() -> None:
        cancels.append(1)
        cancel()

    job.cancel = counted  # type: ignore[method-assign]
    blocked.feed(Tflush(6, 5), Tflush(7, 5), Tflush(8, 6))
    assert cancels == [1]
    assert len(blocked.turn()) == 3


def test_a_flush_under_the_tag_of_what_it_flushes_is_an_rflush(blocked: Server) -> None:
    """flush(5): a Tflush is never answered by Rerror."""
    blocked.feed(READ)
    assert blocked.feed(Tflush(5, 5), Tflush(5, 5)) == []
    assert blocked.turn() == [Rflush(5)]
    assert blocked.session.outstanding == 0


def test_a_flush_is_answered_before_any_version(fresh: Server) -> None:
    """flush(5): never by Rerror."""
    assert fresh.rpc(Tflush(1, 2)) == Rflush(1)


def test_a_tag_in_use_is_refused(blocked: Server) -> None:
    """intro(5): the client must not use a tag that is outstanding."""
    blocked.feed(READ)
    assert blocked.feed(Tstat(5, 0)) == [Rerror(5, "duplicate tag")]
    blocked.turn()
    assert blocked.release() == [Rread(5, b"hello")]


def test_a_connection_has_a_bound_on_its_requests(blocked: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nsh.p9.server.MAXREQUESTS", 2)
    assert blocked.feed(READ, READ._replace(tag=6)) == []
    assert blocked.feed(READ._replace(tag=7)) == [Rerror(7, "too many requests on this connection")]
    assert blocked.feed(Tflush(8, 5)) == []
    blocked.turn()
    assert blocked.feed(READ._replace(tag=7)) == []


def test_the_bytes_of_the_requests_that_wait_have_a_bound(blocked: Server) -> None:
    """What a client may make the server keep does not grow with the number of its requests."""
    blocked.split = False
    blocked.rpc(Tversion(NOTAG, 1 << 20, "9P2000"))
    blocked.rpc(Tattach(1, 0, NOFID, "glenda", ""))
    blocked.rpc(Twalk(1, 0, 1, ("file",)))
    blocked.rpc(Topen(1, 1, ORDWR))
    blocked.tree.slow.add("write")
    large = [Twrite(tag, 1, 0, bytes(1 << 19)) for tag in range(10, 30)]
    refused = blocked.feed(*large)
    assert blocked.session.outstanding == 7
    assert refused == [Rerror(tag, "too much data waits on this connection") for tag in range(17, 30)]
    # what may end the waiting is small, and still taken
    assert blocked.feed(READ, Tflush(6, 10)) == []
    assert blocked.turn() == [Rflush(6)]
    assert blocked.feed(large[-1]) == []
    blocked.turn()
    assert [type(r) for r in blocked.release()] == [Rwrite] * 6 + [Rread, Rwrite]
    blocked.tree.slow.clear()
    assert blocked.feed(*large) == [Rwrite(m.tag, len(m.data)) for m in large]


def test_waiting_reads_that_ask_for_much_together_get_less(
    blocked: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """read(5): the count may be less. All of them might be answered at once, to one who takes nothing."""
    monkeypatch.setattr("nsh.p9.server.MAXOWED", 8)
    monkeypatch.setattr("nsh.p9.server.SHORT", 2)
    blocked.feed(READ, READ._replace(tag=6))
    blocked.turn()
    assert blocked.release() == [Rread(5, b"hello"), Rread(6, b"he")]
    blocked.feed(READ)
    blocked.turn()
    assert blocked.release() == [Rread(5, b"hello")]


def test_a_flush_under_the_tag_of_another_request_does_not_lose_that(blocked: Server) -> None:
    """flush(5) has no rule for this; found by the fuzzer, as a request that outlived its connection."""
    blocked.feed(READ, READ._replace(tag=6))
    blocked.feed(Tflush(6, 5))
    assert blocked.turn() == [Rflush(6)]
    assert blocked.session.outstanding == 1
    assert blocked.release() == [Rread(6, b"hello")]


def test_what_a_tversion_aborts_counts_until_it_has_ended(blocked: Server) -> None:
    """Else a client could fill the memory of a server that takes its time to cancel."""
    blocked.split = False
    open_again = (Tattach(1, 0, NOFID, "glenda", ""), Twalk(1, 0, 1, ("file",)), Topen(1, 1, ORDWR))
    large = [Twrite(tag, 1, 0, bytes(1 << 19)) for tag in range(10, 17)]
    blocked.tree.slow.add("write")
    for m in (Tversion(NOTAG, 1 << 20, "9P2000"), *open_again):
        blocked.feed(m)
    assert blocked.feed(*large) == []
    for m in (Tversion(NOTAG, 1 << 20, "9P2000"), *open_again):
        blocked.feed(m)
    assert [type(r) for r in blocked.feed(*large)] == [Rerror] * 7
    blocked.turn()
    assert blocked.feed(*large) == []
    blocked.turn()
    assert [type(r) for r in blocked.release()] == [Rwrite] * 7


def test_what_a_refused_request_would_have_done_was_not_begun(
    blocked: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A coroutine with another in it cannot be thrown away in silence: Python says it was not awaited."""

    def read(*_: object) -> Any:
        begun.append(1)
        return blocked.tree.later(lambda: b"")

    begun: list[int] = []
    monkeypatch.setattr("nsh.p9.server.MAXREQUESTS", 1)
    monkeypatch.setattr(blocked.tree, "read", read)
    blocked.feed(READ)
    assert blocked.feed(READ._replace(tag=6)) == [Rerror(6, "too many requests on this connection")]
    assert begun == [1]
    assert blocked.rpc(Tclunk(6, 1)) == Rclunk(6)
    blocked.release()


def test_what_the_server_cancels_itself_is_answered(blocked: Server) -> None:
    """intro(5): every request has a reply, unless it was flushed."""
    blocked.feed(READ)
    blocked.turn()
    blocked.driver.jobs[0].cancel()
    assert blocked.turn() == [Rerror(5, "interrupted")]


# --- the fids of requests that wait -------------------------------------------------------------


def test_a_fid_clunked_while_it_is_read_goes_when_the_read_ends(blocked: Server) -> None:
    """clunk(5): the fid is free at once; the file stays for who uses it."""
    blocked.feed(READ)
    assert blocked.rpc(Tclunk(6, 1)) == Rclunk(6)
    assert len(blocked.tree.alive) == 2
    assert type(blocked.rpc(Twalk(6, 0, 1, ()))) is Rwalk
    blocked.turn()
    assert blocked.release() == [Rread(5, b"hello")]
    assert [f.node.name for f in blocked.tree.alive] == ["/", "/"]


def test_the_newfid_of_a_walk_that_waits_is_taken_but_of_no_use(server: Server) -> None:
    """walk(5): newfid stands for a file once the walk has succeeded."""
    server.tree.slow |= {"walk", "attach"}
    server.feed(Twalk(1, 0, 5, ("dir",)), Tattach(2, 6, NOFID, "glenda", ""))
    for fid in (5, 6):
        assert server.rpc(Tstat(3, fid)) == Rerror(3, "unknown fid")
        assert server.rpc(Twalk(3, 0, fid, ())) == Rerror(3, "fid in use")
    assert {type(r) for r in server.release()} == {Rwalk, Rattach}
    for fid in (5, 6):
        assert type(server.rpc(Tstat(3, fid))) is Rstat


def test_the_newfid_of_a_flushed_walk_is_free(server: Server) -> None:
    """flush(5): the flushed transaction is treated as though it had never been sent."""
    server.tree.slow |= {"walk", "attach"}
    server.feed(Twalk(1, 0, 5, ("dir",)), Tattach(2, 6, NOFID, "glenda", ""))
    server.feed(Tflush(3, 1), Tflush(4, 2))
    assert server.turn() == [Rflush(3), Rflush(4)]
    server.tree.slow.clear()
    for fid in (5, 6):
        assert type(server.rpc(Twalk(1, 0, fid, ()))) is Rwalk


def test_a_fid_cannot_be_opened_twice_at_a_time(server: Server) -> None:
    """open(5): an open fid cannot be opened, and this one is about to be."""
    server.tree.slow.add("open")
    server.rpc(Twalk(1, 0, 1, ("file",)))
    server.feed(Topen(2, 1, OREAD))
    assert server.rpc(Topen(3, 1, OREAD)) == Rerror(3, "fid already opened")
    assert server.rpc(Twalk(3, 1, 2, ())) == Rerror(3, "walk of open fid")
    assert server.rpc(Tread(3, 1, 0, 1)) == Rerror(3, "read/write -- not open in suitable mode")
    assert [type(r) for r in server.release()] == [Ropen]
    assert server.rpc(Tread(3, 1, 0, 1)) == Rread(3, b"h")


def test_a_flushed_open_leaves_the_fid_as_it_was(server: Server) -> None:
    """flush(5): as though it had never been sent."""
    server.rpc(Twalk(1, 0, 1, ("file",)))
    server.tree.slow.add("open")
    server.feed(Topen(2, 1, OREAD), Tflush(3, 2))
    server.turn()
    server.tree.slow.clear()
    assert type(server.rpc(Twalk(1, 1, 2, ()))) is Rwalk
    assert type(server.rpc(Topen(1, 1, OREAD))) is Ropen


@pytest.mark.parametrize("swap", [False, True])
def test_an_open_whose_fid_was_clunked_meanwhile_keeps_nothing(server: Server, swap: bool) -> None:
    """clunk(5): the fid is gone."""
    server.tree.swap = swap
    server.rpc(Twalk(1, 0, 1, ("file",)))
    server.rpc(Twalk(1, 0, 2, ()))
    server.tree.slow |= {"open", "create"}
    server.feed(Topen(2, 1, OREAD), Tcreate(3, 2, "new", DMDIR | 0o700, OREAD))
    assert server.feed(Tclunk(4, 1), Tclunk(5, 2)) == [Rclunk(4), Rclunk(5)]
    assert server.release() == [Rerror(2, "unknown fid"), Rerror(3, "unknown fid")]
    assert len(server.tree.alive) == 1


def test_a_walk_in_place_whose_fid_was_clunked_meanwhile_keeps_nothing(server: Server) -> None:
    """walk(5), clunk(5)."""
    server.rpc(Twalk(1, 0, 1, ()))
    server.tree.slow.add("walk")
    server.feed(Twalk(2, 1, 1, ("dir",)))
    server.rpc(Tclunk(3, 1))
    assert server.release() == [Rerror(2, "unknown fid")]
    assert len(server.tree.alive) == 1


def test_a_fid_walked_in_place_while_it_is_used_goes_when_that_ends(server: Server) -> None:
    """walk(5)."""
    server.rpc(Twalk(1, 0, 1, ()))
    server.tree.slow.add("stat")
    server.feed(Tstat(2, 1))
    assert type(server.rpc(Twalk(3, 1, 1, ("dir",)))) is Rwalk
    assert len(server.tree.alive) == 3
    assert [type(r) for r in server.release()] == [Rstat]
    assert [f.node.name for f in server.tree.alive] == ["/", "dir"]


def test_the_fid_of_a_remove_that_waits_is_of_no_use(server: Server) -> None:
    """remove(5)."""
    server.rpc(Twalk(1, 0, 1, ("file",)))
    server.tree.slow.add("remove")
    server.feed(Tremove(2, 1))
    assert server.rpc(Tstat(3, 1)) == Rerror(3, "unknown fid")
    assert server.rpc(Twalk(3, 0, 1, ())) == Rerror(3, "fid in use")
    assert server.release() == [Rremove(2)]
    assert len(server.tree.alive) == 1
    assert type(server.rpc(Twalk(3, 0, 1, ()))) is Rwalk


def test_a_remove_that_waited_and_failed_has_clunked(server: Server) -> None:
    """remove(5): the fid is clunked even if the remove fails."""
    server.rpc(Twalk(1, 0, 1, ("dir",)))
    server.tree.slow.add("remove")
    server.feed(Tremove(2, 1))
    assert server.release() == [Rerror(2, "directory not empty")]
    assert server.rpc(Tstat(3, 1)) == Rerror(3, "unknown fid")
    assert len(server.tree.alive) == 1


def test_a_remove_that_the_server_gives_up_has_clunked(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """remove(5): whenever there is a reply, the fid is gone."""
    server.rpc(Twalk(1, 0, 1, ("file",)))
    server.rpc(Twalk(1, 0, 2, ("file",)))
    server.tree.slow.add("remove")
    server.feed(Tremove(2, 1))
    monkeypatch.setattr("nsh.p9.server.MAXREQUESTS", 1)
    assert server.rpc(Tremove(3, 2)) == Rerror(3, "too many requests on this connection")
    server.driver.jobs[0].cancel()
    assert server.turn() == [Rerror(2, "interrupted")]
    assert len(server.tree.alive) == 1
    for fid in (1, 2):
        assert server.rpc(Tstat(3, fid)) == Rerror(3, "unknown fid")


def test_a_walk_in_place_does_not_give_its_number_to_two_others(server: Server) -> None:
    """walk(5): a newfid that a waiting walk has taken is in use."""
    server.rpc(Twalk(1, 0, 1, ()))
    server.tree.slow.add("walk")
    server.feed(Twalk(2, 1, 1, ("dir",)), Tclunk(3, 1))
    server.tree.gates[0].open = True
    server.feed(Twalk(4, 0, 1, ("file",)))
    assert server.turn() == [Rerror(2, "unknown fid")]
    assert server.rpc(Twalk(5, 0, 1, ())) == Rerror(5, "fid in use")
    assert [type(r) for r in server.release()] == [Rwalk]


def test_a_flushed_remove_leaves_file_and_fid(server: Server) -> None:
    """flush(5): as though it had never been sent."""
    server.rpc(Twalk(1, 0, 1, ("file",)))
    server.tree.slow.add("remove")
    server.feed(Tremove(2, 1), Tflush(3, 2))
    assert server.turn() == [Rflush(3)]
    assert type(server.rpc(Tstat(4, 1))) is Rstat


# --- the end of a session -----------------------------------------------------------------------

EVERYTHING = {"attach", "walk", "open", "create", "read", "stat", "remove"}


def busy(server: Server) -> None:
    """A connection with a request of each kind that waits."""
    for fid, name in ((1, "file"), (2, "file"), (3, "dir"), (4, "closed")):
        server.rpc(Twalk(1, 0, fid, (name,)))
    server.rpc(Topen(1, 1, OREAD))
    server.tree.slow |= EVERYTHING
    server.feed(
        Tattach(1, 5, NOFID, "glenda", ""),
        Twalk(2, 0, 6, ("dir",)),
        Topen(3, 2, OREAD),
        Tcreate(4, 3, "new", 0o600, OREAD),
        Tread(5, 1, 0, 5),
        Tremove(6, 4),
        Tstat(7, 0),
    )
    server.feed(Tflush(8, 7))
    assert server.session.outstanding == 8


@pytest.mark.parametrize("outcome", ["cancelled", "done all the same"])
@pytest.mark.parametrize("swap", [False, True])
def test_a_version_aborts_all_that_waits(server: Server, outcome: str, swap: bool) -> None:
    """version(5): all outstanding I/O is aborted, and nothing of it is answered."""
    server.tree.swap = swap
    busy(server)
    assert server.rpc(Tversion(NOTAG, 8216, "9P2000")) == Rversion(NOTAG, 8216, "9P2000")
    assert server.session.outstanding == 0
    if outcome != "cancelled":
        for job in server.driver.jobs:
            job.cancelled = False
    server.tree.slow.clear()
    assert type(server.rpc(Tattach(1, 5, NOFID, "glenda", ""))) is Rattach
    assert server.release() == []
    assert [f.node.name for f in server.tree.alive] == ["/"]
    assert type(server.rpc(Tstat(3, 5))) is Rstat


@pytest.mark.parametrize("outcome", ["cancelled", "done all the same"])
def test_a_hang_up_ends_all_that_waits(server: Server, outcome: str) -> None:
    """intro(5): the fids of a connection end with it."""
    busy(server)
    server.session.close()
    if outcome != "cancelled":
        for job in server.driver.jobs:
            job.cancelled = False
    assert server.release() == []
    assert server.tree.alive == []


OPERATIONS = st.sampled_from(
    ["walk", "clone", "clunk", "open", "read", "remove", "stat", "flush", "turn", "go"]
)


@given(st.lists(st.tuples(OPERATIONS, st.integers(1, 3)), max_size=60), st.booleans(), st.booleans())
def test_every_request_is_answered_once_or_flushed_and_nothing_comes_after_the_rflush(
    plan: list[tuple[str, int]], eager: bool, split: bool
) -> None:
    """flush(5), intro(5): whatever the order of requests, flushes and what the files do."""
    server = Server(split, eager)
    server.rpc(Tversion(NOTAG, 8216, "9P2000"))
    server.rpc(Tattach(1, 0, NOFID, "glenda", ""))
    server.tree.slow |= EVERYTHING
    sent: list[Any] = []
    replies: list[Any] = []
    for tag, (operation, n) in enumerate(plan):
        match operation:
            case "turn":
                replies += server.turn()
            case "go":
                replies += server.release()
            case _:
                sent.append(request(operation, tag, n))
                replies += server.feed(sent[-1])
    while server.driver.jobs:
        replies += server.release()
    assert server.session.outstanding == 0
    places = {r.tag: i for i, r in enumerate(replies)}
    assert len(places) == len(replies), "a request was answered twice"
    flushes = [m for m in sent if type(m) is Tflush]
    for m in sent:
        if m.tag not in places:
            assert any(f.oldtag == m.tag for f in flushes), "a reply was lost"
    for f in flushes:
        assert type(replies[places[f.tag]]) is Rflush
        assert places.get(f.oldtag, -1) <= places[f.tag], "a reply came after the Rflush"
    server.session.close()
    assert server.tree.alive == []


def request(operation: str, tag: int, n: int) -> Any:
    """A request about fid ``n``, or one that flushes what was sent ``n`` before."""
    requests = {
        "walk": Twalk(tag, 0, n, ("file",)),
        "clone": Twalk(tag, n, n % 3 + 1, ()),
        "clunk": Tclunk(tag, n),
        "open": Topen(tag, n, OREAD),
        "read": Tread(tag, n, 0, 5),
        "remove": Tremove(tag, n),
        "stat": Tstat(tag, n),
        "flush": Tflush(tag, max(tag - n, 0)),
    }
    return requests[operation]
