"""The fuzzer, the soak and the crowd, each for a moment; and peers that are hostile in ways of their own."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterator

import pytest

import nsh
from nsh.net.conn import KEEPCOUNT, KEEPIDLE, KEEPINTERVAL
from nsh.p9 import msg
from nsh.p9.const import MAXMSIZE, NOFID, NOTAG, OREAD
from nsh.p9.msg import Message
from tests.fuzz import rc
from tests.fuzz.connections import connections
from tests.fuzz.ledger import Broken, Ledger
from tests.fuzz.p9 import World, fuzz
from tests.fuzz.process import PATIENCE, Served
from tests.fuzz.records import CORPUS, pack
from tests.fuzz.soak import soak

SIZE = 1 << 20
ATTACHED: list[Message] = [msg.Tversion(NOTAG, MAXMSIZE, "9P2000"), msg.Tattach(1, 0, NOFID, "glenda", "")]


# --- the programs of scripts/fuzz --------------------------------------------------------------


@pytest.mark.parametrize("cut", [False, True])
def test_the_conversations_to_begin_with_are_sound(cut: bool) -> None:
    with World() as world:
        for messages in CORPUS:
            world.execute(pack(messages, cut))
        assert world.requests >= sum(map(len, CORPUS))


def test_random_bytes_find_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert fuzz(1, seed=1, guided=False) == 0
    assert "executions" in capsys.readouterr().out


@pytest.mark.limit(60)
def test_random_clients_of_a_real_server_find_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert soak(0, examples=8) == 0
    assert re.search(r"descriptors \d+ as before", capsys.readouterr().out)


def test_a_crowd_is_served_fairly(capsys: pytest.CaptureFixture[str]) -> None:
    assert connections(idle=300, active=30, seconds=1) == 0
    assert "30 active ones" in capsys.readouterr().out


@pytest.mark.requires(rc.RC)
@pytest.mark.limit(120)
def test_random_scripts_do_what_they_do_in_plan_9s_rc(capsys: pytest.CaptureFixture[str]) -> None:
    assert rc.fuzz(0, number=1, examples=60) == 0
    assert re.search(r"rc: 1\d\d texts compared", capsys.readouterr().out)


@pytest.mark.requires(rc.RC)
def test_what_the_two_shells_do_otherwise_is_seen_or_known_not_to_count() -> None:
    with pytest.raises(rc.Different, match=r"rc: .*out='\\n'.*\nnsh: .*out='a\\n'"):
        rc.script('echo $"1\n')
    with pytest.raises(rc.Different, match=r"rc: .*syntax error\n\nnsh: it is fine"):
        rc.accepted("echo `:{a}")
    assert not rc.script("echo a^()\necho b\n")
    assert not rc.accepted("(a)(b)")
    assert rc.script("echo a\n") and rc.accepted("a") and rc.accepted(")")


# --- the judge ---------------------------------------------------------------------------------

READ, FLUSH = msg.Tread(5, 1, 0, 5), msg.Tflush(6, 5)


@pytest.mark.parametrize(
    "sent, came",
    [
        ([READ], [msg.Rwrite(5, 1)]),
        ([READ], [msg.Rread(5, b""), msg.Rread(5, b"")]),
        ([READ, FLUSH], [msg.Rflush(6), msg.Rread(5, b"")]),
        ([READ, FLUSH], [msg.Rerror(6, "interrupted")]),
        ([READ, READ], [msg.Rerror(5, "duplicate tag"), msg.Rread(5, b""), msg.Rread(5, b"")]),
        (
            [READ, msg.Tversion(NOTAG, 8192, "9P2000")],
            [msg.Rversion(NOTAG, 8192, "9P2000"), msg.Rread(5, b"")],
        ),
    ],
)
def test_what_no_server_may_do_is_seen(sent: list[Message], came: list[Message]) -> None:
    ledger = Ledger()
    for message in sent:
        ledger.sent(message)
    for reply in came[:-1]:
        ledger.came(reply)
    with pytest.raises(Broken):
        ledger.came(came[-1])


def test_a_reply_that_is_missing_is_seen() -> None:
    ledger = Ledger()
    ledger.sent(READ)
    with pytest.raises(Broken):
        ledger.settled()
    ledger.sent(FLUSH)
    ledger.came(msg.Rflush(6))
    ledger.settled()


# --- peers that do harm by what they do not do -------------------------------------------------


@contextlib.contextmanager
def client(server: Served, *messages: Message) -> Iterator[socket.socket]:
    with socket.create_connection(server.address, timeout=PATIENCE) as sock:
        sock.sendall(b"".join(map(msg.encode, messages)))
        yield sock


def test_who_takes_no_replies_holds_up_nobody_and_costs_little() -> None:
    """Ten clients ask for 8 GB each and take nothing; what lies ready for one is a few MB."""
    with Served() as server, nsh.sync.connect("tcp!{}!{}".format(*server.address)) as other:
        with other.create("big") as file:
            file.write(bytes(SIZE))
        descriptors, memory = server.descriptors(), server.memory()
        opened = [*ATTACHED, msg.Twalk(2, 0, 1, ("big",)), msg.Topen(3, 1, OREAD)]
        reads = [msg.Tread(tag, 1, 0, SIZE) for tag in range(10, 8010)]
        with contextlib.ExitStack() as stack:
            for _ in range(10):
                sock = stack.enter_context(client(server, *opened))
                sock.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    sock.send(b"".join(map(msg.encode, reads)))
            for _ in range(200):
                assert other.stat("big").length == SIZE
            assert server.memory() - memory < 10 * 8 * SIZE
        assert server.settled(descriptors)
        assert server.log() == []


def test_a_message_that_never_ends_costs_what_has_arrived_and_holds_up_nobody() -> None:
    """Also: clients that only connect, or hang up their sending side in the middle."""
    write = msg.encode(msg.Twrite(5, 1, 0, bytes(SIZE)))
    with Served() as server, nsh.sync.connect("tcp!{}!{}".format(*server.address)) as other:
        descriptors, memory = server.descriptors(), server.memory()
        with contextlib.ExitStack() as stack:
            stack.enter_context(client(server))
            half = stack.enter_context(client(server, *ATTACHED))
            half.sendall(write[:9])
            half.shutdown(socket.SHUT_WR)
            slow = stack.enter_context(client(server, *ATTACHED))
            for byte in write[:2000]:
                slow.sendall(bytes([byte]))
            assert other.stat("file").length == 6
            assert server.memory() - memory < SIZE
            while half.recv(100):
                pass  # it was given up, and the others were not
            slow.sendall(write[2000:])
            assert b"unknown fid" in _last(slow)
        assert server.settled(descriptors)
        assert server.log() == []


def _last(sock: socket.socket) -> bytes:
    """What has arrived, with the first Rerror as its end."""
    data = b""
    while bytes([msg.NUMBER[msg.Rerror]]) + b"\5\0" not in data:
        data += sock.recv(1000)
    return data


def test_names_that_a_client_makes_up_are_short() -> None:
    """A mntgen has every name; a client could hold 65,536 of them, of 65,535 bytes."""
    with Served() as server, nsh.sync.connect("tcp!{}!{}".format(*server.address)) as other:
        assert other.stat("gen/" + "x" * 255).isdir
        with pytest.raises(nsh.errors.P9Error, match="does not exist"):
            other.stat("gen/" + "x" * 256)


def test_both_sides_of_a_connection_watch_for_a_dead_peer() -> None:
    """That the kernel then does find it, in a minute, is shown by scripts/fuzz dead."""
    from nsh.net.conn import _watch

    watched = {
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE): 1,
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE): KEEPIDLE,
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL): KEEPINTERVAL,
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT): KEEPCOUNT,
    }
    assert KEEPIDLE + KEEPINTERVAL * KEEPCOUNT <= 60
    with socket.socket() as sock:
        _watch(sock)
        assert {option: sock.getsockopt(*option) for option in watched} == watched
