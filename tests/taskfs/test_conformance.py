"""taskfs passes what every device must pass, with sessions in it and without."""

from __future__ import annotations

from pathlib import Path

from nsh.kern.mnt import MREPL
from tests.conformance import check_tree
from tests.taskfs.world import world


async def test_the_empty_device(tmp_path: Path) -> None:
    async with world() as w:
        await w.p.bind(
            str(tmp_path), "/task/remote/fs", MREPL
        )  # these are the files of the host: test_about.py
        await check_tree(w.p, "/task")
        assert w.device.sessions == {}


async def test_a_device_with_sessions_whose_tasks_have_ended() -> None:
    async with world() as w:
        s = await w.team(2, "exec echo hi")
        assert await w.cat(f"{s}/stdout") == "hi\nhi\n"
        assert await w.cat(f"{s}/wait")
        await check_tree(w.p, s)
