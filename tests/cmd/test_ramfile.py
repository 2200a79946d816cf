"""ramfile: a file in memory before a directory."""

from __future__ import annotations

from nsh import cmd
from tests.kern.world import content, failure, listing, make, world


async def test_a_ramfile_hides_the_file_below_until_it_is_unmounted() -> None:
    p = await world("d/", "d/r")
    assert await cmd.run(cmd.find("ramfile"), p, ["ramfile", "/mnt/d/r", "hello"]) == ""
    assert await content(p, "/mnt/d/r") == "hello"
    await p.writefile("/mnt/d/r", b"x")
    assert await content(p, "/mnt/d/r") == "x"
    assert await failure(make(p, "/mnt/d/new")) == "mounted directory forbids creation"
    assert await cmd.run(cmd.find("ramfile"), p, ["ramfile", "/mnt/d/second"]) == ""
    assert await listing(p, "/mnt/d") == ["second", "r", "r"]
    await p.unmount(None, "/mnt/d")
    assert await content(p, "/mnt/d/r") == "r"
