"""mntgen: served over a pipe, mounted, and used as a place for mounts."""

from __future__ import annotations

from tests.cmd.session import Result, session
from tests.rc.shell import rc


async def test_mntgen_invents_names_and_lists_those_that_are_in_use() -> None:
    """Inferno's recorded case mntgen-basic."""
    script = """
    memfs /srv; cd /srv
    mkdir n a; touch a/fa
    mount {mntgen} n
    ls n; ls -d n/foo; ls n/foo
    bind a n/bar
    ls n; ls n/bar
    unmount n/bar
    ls n
    touch n/x
    mkdir n/y/z
    ns | tail -2
    """.replace("{mntgen}", "'{mntgen}'")
    assert await rc(script) == (
        "n/foo\nn/bar\nn/bar/fa\nmount '#|/data1' /srv/n\ncd /srv\n",
        "touch: n/x: cannot change time: permission denied\nmkdir: can't create n/y/z: permission denied\n",
        "|",
    )


async def test_mntgen_takes_no_arguments() -> None:
    assert await (await session()).run("mntgen", "x") == Result("", "usage: mntgen\n", "usage")
