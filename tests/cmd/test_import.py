"""import: a part of another system's name space, and what is refused."""

from __future__ import annotations

import pytest

from nsh.cmd.import_ import USAGE
from nsh.kern.mnt import MREPL
from nsh.kern.proc import Proc
from tests.kern.world import content, failure, listing, make, world
from tests.net.peers import Host, command


async def importer(*names: str) -> Proc:
    """A world with a place for hosts."""
    p = await world(*names)
    await p.bind("#m", "/n", MREPL)
    return p


async def test_a_directory_is_seen_here_and_its_host_below_n() -> None:
    host = await Host.start(await world("lib/", "lib/f", "bin/", "bin/g"), "/")
    p = await importer("lib/", "bin/", "bin/own")
    assert await command(p, "import", "-A", host.address, "/mnt/lib") == ("", "")
    assert await command(p, "import", "-Aac", host.address, "/mnt/bin", "/mnt/bin") == ("", "")
    assert await content(p, "/mnt/lib/f") == "f"
    assert await listing(p, "/mnt/bin") == ["own", "g"]
    await make(p, "/mnt/bin/new")
    assert sorted(await listing(host.p, "/mnt/bin")) == ["g", "new"]
    assert await failure(make(p, "/mnt/lib/new")) == "mounted directory forbids creation"
    output = (await command(p, "ns"))[1]
    assert output.count(f"mount -c {host.address} /n/{host.address}\n") == 1
    assert f"bind /n/{host.address}/mnt/lib /mnt/lib\n" in output
    p.exit()
    await host.stop()


@pytest.mark.parametrize(
    ("argv", "text", "status"),
    [
        (["h", "/"], "can't open /mnt/factotum/rpc: '/mnt/factotum' file does not exist", "factotum"),
        (["-A", "tcp!127.0.0.1!1", "/"], "can't dial tcp!127.0.0.1!1: ", "dial failed"),
        (["-A", "-e", "rc4_256", "h", "/"], "factotum didn't establish shared secret", "import"),
    ],
)
async def test_what_cannot_be_imported(argv: list[str], text: str, status: str) -> None:
    p = await importer()
    before = len(p.pgrp)
    ended, output = await command(p, "import", *argv)
    assert (ended, output.startswith(f"import: {text}")) == (status, True)
    assert len(p.pgrp) == before


async def test_a_factotum_is_not_spoken_to_yet() -> None:
    p = await importer("factotum/", "factotum/rpc")
    status, output = await command(p, "import", "h", "/")
    assert (status, output.startswith("import: can't authenticate import: ")) == ("auth", True)


async def test_a_file_that_is_not_there() -> None:
    host = await Host.start(await world())
    p = await importer()
    status, output = await command(p, "import", "-A", host.address, "/nosuch", "/mnt")
    name = f"/n/{host.address}/nosuch"
    assert (status, output) == ("import", f"import: import {name} onto /mnt: '{name}' file does not exist\n")
    p.exit()
    await host.stop()


async def test_without_a_place_for_the_host_nothing_is_imported() -> None:
    p = await world()
    status, output = await command(p, "import", "-A", "h", "/", "/mnt")
    assert (status, output) == ("mount failed", "import: mount failed: '/n/h' does not exist\n")


async def test_the_usage_of_import() -> None:
    p = await world()
    for argv in ([], ["h"], ["h", "f", "l", "x"], ["-x", "h", "f"]):
        assert await command(p, "import", *argv) == ("usage", f"usage: import {USAGE}\n")
