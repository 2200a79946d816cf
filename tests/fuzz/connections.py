"""Many clients at once: idle ones, what each of them costs, and active ones, whether all get their share.

The clients are raw sockets of this process, so nothing of ours but the server is measured; what a client
sends is always the same three requests, prepared beforehand.
"""

from __future__ import annotations

import asyncio
import socket
import statistics
import time

from nsh.p9 import msg
from nsh.p9.const import NOFID, NOTAG, ORDWR
from tests.fuzz.process import MSIZE, Served, descriptors_for

RESERVE = 64
"""Descriptors for everything but connections."""
AT_ONCE = 200
"""Connections that are being made at a time."""
SHARE = 0.25
"""What the slowest active client must get, of what the median one gets."""

_hello = msg.encode(msg.Tversion(NOTAG, MSIZE, "9P2000")) + msg.encode(msg.Tattach(1, 0, NOFID, "glenda", ""))
_opened = msg.encode(msg.Twalk(1, 0, 1, ("file",))) + msg.encode(msg.Topen(1, 1, ORDWR))
_works = [
    (msg.encode(msg.Tstat(1, 1)), msg.Rstat),
    (msg.encode(msg.Tread(1, 1, 0, 6)), msg.Rread),
    (msg.encode(msg.Twrite(1, 1, 0, b"hello\n")), msg.Rwrite),
]


class Client:
    """One connection, without a stream's buffers: there are many."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._socket = socket.socket()
        self._socket.setblocking(False)
        self.served = 0
        self.longest = 0.0

    async def connect(self) -> None:
        await asyncio.get_running_loop().sock_connect(self._socket, self._address)
        await self._rpc(_hello, 2)

    async def _rpc(self, requests: bytes, replies: int = 1) -> list[msg.Message]:
        """Send, and wait for so many replies."""
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self._socket, requests)
        data = b""
        found: list[msg.Message] = []
        while len(found) < replies:
            more = await loop.sock_recv(self._socket, 4096)
            if not more:
                raise ConnectionError("the server hung up")
            data += more
            while len(data) >= 4 and len(data) >= (size := int.from_bytes(data[:4], "little")):
                found.append(msg.decode(data[:size]))
                data = data[size:]
        return found

    async def work(self, end: float) -> None:
        """Stat, read and write until the time is over."""
        await self._rpc(_opened, 2)
        before = time.monotonic()
        while before < end:
            for request, wanted in _works:
                (reply,) = await self._rpc(request)
                assert type(reply) is wanted, reply
                now = time.monotonic()
                self.longest = max(self.longest, now - before)
                before = now
                self.served += 1

    def close(self) -> None:
        self._socket.close()


def connections(idle: int, active: int, seconds: float) -> int:
    """Have so many connections and print what they cost and get; 1 if one is not served fairly."""
    possible = descriptors_for(idle + active + RESERVE) - RESERVE
    if possible < idle + active:
        idle = max(possible - active, 0)
        allowed = possible + RESERVE
        print(f"connections: {allowed:,} descriptors are allowed (ulimit -Hn), so {idle:,} idle clients")
    with Served() as server:
        return asyncio.run(_measure(server, idle, active, seconds))


async def _measure(server: Served, idle: int, active: int, seconds: float) -> int:
    descriptors, before = server.descriptors(), server.memory()
    start = time.monotonic()
    sleepers = await _connected(server, idle)
    cost = (server.memory() - before) / max(idle, 1)
    took = time.monotonic() - start
    print(f"connections: {idle:,} idle ones in {took:.1f} s, {cost / 1024:.1f} KiB of memory each")
    workers = await _connected(server, active)
    end = time.monotonic() + seconds
    await asyncio.gather(*(worker.work(end) for worker in workers))
    served = sorted(worker.served for worker in workers)
    median = statistics.median(served)
    longest = max(worker.longest for worker in workers)
    print(
        f"connections: {active:,} active ones beside them: {sum(served) / seconds:,.0f} requests a second; "
        f"each served {served[0]} to {served[-1]} times, median {median:.0f}; longest wait {longest:.2f} s"
    )
    for client in (*sleepers, *workers):
        client.close()
    gone = await asyncio.to_thread(server.settled, descriptors)
    print(
        f"connections: all gone, {server.descriptors()} descriptors as before" if gone else "some do not go"
    )
    return 0 if gone and served[0] >= SHARE * median and not server.log() else 1


async def _connected(server: Served, count: int) -> list[Client]:
    clients = [Client(server.address) for _ in range(count)]
    for at in range(0, count, AT_ONCE):
        await asyncio.gather(*(client.connect() for client in clients[at : at + AT_ONCE]))
    return clients
