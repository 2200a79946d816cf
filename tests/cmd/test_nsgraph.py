"""ns -g: the picture shows the name space that there is."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from nsh.cmd.nsgraph import space
from nsh.kern.mnt import MAFTER, MBEFORE, MCREATE, MREPL
from nsh.kern.proc import RFNAMEG
from nsh.picture import Member, Origin
from tests.cmd.session import Result, session
from tests.kern.world import world
from tests.net.peers import Host, command
from tests.rc.shell import world as shell_world

USAGE = "usage: ns [-r] [pid]\n"
USAGE_PICTURE = "usage: ns -g [dot|mermaid|svg] [pid]\n"


async def test_members_are_in_the_order_of_search_with_their_marks() -> None:
    p = await world("d/", "a/")
    await p.bind("/mnt/a", "/mnt/d", MBEFORE)
    await p.bind("#c", "/mnt/d", MAFTER | MCREATE)
    await p.chdir("/mnt")
    found = space(p, "title")
    assert (found.title, found.dot) == ("title", "/mnt")
    places = {place.name: place.members for place in found.places}
    memory = found.origins.index(Origin("memory", "memfs 1"))
    cons = found.origins.index(Origin("device", "cons"))
    assert places == {
        "/mnt": (Member("#R", memory, create=True),),
        "/mnt/d": (
            Member("/mnt/a", memory),
            Member("/mnt/d", memory, own=True),
            Member("#c", cons, create=True),
        ),
    }


async def test_what_is_bound_from_a_server_belongs_to_the_server() -> None:
    host = await Host.start(await world("x/", "x/f"))
    p = await world("m/", "n/")
    assert await command(p, "mount", "-A", host.address, "/mnt/m", "main") == ("", "")
    await p.bind("/mnt/m/x", "/mnt/n", MREPL)
    found = space(p, "")
    server = found.origins.index(Origin("server", host.address))
    places = {place.name: place.members for place in found.places}
    assert places["/mnt/m"] == (Member(f"{host.address} main", server, mounted=True),)
    assert places["/mnt/n"] == (Member("/mnt/m/x", server),)
    assert len(found.origins) == 2
    await host.stop()
    p.exit()


async def test_each_memfs_is_one_origin() -> None:
    s = await session("d/", "e/")
    await s.out("memfs", "d")
    await s.out("memfs", "e")
    await s.p.bind("/mnt/d", "/mnt", MAFTER)
    found = space(s.p, "")
    assert [origin.label for origin in found.origins] == ["memfs 1", "memfs 2", "memfs 3"]
    places = {place.name: place.members for place in found.places}
    assert places["/mnt/d"] == (Member("memfs 2", 1, mounted=True, create=True),)
    assert [member.origin for member in places["/mnt"]] == [0, 1]


async def test_a_server_at_a_pipe_is_called_by_its_command() -> None:
    w = await shell_world()
    result = await w.run("mount '{mntgen}' /srv; ns -g svg")
    assert (result.err, result.status) == ("", "")
    assert ">{mntgen}<" in result.out and "#|/data" not in result.out
    await w.close()


async def test_the_forms_and_whose_name_space_it_is() -> None:
    s = await session("d/")
    q = s.p.fork(RFNAMEG)
    q.args = ["other", "one"]
    await q.bind("#c", "/mnt/d", MREPL)
    root = ElementTree.fromstring(await s.out("ns", "-g"))
    assert root[0].text == "name space of eve"
    assert (await s.out("ns", "-g", "svg")).startswith("<svg ")
    assert (await s.out("ns", "-g", "dot")).startswith("digraph namespace {\n")
    assert (await s.out("ns", "-g", "mermaid")).startswith("flowchart LR\n")
    other = await s.out("ns", "-g", "dot", str(q.pid))
    assert f"name space of process {q.pid}, other one, in /mnt" in other
    assert "/mnt/d" in other and "/mnt/d" not in await s.out("ns", "-g", "dot")


@pytest.mark.parametrize(
    ("argv", "usage"),
    [
        (["-g", "png"], USAGE_PICTURE),
        (["-gr"], USAGE_PICTURE),
        (["-g", "dot", "1", "2"], USAGE_PICTURE),
        (["-g", "1", "dot"], USAGE_PICTURE),
        (["-x"], USAGE),
        (["1", "2"], USAGE),
    ],
)
async def test_the_usage_of_ns(argv: list[str], usage: str) -> None:
    assert await (await session()).run("ns", *argv) == Result("", usage, "usage")


async def test_a_process_that_is_not_there() -> None:
    text = "can't open /prog/999999/ns: '/prog/999999' file does not exist"
    assert await (await session()).run("ns", "-g", "999999") == Result("", f"ns: {text}\n", "open")
