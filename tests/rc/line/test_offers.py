"""What completion offers: texts that would come of each offer in the place of the word before the cursor."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from nsh.kern.chan import Chan, Maybe
from nsh.kern.dev import Device
from nsh.kern.proc import current
from nsh.rc.line import files
from nsh.rc.line.history import Entry, History
from nsh.rc.line.offers import Completer
from tests.rc.shell import World, world

CURSOR = "\N{CARET}"


class Completing:
    """A shell in a directory of its own, and its completion."""

    def __init__(self, w: World, history: History) -> None:
        self.world = w
        self.history = history
        self.completer = Completer(w.shell, history)

    async def run(self, text: str) -> None:
        found = await self.world.run(text + "\n")
        assert found.err == ""

    async def offers(self, text: str) -> list[str]:
        """The texts up to the cursor that are offered."""
        cursor = text.index(CURSOR) if CURSOR in text else len(text)
        text = text.replace(CURSOR, "")
        found = await self.completer.offers(text, cursor)
        return [text[: found.start] + offer.text for offer in found.found]

    async def about(self, text: str) -> dict[str, str]:
        """What is shown of each offer."""
        return {offer.shown: offer.about for offer in (await self.completer.offers(text, len(text))).found}


@asynccontextmanager
async def completing(*typed: str) -> AsyncIterator[Completing]:
    w = await world()
    history = History(None)
    history.entries += [Entry(text) for text in typed]
    token = current.set(w.proc)
    try:
        yield Completing(w, history)
    finally:
        current.reset(token)
        await w.close()


# --- commands and names --------------------------------------------------------------------------


async def test_commands_builtins_and_functions_where_a_command_begins() -> None:
    async with completing() as c:
        await c.run("fn mounts { ns }; PATH=()")
        for text in (
            "mou",
            "echo a; mou",
            "a | mou",
            "{mou",
            "if(mou",
            "x=`{mou",
            "! mou",
            "time mou",
            "exec mou",
        ):
            before = text.removesuffix("mou")
            assert await c.offers(text) == [before + "mount", before + "mounts"]
        assert await c.offers("wha") == ["whatis"]
        assert await c.offers("whi") == ["while"]


async def test_what_a_command_does_is_told_by_its_page() -> None:
    async with completing() as c:
        await c.run("fn mounts { ns | grep mount }; PATH=()")
        assert await c.about("mou") == {
            "mount": "let the files of a server be seen at a name",
            "mounts": "{ns|grep mount}",
        }
        assert (await c.about("wha"))["whatis"] == "Show what they stand for"


async def test_programs_of_the_host_and_new_ones_too(tmp_path: Path) -> None:
    (tmp_path / "zzrun").touch(0o755)
    (tmp_path / "zzread").touch(0o644)
    (tmp_path / "zzdir").mkdir()
    async with completing() as c:
        await c.run(f"PATH=/nosuch:{tmp_path}")
        assert await c.offers("zz") == ["zzrun"]
        assert await c.about("zz") == {"zzrun": str(tmp_path)}
        (tmp_path / "zzz").touch(0o755)
        os.utime(tmp_path, ns=(1, 1))  # as if some time had passed
        assert await c.offers("zz") == ["zzrun", "zzz"]
        await c.run("path=()")
        assert await c.offers("zz") == []


async def test_a_command_with_a_slash_is_a_program_or_a_way_to_one(tmp_path: Path) -> None:
    (tmp_path / "run").touch(0o755)
    (tmp_path / "read").touch(0o644)
    (tmp_path / "rdir").mkdir()
    async with completing() as c:
        await c.run(f"bind {tmp_path} /n/here; cd /n/here")
        assert await c.offers("./r") == ["./rdir/", "./run"]


async def test_variables_with_their_values() -> None:
    async with completing() as c:
        await c.run("naming=(a 'b c'); narrow=x; 'na me'=y")
        assert await c.offers("echo $na") == ["echo $naming", "echo $narrow"]
        assert await c.offers("echo $#na") == ["echo $#naming", "echo $#narrow"]
        assert await c.offers("echo x^$narr") == ["echo x^$narrow"]
        assert (await c.about("echo $na"))["naming"] == "a 'b c'"


async def test_functions_where_one_is_defined_and_names_where_one_is_asked_for() -> None:
    async with completing() as c:
        await c.run("fn foofn {ns}; foovar=1; PATH=()")
        assert await c.offers("fn foo") == ["fn foofn"]
        assert await c.offers("whatis foo") == ["whatis foofn", "whatis foovar"]


async def test_descriptors_of_a_redirection() -> None:
    async with completing() as c:
        assert await c.offers("cat >[2") == ["cat >[2=1]", "cat >[2]"]
        assert await c.offers("cat >[2=") == ["cat >[2=0]", "cat >[2=1]", "cat >[2=2]", "cat >[2=]"]


# --- files ---------------------------------------------------------------------------------------


async def test_files_elsewhere_quoted_as_rc_wants(tmp_path: Path) -> None:
    for name in ("plain", "two words", ".hidden", "it's"):
        (tmp_path / name).touch()
    (tmp_path / "dir").mkdir()
    async with completing() as c:
        await c.run(f"bind {tmp_path} /n/here; cd /n/here")
        assert await c.offers("cat pl") == ["cat plain"]
        assert await c.offers("cat tw") == ["cat 'two words'"]
        assert await c.offers("cat 'tw") == ["cat 'two words'"]
        assert await c.offers("cat it") == ["cat 'it''s'"]
        assert await c.offers("cat <di") == ["cat <dir/"]
        assert await c.offers("cat >di") == ["cat >dir/"]
        assert await c.offers("x=di") == ["x=dir/"]
        assert await c.offers("cat .") == ["cat .hidden"]
        assert await c.offers("cat /n/here/") == [
            "cat /n/here/dir/",
            "cat '/n/here/it''s'",
            "cat /n/here/plain",
            "cat '/n/here/two words'",
        ]
        assert await c.offers("cat /no/such") == []


async def test_names_are_found_by_letters_in_them(tmp_path: Path) -> None:
    for name in ("README.md", "setup.cfg", "sub"):
        (tmp_path / name).touch()
    async with completing() as c:
        await c.run(f"cd {tmp_path}")
        assert await c.offers("cat readm") == ["cat README.md"]
        assert await c.offers("cat tup") == ["cat setup.cfg"]
        assert await c.offers("cat scg") == ["cat setup.cfg"]
        assert await c.offers("cat s") == ["cat setup.cfg", "cat sub"]


async def test_behind_a_variable_or_an_equals_sign(tmp_path: Path) -> None:
    (tmp_path / "some file").touch()
    async with completing() as c:
        await c.run(f"here={tmp_path}; two=(a b)")
        assert await c.offers("cat $here/so") == ["cat $here/'some file'"]
        assert await c.offers("cat $two/so") == []
        assert await c.offers("cat `{pwd}/so") == []
        assert await c.offers("dd if=/dev/nul") == ["dd if=/dev/null"]


async def test_only_directories_where_a_command_wants_one(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    async with completing() as c:
        await c.run(f"cd {tmp_path}")
        assert await c.offers("cd f") == ["cd folder/"]
        assert await c.offers("ls f") == ["ls file", "ls folder/"]


async def test_text_that_means_nothing_gets_no_offers() -> None:
    async with completing() as c:
        for text in ("echo # /et", "cat <<E\n/et", "echo $path(1"):
            assert await c.offers(text) == []


# --- arguments -----------------------------------------------------------------------------------


async def test_options_with_what_they_do() -> None:
    async with completing() as c:
        found = await c.about("mount -")
        assert found["-A"] == "do not ask the server for proof of who it is, and give none"
        assert found["-b"] == "a union with source in front"  # which is said in bind(1)
        assert (await c.about("history -"))["-s"] == "those of this session only"
        assert await c.offers("time mount -A -C") == ["time mount -A -C"]


async def test_options_of_programs_of_the_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "man1").mkdir()
    (tmp_path / "man1" / "prog.1").write_text(
        ".SH NAME\nprog \\- do it\n.SH OPTIONS\n.TP\n\\fB\\-a\\fR, \\fB\\-\\-all\\fR\nDo all. Yes.\n"
    )
    monkeypatch.setattr("nsh.rc.line.manual.OF_HOST", (str(tmp_path),))
    async with completing() as c:
        assert await c.about("prog --a") == {"--all": "Do all"}
        assert await c.about("prog -") == {"--all": "Do all", "-a": "Do all"}


async def test_addresses_that_were_used_before() -> None:
    async with completing("mount -A tcp!10.0.0.1!564 /n/a", "echo hi!", "mount -A tcp!new!9999 /n/b") as c:
        assert await c.offers("mount -A tcp") == ["mount -A tcp!new!9999", "mount -A tcp!10.0.0.1!564"]
        assert await c.offers("dial -A 10.0") == ["dial -A tcp!10.0.0.1!564"]


async def test_addresses_of_mounts(tmp_path: Path) -> None:
    async with completing() as c:
        await c.run(f"styxlisten 'unix!{tmp_path}/s' export /env; mount 'unix!{tmp_path}/s' /n/x")
        assert await c.offers("mount unix") == [f"mount unix!{tmp_path}/s"]
        await c.run("unmount /n/x")


async def test_processes_where_a_command_wants_one() -> None:
    async with completing() as c:
        await c.run("sleep 1000 &")
        pid = c.world.shell.var.get("apid")[0]
        for text in ("kill ", "wait ", "kill -9 ", "ns -r "):
            assert text + pid in await c.offers(text)
        while "sleep 1000" not in (await c.about("kill ")).values():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_jobs_by_number_and_by_their_commands() -> None:
    async with completing() as c:
        await c.run("sleep 1000 & cat /env/home >/dev/null & while() sleep 1001 &")
        assert not [text for text in await c.offers("wait ") if "%" in text]  # without job control
        for number, job in enumerate(c.world.shell.jobs, 1):
            job.number = number
        for text in ("fg ", "bg %1 ", "bg ", "kill ", "kill -9 ", "wait "):
            found = [offer for offer in await c.offers(text) if "%" in offer]
            assert found[-3:] == [text + "%1", text + "%2", text + "%3"]
        assert await c.offers("fg %2") == ["fg %2"]
        assert await c.offers("fg %sl") == await c.offers("fg sl") == ["fg %1"]
        assert await c.offers("kill -9 1001") == ["kill -9 %3"]
        assert await c.offers("fg %x") == await c.offers("cat %1") == []
        assert (await c.about("fg %1"))["%1"] == "running: sleep 1000"


async def test_hosts_and_sessions_of_taskfs() -> None:
    async with completing() as c:
        await c.run("bind '#T' /remote/gpu1; PATH=(); path=/bin")
        assert await c.offers("on gp") == ["on gpu1"]
        assert await c.offers("on gpu1 pw") == ["on gpu1 pwd"]
        assert await c.offers("on gpu1 mount -A") == ["on gpu1 mount -A"]
        assert await c.offers("on -h gp") == ["on -h gpu1"]
        fd = await c.world.proc.open("/task/remote/clone")
        assert await c.offers("tasks -k ") == ["tasks -k 0"]
        c.world.proc.close(fd)


async def test_signals_and_titles() -> None:
    async with completing() as c:
        assert await c.offers("kill -HU") == ["kill -HUP"]
        assert await c.offers("man taskfs-") == ["man taskfs-tutorial"]


async def test_numbers_are_not_files(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    async with completing() as c:
        await c.run(f"cd {tmp_path}")
        assert await c.offers("sleep ") == []
        assert await c.offers("head -n ") == []
        assert await c.offers("head -n 3 ") == ["head -n 3 file"]


async def test_words_that_a_synopsis_has() -> None:
    async with completing() as c:
        assert await c.offers("ns -g m") == ["ns -g mermaid"]


# --- control messages ----------------------------------------------------------------------------


async def test_messages_of_the_device_that_is_written_to() -> None:
    async with completing() as c:
        await c.run("bind -a '#C' /; cat </task/remote/clone >/dev/null")
        offers = await c.offers(f"echo re{CURSOR} >/task/remote/0/ctl")
        assert offers == ["echo release", "echo res", "echo resting"]
        assert await c.offers(f"echo onfail {CURSOR} >/task/remote/0/ctl") == [
            "echo onfail continue",
            "echo onfail stop",
        ]
        assert await c.offers(">/task/remote/0/ctl echo -n det") == [">/task/remote/0/ctl echo -n detach"]
        assert await c.offers(f"echo k{CURSOR} >/prog/1/ctl") == ["echo kill", "echo killgrp"]


async def test_messages_for_the_control_file_of_this_directory() -> None:
    async with completing() as c:
        await c.run("bind '#T' /n/t; cat </n/t/remote/clone >/dev/null; cd /n/t/remote/0")
        assert "echo timeout" in await c.offers("echo t")
        await c.run("cd /")
        assert "echo timeout" not in await c.offers("echo t")


async def test_messages_of_another_machines_device(tmp_path: Path) -> None:
    async with completing() as c:
        await c.run(f"styxlisten 'unix!{tmp_path}/s' export /task; mount 'unix!{tmp_path}/s' /n/x")
        fd = await c.world.proc.open("/n/x/remote/clone")
        assert await c.offers(f"echo clos{CURSOR} >/n/x/remote/0/ctl") == ["echo closein"]
        c.world.proc.close(fd)
        await c.run("unmount /n/x")


# --- directories that do not answer --------------------------------------------------------------


class Dead(Device):
    """A directory that never answers."""

    letter, name = "Q", "dead"
    alive = False

    def read(self, c: Chan, count: int, offset: int) -> Maybe[bytes]:
        return super().read(c, count, offset) if self.alive else self._never()

    async def _never(self) -> bytes:
        await asyncio.Event().wait()
        return b""


async def test_a_directory_that_does_not_answer_offers_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "PATIENCE", 0.05)
    async with completing() as c:
        c.world.proc.system.register(Dead)
        await c.run("bind '#Q' /n/dead")
        text = "cat /n/dead/"
        found = await c.completer.offers(text, len(text))
        assert found.found == []
        assert found.silent == "/n/dead"


async def test_whoever_waits_for_it_can_stop_waiting() -> None:
    async with completing() as c:
        c.world.proc.system.register(Dead)
        await c.run("bind '#Q' /n/dead")
        asking = asyncio.ensure_future(c.offers("cat /n/dead/"))
        await asyncio.sleep(0)
        asking.cancel()
        done, _ = await asyncio.wait([asking], timeout=0.5)
        assert done == {asking}
        assert asking.cancelled()
