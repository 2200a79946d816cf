"""The Python interface inside a program that runs already: nothing is disturbed, shared or left behind."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

import nsh
from nsh import boot, errors
from nsh.kern.proc import current
from tests.net.peers import quiet


async def test_two_name_spaces_in_one_task_know_nothing_of_each_other() -> None:
    async with nsh.Namespace() as one, nsh.Namespace() as other:
        await one.bind("#R", "/n/mem", "c")
        await one.write("/n/mem/f", b"1")
        await one.write("/env/x", b"one")
        await other.write("/env/x", b"other")
        assert await one.read("/env/x") == b"one"
        assert await other.read("/env/x") == b"other"
        assert await other.listdir("/n/mem") == []
    assert current.get(None) is None, "the program's own context is as it was"


async def test_many_tasks_use_one_name_space_at_once() -> None:
    async with nsh.Namespace() as ns:
        await ns.bind("#R", "/n/mem", "c")

        async def work(i: int) -> bytes:
            f = ns.path(f"/n/mem/{i}")
            await f.write_text(str(i))
            return await f.read_bytes()

        assert await asyncio.gather(*(work(i) for i in range(50))) == [str(i).encode() for i in range(50)]


async def test_the_end_of_a_name_space_is_the_end_of_all_that_it_started() -> None:
    """Also of what waits: a blocked read, a client, a mounted server."""
    async with nsh.Namespace() as server:
        service = await server.serve("tcp!127.0.0.1!0", "/dev")
        async with nsh.Namespace() as client:
            await client.mount(service.address, "/n/there")
            await client.bind("#|", "/n/pipe")
            reading = asyncio.create_task(client.read("/n/pipe/data"))
            await asyncio.sleep(0)
            assert "null" in await client.listdir("/n/there")
            kept = client.path("/n/there/null")
        with pytest.raises(RuntimeError, match="not open"):
            await kept.read_bytes()
        with pytest.raises(errors.Ebadfd):
            await reading
        await quiet()
        assert [p.args[0] for p in server.proc.system.procs.values()] == ["nsh.Namespace", "nsh.serve"]
        await service.close()
        await service.wait()
        with pytest.raises(ConnectionRefusedError):
            async with nsh.mount(service.address):
                pass


async def test_an_open_file_of_a_name_space_that_is_over_is_closed_without_a_word() -> None:
    async with nsh.Namespace() as ns:
        f = await ns.open("/dev/zero")
    await f.close()
    await f.close()


async def test_a_service_ends_with_its_clients() -> None:
    async with nsh.Namespace() as ns:
        async with ns.serve("tcp!127.0.0.1!0", "/dev") as service:
            client = nsh.Namespace(binds=())
            await client.__aenter__()
            await client.mount(service.address, "/n")
        await quiet()
        with pytest.raises(ConnectionError):
            await client.read("/n/null")
        await client.__aexit__(None, None, None)


async def test_a_unix_socket_serves_only_its_owner_and_goes_with_the_service(tmp_path: Path) -> None:
    socket = tmp_path / "s"
    async with nsh.Namespace() as ns:
        async with ns.serve(f"unix!{socket}", "/dev") as service:
            assert service.address == f"unix!{socket}"
            async with nsh.mount(service.address) as root:
                assert await (root / "null").exists()
        assert not socket.exists()


@pytest.mark.logs("everybody who can reach tcp!.* may now do to /dev what")
async def test_serving_everybody_is_not_done_without_a_word() -> None:
    async with nsh.Namespace() as ns, ns.serve("tcp!*!0", "/dev"):
        pass


async def test_what_cannot_be_is_said_by_its_class() -> None:
    async with nsh.Namespace() as ns:
        await ns.bind("#R", "/n/mem", "c")
        d = ns.path("/n/mem/d")
        await d.mkdir()
        await d.mkdir(exist_ok=True)
        with pytest.raises(FileExistsError):
            await d.mkdir()
        with pytest.raises(errors.Efilename):
            await (d / "f").rename(ns.path("/n/mem/f"))
        with pytest.raises(FileExistsError):
            await ns.open("/n/mem/d", "x")
        with pytest.raises(ValueError, match="invalid mode: 'rt'"):
            await ns.open("/n/mem/d", "rt")
        with pytest.raises(errors.Ebadarg):
            await ns.bind("/n/mem", "/n/x", "z")
        with pytest.raises(errors.Emount):
            await ns.bind("/dev/null", "/n/mem")
        assert not await (d / "f" / "g").exists()
        assert not await (ns.path("/dev/null") / "x").is_dir()


@pytest.mark.parametrize("letter", ["", "xx", "?", "M", "/"])
def test_a_device_needs_a_letter_of_its_own(letter: str) -> None:
    with pytest.raises(ValueError, match="letter"):
        nsh.register(type("Nameless", (nsh.Device,), {"letter": letter}))


def test_importing_nsh_imports_nothing_that_is_not_used() -> None:
    code = "import sys; before = set(sys.modules); import nsh; print(sorted(set(sys.modules) - before))"
    run = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "['__future__', 'nsh']\n"


class Slow(nsh.Device):
    """A device with a file that never answers, and one whose code is wrong."""

    letter, name = "w", "slow"

    def tree(self) -> nsh.Directory:
        never = nsh.Text("never", lambda: asyncio.Event().wait())
        return nsh.Directory("#w", never, nsh.Text("wrong", lambda: 1 / 0))


@pytest.mark.logs("a file's code failed: ZeroDivisionError")
async def test_a_device_that_hangs_or_is_wrong_harms_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boot, "_registered", {"w": Slow})
    async with (
        nsh.Namespace() as ns,
        ns.serve("tcp!127.0.0.1!0", "#w") as service,
        nsh.mount(service.address) as root,
    ):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await (root / "never").read_bytes()
        with pytest.raises(nsh.P9Error, match="i/o error"):
            await (root / "wrong").read_bytes()
        assert [f.name async for f in root.iterdir()] == ["never", "wrong"]
