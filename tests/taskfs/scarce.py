"""A host that runs out of processes, or of descriptors; run by test_faults.py.

``python -m tests.taskfs.scarce processes|descriptors`` limits itself, and asserts what is promised.
"""

from __future__ import annotations

import asyncio
import os
import re
import resource
import sys

PROCESSES = 12
DESCRIPTORS = 100


async def processes() -> None:
    """The others run, and it can be tried again; what starts tasks may be what cannot be started."""
    from tests.taskfs.world import world

    async with world() as w:
        s = await w.team(30)
        why = await w.refusal("exec sleep 1000", f"{s}/ctl")
        assert re.fullmatch(r"[0-9,-]+: exec failed: Resource temporarily unavailable", why), why
        states = [line.split()[2] for line in (await w.cat(f"{s}/status")).splitlines()]
        assert 3 < states.count("Execute") < 30, states
        assert states.count("Execute") + states.count("Closed") == 30, states
        await w.echo("kill", f"{s}/ctl")
        assert (await w.cat(f"{s}/wait")).count("'signal: 15'") == states.count("Execute")
        await w.echo("exec echo again", f"{s}/0/ctl")
        assert await w.cat(f"{s}/0/stdout") == "again\n"
        await w.echo("release", f"{s}/ctl")
        await w.device.settled()
        w.device.guard.unwanted()
        soft, hard = resource.getrlimit(resource.RLIMIT_NPROC)
        resource.setrlimit(resource.RLIMIT_NPROC, (1, hard))
        t = await w.clone()
        why = await w.refusal("exec true", f"{t}/ctl")
        assert why == "exec failed: Resource temporarily unavailable", why
        resource.setrlimit(resource.RLIMIT_NPROC, (soft, hard))
        await w.echo("exec echo fine", f"{t}/ctl")
        assert await w.cat(f"{t}/stdout") == "fine\n"


def open_descriptors() -> set[int]:
    """The descriptors that are open, but for the one that is needed to look."""
    return {int(fd) for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")}


async def descriptors() -> None:
    """What runs goes on, and all is well when something is released."""
    from nsh.cmd import find
    from nsh.errors import P9Error
    from tests.taskfs import host
    from tests.taskfs.world import world

    async with world() as w:
        port = await host.serve(w.p)
        before = open_descriptors()
        s = await w.team(40)
        why = await w.refusal("exec cat", f"{s}/ctl")
        assert re.fullmatch(r"[0-9,-]+: exec failed: Too many open files", why), why
        running = (await w.cat(f"{s}/status")).count(" Execute ")
        assert 3 < running < 40, running
        try:
            await find("mount")(w.p, ["mount", "-A", f"tcp!127.0.0.1!{port}", "/n/x"])
        except P9Error as e:
            assert "Too many open files" in str(e), e
        else:
            await w.p.unmount(None, "/n/x")
        await w.echo("hello", f"{s}/stdin")
        assert await w.cat(f"{s}/stdout") == "hello\n" * running
        assert (await w.cat(f"{s}/wait")).count("''") == running
        await w.echo("exec seq 500000", f"{s}/0/ctl")
        assert len(await w.cat(f"{s}/0/stdout")) == sum(len(f"{n}\n") for n in range(1, 500001))
        await w.echo("release", f"{s}/ctl")
        await w.device.settled()
        w.device.guard.unwanted()
        await asyncio.sleep(0.1)
        after = {fd: os.readlink(f"/proc/self/fd/{fd}") for fd in open_descriptors() - before}
        assert not after, after
        await find("mount")(w.p, ["mount", "-A", f"tcp!127.0.0.1!{port}", "/n/y"])
        assert "clone" in await w.ls("/n/y/remote")
        await w.p.unmount(None, "/n/y")


def main(what: str) -> None:
    """Limit this process, and try."""
    if what == "processes":
        resource.setrlimit(resource.RLIMIT_NPROC, (PROCESSES, resource.getrlimit(resource.RLIMIT_NPROC)[1]))
        asyncio.run(processes())
    else:
        resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
        asyncio.run(descriptors())
    print("as promised")


if __name__ == "__main__":
    main(sys.argv[1])
