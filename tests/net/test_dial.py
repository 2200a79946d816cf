"""Addresses, connections as files, and the tables that stand for the network."""

from __future__ import annotations

import asyncio
import resource
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nsh.errors import P9Error
from nsh.kern.chan import Chan, settle
from nsh.kern.mnt import MREPL
from nsh.kern.proc import Proc
from nsh.net.address import address
from nsh.net.dial import DESCRIPTORS, announce, dial
from tests.kern.world import content, failure, listing, world


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("tcp!h!1234", "tcp!h!1234"),
        ("tcp!h", "tcp!h!styx"),
        ("h", "net!h!styx"),
        ("h:5555", "tcp!h!5555"),
        (":5555", "tcp!localhost!5555"),
        ("[::1]:5555", "tcp!::1!5555"),
        ("::1", "net!::1!styx"),
        ("unix!/tmp/a!b", "unix!/tmp/a!b"),
        ("tcp!*!0", "tcp!*!0"),
        ("foo!h!x", "foo!h!x"),
    ],
)
def test_an_address_is_completed(text: str, full: str) -> None:
    assert str(address(text)) == full


def test_the_defaults_are_the_callers() -> None:
    assert str(address("*", net="tcp", service="9fs")) == "tcp!*!9fs"


async def write(c: Chan, data: bytes) -> int:
    return await settle(c.dev.write(c, data, 0))


async def read(c: Chan, count: int = 8192) -> bytes:
    return await settle(c.dev.read(c, count, 0))


async def pair(p: Proc, where: str = "tcp!127.0.0.1!0") -> tuple[Chan, Chan]:
    """Both ends of a connection."""
    listener = await announce(p.system, where)
    here, there = await asyncio.gather(dial(p.system, str(listener.address)), listener.accept())
    listener.close()
    return here, there


async def test_both_ends_of_a_connection_are_files() -> None:
    p = await world()
    here, there = await pair(p)
    assert await write(here, b"question") == 8
    assert await read(there, 3) == b"que"
    assert await read(there) == b"stion"
    await write(there, b"answer")
    assert await read(here) == b"answer"
    here.close()
    assert await read(there) == b""
    there.close()


async def test_a_half_closed_connection_can_still_be_written() -> None:
    p = await world()
    listener = await announce(p.system, "tcp!127.0.0.1!0")
    client = socket.create_connection(("127.0.0.1", int(listener.address.service)))
    c = await listener.accept()
    listener.close()
    client.shutdown(socket.SHUT_WR)
    assert await read(c) == b""
    await write(c, b"still here")
    c.close()
    client.settimeout(10)
    assert await asyncio.to_thread(client.recv, 100) == b"still here"
    client.close()


async def test_a_connection_has_a_directory_until_it_is_closed() -> None:
    p = await world("net/")
    here, there = await pair(p)
    await p.bind("#I", "/mnt/net", MREPL)
    assert await listing(p, "/mnt/net") == ["tcp", "unix"]
    assert await listing(p, "/mnt/net/tcp") == ["clone", "0", "1"]
    assert await listing(p, "/mnt/net/tcp/0") == ["ctl", "data", "listen", "local", "remote", "status"]
    remote = (await content(p, "/mnt/net/tcp/0/remote")).strip()
    assert remote.startswith("127.0.0.1!")
    assert (await content(p, "/mnt/net/tcp/1/local")).strip() == remote
    assert await content(p, "/mnt/net/tcp/0/status") == "Established\n"
    assert {str(here.path), str(there.path)} == {"/net/tcp/0/data", "/net/tcp/1/data"}
    here.close()
    there.close()
    assert await listing(p, "/mnt/net/tcp") == ["clone"]


async def test_a_writer_waits_for_a_reader_that_is_slow() -> None:
    p = await world()
    here, there = await pair(p)
    block = bytes(1 << 20)

    async def send() -> None:
        for _ in range(32):
            await write(here, block)

    sender = asyncio.create_task(send())
    await asyncio.sleep(0.2)
    assert not sender.done()
    got = 0
    while got < 32 * len(block):
        got += len(await read(there, 1 << 20))
    await sender
    here.close()
    there.close()


@pytest.mark.parametrize(
    ("where", "error"),
    [
        ("tcp!127.0.0.1!1", "Connection refused"),
        ("foo!127.0.0.1!17", "'/net/foo' file does not exist"),
        ("tcp!127.0.0.1!nosuch", "non-numeric port number"),
        ("tcp!127.0.0.1!99999", "bad network address"),
        ("unix!/nonexistent/socket", "file does not exist"),
    ],
)
async def test_a_dial_that_fails_says_why(where: str, error: str) -> None:
    p = await world()
    assert await failure(dial(p.system, where)) == error


async def test_a_host_name_that_nobody_knows() -> None:
    p = await world()
    with pytest.raises(P9Error):
        await dial(p.system, "tcp!no-such-host.invalid!17")


async def test_a_port_is_announced_once() -> None:
    p = await world()
    listener = await announce(p.system, "tcp!127.0.0.1!0")
    assert not listener.public
    assert await failure(announce(p.system, str(listener.address))) == "Address already in use"
    listener.close()
    again = await announce(p.system, str(listener.address))
    again.close()


@pytest.fixture
def limit() -> Iterator[Callable[[int], None]]:
    """Sets the soft limit on descriptors, for the time of the test."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield lambda soft: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, before[1]))
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_who_announces_may_have_as_many_descriptors_as_the_host_allows(
    limit: Callable[[int], None],
) -> None:
    p = await world()
    limit(128)
    listener = await announce(p.system, "tcp!127.0.0.1!0")
    listener.close()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft == (DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS))


async def test_a_shortage_of_descriptors_is_told_once_and_survived(
    limit: Callable[[int], None], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tries = 0

    async def retry(seconds: float) -> None:
        nonlocal tries
        tries += 1
        await pause(0)

    pause = asyncio.sleep
    p = await world()
    listener = await announce(p.system, "tcp!127.0.0.1!0")
    with socket.create_connection(("127.0.0.1", int(listener.address.service))) as client:
        monkeypatch.setattr("nsh.net.dial.asyncio.sleep", retry)
        limit(client.fileno() + 1)
        accepting = asyncio.create_task(listener.accept())
        while tries < 5:
            await pause(0)
        limit(client.fileno() + 100)
        (await accepting).close()
    assert [r.getMessage().partition(": ")[2] for r in caplog.records] == [
        "cannot accept for now: Too many open files"
    ]
    listener.close()


async def test_star_takes_calls_on_every_address() -> None:
    p = await world()
    listener = await announce(p.system, "tcp!*!0")
    assert listener.public
    for host in ["127.0.0.1", "localhost"]:
        here = await dial(p.system, f"tcp!{host}!{listener.address.service}")
        there = await listener.accept()
        assert there.aux.conn.remote.startswith("127.0.0.1!") or "::1!" in there.aux.conn.remote
        here.close()
        there.close()
    listener.close()


async def test_a_unix_socket_is_its_owners_alone(tmp_path: Path) -> None:
    p = await world()
    path = tmp_path / "s"
    listener = await announce(p.system, f"unix!{path}")
    assert not listener.public
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    here = await dial(p.system, f"unix!{path}")
    there = await listener.accept()
    assert str(here.path) == "/net/unix/0/data"
    await write(there, b"hello")
    assert await read(here) == b"hello"
    here.close()
    there.close()
    assert await failure(announce(p.system, f"unix!{path}")) == "Address already in use"
    listener.close()
    assert not path.exists()


async def test_a_socket_that_a_dead_server_left_is_replaced(tmp_path: Path) -> None:
    p = await world()
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    listener = await announce(p.system, f"unix!{path}")
    (await dial(p.system, f"unix!{path}")).close()
    (await listener.accept()).close()
    listener.close()


async def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    p = await world()
    path = tmp_path / "f"
    path.write_text("precious")
    assert await failure(announce(p.system, f"unix!{path}")) == "Address already in use"
    assert path.read_text() == "precious"


async def test_with_an_ndb_only_its_addresses_exist(tmp_path: Path) -> None:
    p = await world()
    table = tmp_path / "ndb"
    table.touch()
    p.system.ndb = str(table)
    assert await failure(dial(p.system, "tcp!9.3.61.180!6666")) == "address not in ndb: tcp!9.3.61.180!6666"
    listener = await announce(p.system, "tcp!9.3.61.180!6666")
    name, real = table.read_text().split()
    assert name == "tcp!9.3.61.180!6666"
    assert real.startswith("tcp!127.0.0.1!")
    assert not listener.public
    here = await dial(p.system, "tcp!9.3.61.180!styx")
    there = await listener.accept()
    assert here.aux.conn.address == "tcp!9.3.61.180!6666"
    for c in here, there:
        c.close()
    listener.close()


async def test_star_in_an_ndb_is_the_machine_itself(tmp_path: Path) -> None:
    p = await world()
    p.system.ndb = str(tmp_path / "ndb")
    listener = await announce(p.system, "tcp!*!5555")
    for where in ["localhost:5555", "tcp!127.0.0.1!5555"]:
        here, there = await asyncio.gather(dial(p.system, where), listener.accept())
        here.close()
        there.close()
    assert "not in ndb" in await failure(dial(p.system, "tcp!9.3.61.180!5555"))
    listener.close()


async def test_all_connections_end_with_the_first_process() -> None:
    p = await world()
    here, there = await pair(p)
    p.exit()
    assert await read(here) == b""
    there.close()
    here.close()


async def test_who_takes_the_number_of_a_closed_listener_is_heard() -> None:
    p = await world()
    listener = await announce(p.system, "tcp!127.0.0.1!0")
    waiting = asyncio.create_task(listener.take())
    await asyncio.sleep(0.01)
    waiting.cancel()
    listener.close()
    ours, theirs = socket.socketpair()  # the first has the lowest number that is free: the listener's
    ready = asyncio.Event()
    asyncio.get_running_loop().add_reader(ours, ready.set)
    await asyncio.wait([waiting])
    theirs.send(b"x")
    await ready.wait()
    asyncio.get_running_loop().remove_reader(ours)
    ours.close()
    theirs.close()
