"""From a name to a file: splitting, walking, crossing, dot-dot, and what an error says of the way."""

from __future__ import annotations

import pytest

from nsh import errors
from nsh.dev import TABLE
from nsh.kern.chan import Maybe
from nsh.kern.dev import Device, Directory, File
from nsh.kern.mnt import MAFTER, MBEFORE, MREPL
from nsh.kern.namec import parse, quote
from nsh.kern.proc import System, current
from nsh.kern.recipe import recipe
from nsh.p9.const import OEXCL, OWRITE
from nsh.p9.stat import Dir
from tests.kern.world import content, failure, listing, make, world


def test_a_name_is_split_and_dots_are_dropped_but_dotdot_is_kept() -> None:
    name = parse("/a//./b/../c")
    assert (name.start, name.elems, name.mustbedir) == ("/", ["a", "b", "..", "c"], False)
    assert [name.text[:end] for end in name.ends] == ["/a", "/a//./b", "/a//./b/..", "/a//./b/../c"]


@pytest.mark.parametrize("text", ["a/", "a/.", "/x/y//"])
def test_a_trailing_slash_asks_for_a_directory(text: str) -> None:
    assert parse(text).mustbedir


@pytest.mark.parametrize(
    ("text", "start", "elems"),
    [("#c", "#c", []), ("#c/null", "#c", ["null"]), ("#sname/x", "#sname", ["x"]), ("#/x", "#/x", [])],
)
def test_a_sharp_name_begins_with_a_device(text: str, start: str, elems: list[str]) -> None:
    name = parse(text)
    assert (name.start, name.elems) == (start, elems)


def test_names_that_cannot_be() -> None:
    with pytest.raises(errors.Eemptyname):
        parse("")
    with pytest.raises(errors.Ebadchar, match="bad character in file name: 'a\tb'"):
        parse("a\tb")
    with pytest.raises(errors.Enametoolong):
        parse("x" * 65536)
    assert parse("ü b#c\xa0").elems == ["ü b#c\xa0"]


@pytest.mark.parametrize(("name", "quoted"), [("a", "a"), ("", "''"), ("it's", "'it''s'"), ("a b", "'a b'")])
def test_quoting_is_rc_s(name: str, quoted: str) -> None:
    assert quote(name) == quoted


async def test_errors_carry_the_part_of_the_name_that_was_reached() -> None:
    p = await world("d/", "d/f")
    assert await failure(p.stat("/mnt/nosuch/x")) == "'/mnt/nosuch' file does not exist"
    assert await failure(p.stat("/mnt/d/nosuch")) == "'/mnt/d/nosuch' does not exist"
    assert await failure(p.stat("/mnt/d/../nosuch")) == "'/mnt/d/../nosuch' file does not exist"
    assert await failure(p.stat("/mnt/d/f/x/y")) == "'/mnt/d/f' not a directory"
    assert await failure(p.stat("/mnt/d/f/")) == "'/mnt/d/f' not a directory"
    assert await failure(p.stat("/mnt/it's")) == "'/mnt/it''s' file does not exist"


async def test_a_long_prefix_is_cut_to_its_last_element() -> None:
    p = await world()
    short = "/mnt/" + "x" * 36
    assert await failure(p.stat(short)) == f"'{short}' file does not exist"
    assert await failure(p.stat(short + "y")) == f"'.../{'x' * 36}y' file does not exist"


async def test_a_walk_of_many_elements_goes_in_pieces_of_sixteen() -> None:
    path = "".join(f"{i}/" for i in range(40))
    p = await world(*(path[: path.index(f"{i}/") + len(f"{i}/")] for i in range(40)))
    await make(p, f"/mnt/{path}f", "deep")
    assert await content(p, f"/mnt/{path}f") == "deep"
    assert await failure(p.stat(f"/mnt/{path}g")) != ""


async def test_dotdot_comes_out_where_the_way_went_in() -> None:
    """Out of a bound directory, and out of an alias of it (Inferno gets the second one wrong)."""
    p = await world("src/", "src/sub/", "at/", "at/m/", "other/", "other/alias/")
    await p.bind("/mnt/src", "/mnt/at/m", MREPL)
    await p.bind("/mnt/at", "/mnt/other/alias", MREPL)
    await p.chdir("/mnt/other/alias/m/sub")
    await p.chdir("..")
    assert p.getwd() == "/mnt/other/alias/m"
    await p.chdir("..")
    assert p.getwd() == "/mnt/other/alias"
    assert await listing(p, ".") == await listing(p, "/mnt/at")
    await p.chdir("..")
    assert await listing(p, ".") == ["alias"]


async def test_dotdot_of_a_directory_bound_below_itself() -> None:
    p = await world("a/", "a/b/")
    await p.bind("/mnt/a", "/mnt/a/b", MREPL)
    await p.chdir("/mnt/a/b/b")
    for name in ("/mnt/a/b", "/mnt/a", "/mnt", "/", "/"):
        await p.chdir("..")
        assert p.getwd() == name


async def test_dotdot_still_gets_out_after_an_unmount() -> None:
    p = await world("src/", "src/sub/", "at/")
    await p.bind("/mnt/src", "/mnt/at", MREPL)
    await p.chdir("/mnt/at/sub")
    await p.unmount(None, "/mnt/at")
    await p.chdir("../..")
    assert p.getwd() == "/mnt"
    assert sorted(await listing(p, ".")) == ["at", "src"]


async def test_dotdot_from_a_later_member_gives_the_union() -> None:
    p = await world("one/", "two/", "two/sub/", "u/")
    await p.bind("/mnt/one", "/mnt/u", MREPL)
    await p.bind("/mnt/two", "/mnt/u", MAFTER)
    await make(p, "/mnt/one/f")
    await p.chdir("/mnt/u/sub/..")
    assert sorted(await listing(p, ".")) == ["f", "sub"]


async def test_a_mount_point_is_crossed_once() -> None:
    """bind a b; bind c a: a walk through b and a listing of b agree (Inferno crosses twice)."""
    p = await world("a/", "a/x", "b/", "c/", "c/y")
    await p.bind("/mnt/a", "/mnt/b", MREPL)
    await p.bind("/mnt/c", "/mnt/a", MREPL)
    assert await listing(p, "/mnt/b") == ["x"]
    assert await content(p, "/mnt/b/x") == "x"
    assert await failure(p.stat("/mnt/b/y")) == "'/mnt/b/y' file does not exist"
    assert await content(p, "/mnt/a/y") == "y"


async def test_a_union_is_searched_in_order_and_does_not_merge_deeply() -> None:
    p = await world("one/", "one/d/", "one/d/f1", "two/", "two/d/", "two/d/f2", "two/g", "u/")
    await p.bind("/mnt/one", "/mnt/u", MREPL)
    await p.bind("/mnt/two", "/mnt/u", MAFTER)
    assert await content(p, "/mnt/u/d/f1") == "f1"
    assert await failure(p.stat("/mnt/u/d/f2")) == "'/mnt/u/d/f2' does not exist"
    assert await content(p, "/mnt/u/g") == "g"


async def test_names_with_a_sharp_see_no_mounts() -> None:
    p = await world("x/")
    await p.bind("/mnt/x", "/dev", MREPL)
    assert await listing(p, "#//dev") == []
    await p.bind("#c", "/dev", MREPL)
    assert "null" in await listing(p, "/dev")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("#z", "unknown device in # filename"),
        ("#", "unknown device in # filename"),
        ("#M", "mount/attach disallowed"),
        ("#/x", "bad attach specifier"),
        ("#Ux", "bad attach specifier"),
    ],
)
async def test_devices_that_cannot_be_attached(name: str, text: str) -> None:
    p = await world()
    assert await failure(p.stat(name)) == text
    assert await failure(p.create(name, OWRITE, 0o666)) == text


async def test_create_truncates_what_exists_and_oexcl_refuses_it() -> None:
    p = await world("f")
    fd = await p.create("/mnt/f", OWRITE, 0o666)
    p.close(fd)
    assert await content(p, "/mnt/f") == ""
    assert await failure(p.create("/mnt/f", OWRITE | OEXCL, 0o666)) == "file already exists"
    assert await failure(p.create("/", OWRITE, 0o666)) == "'/' create without DMDIR"
    assert await failure(p.create("/mnt/g/", OWRITE, 0o666)) == "'/mnt/g' create without DMDIR"


async def test_chdir_stays_on_the_covered_side() -> None:
    p = await world("a/", "b/", "b/f")
    await p.chdir("/mnt/a")
    await p.bind("/mnt/b", "/mnt/a", MREPL)
    assert await listing(p, ".") == ["f"]
    await p.unmount(None, "/mnt/a")
    assert await listing(p, ".") == []
    assert await failure(p.chdir("/mnt/b/f")) == "not a directory"


async def test_a_bind_follows_a_renamed_source() -> None:
    p = await world("a/", "a/f", "m/")
    await p.bind("/mnt/a", "/mnt/m", MBEFORE)
    await p.wstat("/mnt/a", (await p.stat("/mnt/a")).dont_touch(name="z"))
    assert await content(p, "/mnt/m/f") == "f"


async def test_a_device_with_one_tree_does_not_look_at_a_spec() -> None:
    p = await world()
    assert (await p.stat("#cx")).qid == (await p.stat("#c")).qid
    await p.bind("#cx", "/dev", MREPL)
    await p.bind("#ex", "/env", MREPL)
    assert recipe(p)[-3:-1] == ["bind '#c' /dev", "bind '#e' /env"]


class Vault(Device):
    """A directory in which nobody may look for anything. ``asked``: how often somebody did."""

    letter, name = "k", "vault"
    asked = 0

    def tree(self) -> Directory:
        vault = self

        class Closed(Directory):
            def lookup(self, name: str) -> Maybe[File]:
                vault.asked += 1
                raise errors.Eperm()

        return Directory("#k", Directory("d", Closed("e")))


@pytest.mark.parametrize(
    ("remote", "asked", "text"), [(False, 2, "permission denied"), (True, 1, "does not exist")]
)
async def test_a_permission_that_is_missing_on_the_way_is_told_where_asking_again_is_cheap(
    remote: bool, asked: int, text: str
) -> None:
    p = await System({**TABLE, "k": type("Vault", (Vault,), {"remote": remote})}, eve="eve").boot()
    current.set(p)
    assert await failure(p.stat("#k/d/e/f")) == f"'#k/d/e/f' {text}"
    vault = p.system.device("k")
    assert isinstance(vault, Vault) and vault.asked == asked
    assert await failure(p.stat("#k/d/nosuch/f")) == "'#k/d/nosuch' does not exist"


async def test_a_file_cannot_be_renamed_to_what_no_name_can_reach() -> None:
    p = await world("f")
    for name in ("a\tb", "a/b", "."):
        assert await failure(p.wstat("/mnt/f", Dir.dont_touch(name=name))) != ""
    assert await content(p, "/mnt/f") == "f"


async def test_removing_a_mount_point_whose_source_is_gone() -> None:
    p = await world("a/", "m/")
    await p.bind("/mnt/a", "/mnt/m", MREPL)
    await p.remove("/mnt/a")
    assert await failure(p.remove("/mnt/m")) == "clone failed"


async def test_dotdot_is_there_and_a_directory_so_it_cannot_be_written() -> None:
    p = await world("d/")
    with pytest.raises(errors.Eperm, match=r"^permission denied$"):
        await p.create("/mnt/d/..", OWRITE, 0o666)
    with pytest.raises(errors.Eexist):
        await p.create("/mnt/d/..", OWRITE | OEXCL, 0o666)
