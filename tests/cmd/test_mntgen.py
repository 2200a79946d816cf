"""mntgen: served over a pipe, mounted, and used as a place for mounts."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

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


@contextmanager
def only_counting() -> Iterator[None]:
    """What nobody refers to goes at once; reference cycles stay."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def test_a_name_below_which_nothing_was_found_is_forgotten() -> None:
    for place in ("bind '#m' m", "mount '{mntgen}' m"):
        with only_counting():
            out, err, _ = await rc(
                f"memfs /srv; cd /srv; mkdir m; {place}; ls -d m/x/y; cat m/z/z/z; test -e m/u/v; ls m"
            )
        assert out == "", place
        assert err.count("does not exist") == 2, err


async def test_a_name_below_which_nothing_could_be_made_is_forgotten() -> None:
    for place in ("bind '#m' m", "mount '{mntgen}' m"):
        with only_counting():
            made = "echo >m/a/b; echo >>m/c/d; cat <m/e/f; mkdir m/g/h"
            out, err, _ = await rc(f"memfs /srv; cd /srv; mkdir m; {place}; {made}; ls m")
        assert out == "", place
        assert err.count("permission denied") == 3, err


async def test_the_newest_name_is_listed_first() -> None:
    script = """
    memfs /srv; cd /srv
    mkdir a m; mount {mntgen} m
    for(i in b c a d) bind a m/$i
    ls -n m
    """.replace("{mntgen}", "'{mntgen}'")
    assert (await rc(script)).out == "m/d\nm/a\nm/c\nm/b\n"
