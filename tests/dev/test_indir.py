"""`#*`: devices by name."""

from __future__ import annotations

import pytest

from nsh.kern.proc import RFNOMNT
from tests.kern.world import content, failure, listing, make, world


async def test_a_name_is_the_device_itself() -> None:
    p = await world()
    assert (await p.stat("#*cons/null")).qid == (await p.stat("#c/null")).qid
    await make(p, "#*ram!scratch/f", "text")
    assert await content(p, "#Rscratch/f") == "text"
    assert await listing(p, "#*pipe") == ["data", "data1"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("#*", "bad attach specifier"),
        ("#*nothing", "unknown device: nothing"),
        ("#*indir", "unknown device: indir"),
        ("#*nothing!x", "unknown device: nothing"),
        ("#*mnt", "mount/attach disallowed"),
        ("#*root!x", "bad attach specifier"),
    ],
)
async def test_a_name_that_is_none_is_an_error(name: str, text: str) -> None:
    p = await world()
    assert await failure(p.stat(name)) == text


async def test_what_may_not_be_attached_by_letter_may_not_by_name() -> None:
    p = await world()
    p.rfork(RFNOMNT)
    assert await listing(p, "#*env") == await listing(p, "#e")
    for name in ("#*ram", "#*fs", "#*srv!board", "#*cmd"):
        assert await failure(p.stat(name)) == "mount/attach disallowed"


async def test_every_device_is_known_by_its_name() -> None:
    p = await world()
    drivers = dict(line.split() for line in (await content(p, "#c/drivers")).splitlines())
    assert set(drivers) == {"#" + letter for letter in p.system.letters()}
    assert len(set(drivers.values())) == len(drivers)
    assert {
        "root",
        "cons",
        "env",
        "dup",
        "pipe",
        "prog",
        "srv",
        "ram",
        "fs",
        "cmd",
        "mnt",
        "indir",
        "ip",
    } <= set(drivers.values())
