"""groups(6): which hosts a person means."""

from __future__ import annotations

import pytest

from nsh.cmd.hostgroups import Groups, select
from nsh.errors import FileFormatError, P9Error
from nsh.p9.stat import Dir
from tests.cmd.session import session
from tests.kern.world import make

FILE = """\
# the machines
gpu=gpu[1-4] -gpu3   # that one is broken

cpu=cpu1
cpu=cpu2,cpu1
work = @gpu @cpu
idle=-@gpu
loop=@pool
pool=cpu1 @loop
odd=cpu[
lost=@nowhere
"""

THERE = ["gpu1", "cpu1", "cpu9"]


def groups() -> Groups:
    found = Groups(THERE)
    found.read(FILE, "groups")
    return found


@pytest.mark.parametrize(
    ("words", "hosts"),
    [
        ("a", "a"),
        ("b a,b", "b a"),
        ("n[08-10],-n09", "n08 n10"),
        ("-cpu1", "gpu1 cpu9"),
        ("@gpu", "gpu1 gpu2 gpu4"),
        ("@cpu", "cpu1 cpu2"),
        ("@work -gpu[1-2]", "gpu4 cpu1 cpu2"),
        ("@work,-@cpu", "gpu1 gpu2 gpu4"),
        ("@idle", "cpu1 cpu9"),
        ("@all", "gpu1 cpu1 cpu9"),
        ("@all -@gpu", "cpu1 cpu9"),
        ("a -a", ""),
    ],
)
def test_words_stand_for_hosts(words: str, hosts: str) -> None:
    assert groups().select(words.split()) == hosts.split()


@pytest.mark.parametrize(
    ("word", "complaint"),
    [
        ("@none", "no group none in groups"),
        ("@lost", "groups:11: no group nowhere"),
        ("@loop", "groups:9: group loop is a part of itself"),
        ("@odd", r"groups:10: no names of hosts: cpu\["),
    ],
)
def test_what_is_wrong_is_told_with_its_line(word: str, complaint: str) -> None:
    with pytest.raises((P9Error, FileFormatError), match=f"^{complaint}$"):
        groups().select([word])


@pytest.mark.parametrize("line", ["gpu", "=a", "gpu=", "a b=c", "gpu 1"])
def test_a_line_that_is_no_group_is_refused(line: str) -> None:
    with pytest.raises(FileFormatError, match=r"^groups:2: a group is NAME=HOST \.\.\.$"):
        Groups([]).read(f"\n{line}\n", "groups")


async def test_the_file_is_the_users_in_the_name_space(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "/mnt")
    s = await session("nsh/")
    assert await select(s.p, ["host[1-2]"], []) == ["host1", "host2"]
    with pytest.raises(P9Error, match="no group gpu in /mnt/nsh/groups"):
        await select(s.p, ["@gpu"], [])
    await make(s.p, "/mnt/nsh/groups", FILE)
    assert await select(s.p, ["@gpu"], []) == ["gpu1", "gpu2", "gpu4"]
    await s.p.wstat("/mnt/nsh/groups", Dir.dont_touch(mode=0))
    with pytest.raises(P9Error, match="cannot read /mnt/nsh/groups: "):
        await select(s.p, ["@gpu"], [])
