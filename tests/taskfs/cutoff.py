"""A host that is cut off from the network, and comes back; run by test_faults.py in a network of its own.

``python -m tests.taskfs.cutoff``: two networks that are joined by a wire; a host on the far side; and here a
world that has mounted it. What is promised is asserted.
"""

from __future__ import annotations

import asyncio

from nsh.cmd import find
from taskfs import hosts
from tests.fuzz.dead import THERE, cut, mend, wire
from tests.fuzz.process import Served
from tests.taskfs.world import until, world

SCRIPT = "styxlisten -As tcp!WHERE export /task"


async def main(inside: list[str], far: Served) -> None:
    hosts.PATIENCE, hosts.INTERVAL = 1.5, 0.3
    async with world() as w:
        address = "tcp!{}!{}".format(*far.address)
        await find("mount")(w.p, ["mount", "-A", address, "/remote/far"])
        s = await w.team(1, "exec sh -c 'echo before; read line; echo $line; seq 20000; sleep 1000'")
        fd = await w.p.open(f"{s}/stdout")
        assert await w.p.read(fd) == b"before\n"

        cut(inside)
        await until(lambda: any(host.lost for host in w.device.hosts.met()))
        assert " Lost " in await w.cat(f"{s}/status")
        assert "'lost'" in await w.cat(f"{s}/wait")
        assert await w.refusal("exec true", f"{s}/ctl") == "0: far: host is lost"
        assert (await w.refusal("hi", f"{s}/0/stdin")).endswith("far: host is lost")
        t = await w.clone()
        assert await w.refusal("res 1", f"{t}/ctl") == "no host answers: far"

        mend(inside)
        await until(lambda: not any(host.lost for host in w.device.hosts.met()))
        assert " Execute " in await w.cat(f"{s}/status")
        await w.echo("after", f"{s}/stdin")
        await w.echo("res 1\nexec echo again", f"{t}/ctl")
        assert await w.cat(f"{t}/stdout") == "again\n"
        again = await w.p.open(f"{s}/0/stdout")
        whole = "before\nafter\n" + "".join(f"{n}\n" for n in range(1, 20001))
        got = b""
        while len(got) < len(whole):
            got += await w.p.read(again)
        assert got.decode() == whole
        for number in (fd, again):
            w.p.close(number)

        cut(inside)
        await until(lambda: any(host.lost for host in w.device.hosts.met()))
        await w.echo("release", f"{s}/ctl")
        mend(inside)
        await w.echo("release", f"{t}/ctl")
        await w.device.settled()
        assert await w.ls("/remote/far/remote") == ["arch", "clone", "env", "fs", "ns", "status"]
        await w.p.unmount(None, "/remote/far")
    print("as promised")


if __name__ == "__main__":
    with wire() as inside, Served(SCRIPT, THERE, inside) as far:
        asyncio.run(main(inside, far))
