"""No byte of input or output is lost, doubled or mixed, whoever reads when."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from nsh import errors
from nsh.p9.const import OWRITE
from taskfs import spool
from tests.taskfs.test_spool import full
from tests.taskfs.world import world


async def test_output_can_be_read_again_from_the_start() -> None:
    async with world() as w:
        s = await w.team(3, "exec sh -c 'echo one %r; echo two %r'")
        whole = "".join(f"one {r}\ntwo {r}\n" for r in range(3))
        for _ in range(2):
            assert await w.cat(f"{s}/stdout") == whole
        fd = await w.p.open(f"{s}/stdout")
        assert await w.p.readall(fd) == whole.encode()
        assert await w.p.pread(fd, 5, 0) == whole.encode()[:5]
        w.p.close(fd)


async def test_a_read_waits_for_exec_and_can_be_given_up() -> None:
    async with world() as w:
        s = await w.team(2)
        given_up = asyncio.create_task(w.cat(f"{s}/stdout"))
        reading = asyncio.create_task(w.cat(f"{s}/stdout"))
        await asyncio.sleep(0.05)
        given_up.cancel()
        await w.echo("exec echo done", f"{s}/ctl")
        assert await reading == "done\ndone\n"
        assert given_up.cancelled()


async def test_input_goes_to_every_child_and_ends_with_the_last_writer() -> None:
    async with world() as w:
        s = await w.team(3, "exec cat")
        one = await w.p.open(f"{s}/stdin", OWRITE)
        other = await w.p.open(f"{s}/stdin", OWRITE)
        await w.p.write(one, b"a\n")
        w.p.close(one)
        await w.p.write(other, b"b\n")
        w.p.close(other)
        assert await w.cat(f"{s}/stdout") == "a\nb\n" * 3


async def test_closein_ends_the_input_at_once() -> None:
    async with world() as w:
        s = await w.team(2, "exec cat", "closein")
        assert await w.cat(f"{s}/stdout") == ""
        assert await w.refusal("late", f"{s}/stdin") == "write on closed pipe"


async def test_inmode_lines_deals_whole_lines_out() -> None:
    async with world() as w:
        s = await w.team(3, "inmode lines", "exec cat")
        fd = await w.p.open(f"{s}/stdin", OWRITE)
        sent = [f"line {n}" for n in range(30)]
        text = "\n".join(sent)
        for at in range(0, len(text), 7):  # lines do not arrive in one piece
            await w.p.write(fd, text[at : at + 7].encode())
        w.p.close(fd)
        got = [(await w.cat(f"{s}/{rank}/stdout")).splitlines() for rank in range(3)]
        assert sorted(line for lines in got for line in lines) == sorted(sent)
        assert all(got)


async def test_writers_at_the_same_time_end_their_own_lines() -> None:
    async with world() as w:
        s = await w.team(2, "inmode lines", "exec cat")
        one, two = [await w.p.open(f"{s}/stdin", OWRITE) for _ in range(2)]
        for n in range(20):
            await w.p.write(one, f"first {n}".encode())
            await w.p.write(two, f"second {n} ".encode())
            await w.p.write(one, b" one\n")
            await w.p.write(two, b"two\n")
        for fd in (one, two):
            w.p.close(fd)
        sent = [f"{text}" for n in range(20) for text in (f"first {n} one", f"second {n} two")]
        got = [(await w.cat(f"{s}/{rank}/stdout")).splitlines() for rank in range(2)]
        assert got == [sent[::2], sent[1::2]]  # and the lines went to one after the other


async def test_who_comes_next_ends_the_line_of_a_writer_that_has_gone() -> None:
    async with world() as w:
        s = await w.team(1, "inmode lines", "exec cat")
        held = await w.p.open(f"{s}/stdin", OWRITE)
        await w.p.write(held, b"held ")
        await w.p.writefile(f"{s}/stdin", b"foo")
        await w.p.write(held, b"line\n")
        await w.p.writefile(f"{s}/stdin", b"bar\n")
        for text in (b"never", b" ended"):
            await w.p.writefile(f"{s}/stdin", text)
        w.p.close(held)
        assert await w.cat(f"{s}/stdout") == "held line\nfoobar\nnever ended"


async def test_what_several_writers_have_not_ended_stays_apart() -> None:
    async with world() as w:
        s = await w.team(1, "inmode lines", "exec cat")
        fds = [await w.p.open(f"{s}/stdin", OWRITE) for _ in range(3)]
        for fd, text in zip(fds, (b"one", b"two", b"three"), strict=True):
            await w.p.write(fd, text)
        for fd in fds:
            w.p.close(fd)
        assert await w.cat(f"{s}/stdout") == "one\ntwo\nthree"


async def test_many_lines_keep_their_order_in_each_task() -> None:
    async with world() as w:
        s = await w.team(3, "inmode lines", "exec sh -c 'if [ %r = 1 ]; then sleep 0.5; fi; cat'")
        text = b"".join(b"%06d %s\n" % (n, b"x" * (n % 90)) for n in range(30000)) + b"y" * 20000 + b"\n"
        await w.p.writefile(f"{s}/stdin", text)
        got = [(await w.p.readfile(f"{s}/{rank}/stdout")).splitlines() for rank in range(3)]
        assert all(lines == sorted(lines) for lines in got)
        assert sorted(line for lines in got for line in lines) == text.splitlines()


async def test_lines_that_a_task_does_not_take_are_for_the_others() -> None:
    async with world() as w:
        s = await w.team(3, "inmode lines", "exec sh -c 'if [ %r = 1 ]; then exec <&-; sleep 100; fi; cat'")
        fd = await w.p.open(f"{s}/1/stdin", OWRITE)
        with pytest.raises(OSError, match="write on closed pipe"):
            while True:
                await w.p.write(fd, b"x")
                await asyncio.sleep(0.01)
        w.p.close(fd)
        text = "".join(f"{n}\n" for n in range(5000))
        await w.p.writefile(f"{s}/stdin", text.encode())
        got = (await w.cat(f"{s}/0/stdout") + await w.cat(f"{s}/2/stdout")).splitlines()
        assert sorted(got) == sorted(text.splitlines())
        await w.echo("kill", f"{s}/ctl")
        await w.cat(f"{s}/wait")


@pytest.mark.parametrize(("label", "prefix"), [("none", ""), ("rank", "%r: "), ("host", "%h: ")])
@pytest.mark.parametrize("outmode", ["child", "line"])
async def test_lines_stay_whole_and_get_their_label(outmode: str, label: str, prefix: str) -> None:
    async with world() as w:
        s = await w.team(3, f"outmode {outmode}", f"label {label}")
        await w.echo(
            "exec sh -c 'for i in 1 2 3; do printf x; sleep 0.01; echo $i; done; printf end'", f"{s}/ctl"
        )
        text = await w.cat(f"{s}/stdout")
        host = os.uname().nodename
        prefixes = [prefix.replace("%r", str(r)).replace("%h", host) for r in range(3)]
        end = "\n" if prefix else ""  # with a label, a line is a line even where the task has not ended it
        for mine in set(prefixes):
            for line in ("x1\n", "x2\n", "x3\n", f"end{end}"):
                assert text.count(mine + line) == prefixes.count(mine)
        if outmode == "child":
            assert text == "".join(f"{p}x1\n{p}x2\n{p}x3\n{p}end{end}" for p in prefixes)


async def test_a_line_that_a_task_has_not_ended_is_not_that_of_another() -> None:
    async with world() as w:
        s = await w.team(3, "outmode line", "exec sh -c 'read x; echo %r; printf end%r'")
        for rank in (1, 0, 2):
            await w.echo("on", f"{s}/{rank}/stdin")
            assert (await w.cat(f"{s}/{rank}/wait")).endswith("''\n")
        lines = (await w.cat(f"{s}/stdout")).splitlines(keepends=True)
        assert sorted(line.rstrip("\n") for line in lines) == ["0", "1", "2", "end0", "end1", "end2"]
        assert all(line.endswith("\n") for line in lines[:-1]) and lines[-1][:3] == "end"


async def test_raw_output_has_every_byte_of_every_child() -> None:
    async with world() as w:
        s = await w.team(4, "outmode raw", "exec head -c 300000 /dev/zero")
        assert len(await w.cat(f"{s}/stdout")) == 4 * 300000


async def test_more_output_than_memory_holds_comes_back_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "MEMORY", 1 << 16)
    monkeypatch.setattr(spool, "SEGMENT", 1 << 18)
    async with world() as w:
        s = await w.team(2, "exec seq 200000")
        expected = "".join(f"{n}\n" for n in range(1, 200001))
        assert await w.cat(f"{s}/wait")
        assert await w.cat(f"{s}/stdout") == expected * 2
        assert await w.cat(f"{s}/1/stdout") == expected


def small_quota(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let 256 KiB be kept of each stream, 64 of them in memory."""
    monkeypatch.setattr(spool, "MEMORY", 1 << 16)
    monkeypatch.setattr(spool, "SEGMENT", 1 << 16)
    monkeypatch.setattr(spool, "QUOTA", 1 << 18)


async def test_at_the_quota_a_task_is_held_back_until_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    small_quota(monkeypatch)
    async with world() as w:
        s = await w.team(2, "exec seq 300000")
        expected = "".join(f"{n}\n" for n in range(1, 300001))
        got = await w.cat(f"{s}/stdout")
        assert got == expected * 2


async def test_past_the_quota_each_open_begins_with_what_is_still_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small_quota(monkeypatch)
    async with world() as w:
        s = await w.team(2, "exec seq 300000")
        whole = "".join(f"{n}\n" for n in range(1, 300001))
        assert await w.cat(f"{s}/stdout") == whole * 2
        kept = [await w.cat(f"{s}/{rank}/stdout") for rank in range(2)]
        assert all(text and whole.endswith(text) for text in kept)
        assert await w.cat(f"{s}/stdout") == "".join(kept)
        fd = await w.p.open(f"{s}/stdout")
        assert await w.p.readall(fd) == await w.p.pread(fd, 1 << 20, 0) == "".join(kept).encode()
        w.p.close(fd)


async def test_readers_at_the_same_time_each_get_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    small_quota(monkeypatch)
    async with world() as w:
        s = await w.team(1, "exec sh -c 'read line; seq 200000'")
        names = [f"{s}/stdout", f"{s}/stdout", f"{s}/stdio", f"{s}/0/stdout"]
        readers = [asyncio.create_task(w.cat(name)) for name in names]
        await asyncio.sleep(0.1)  # all of them wait for the first byte
        await w.echo("go", f"{s}/stdin")
        whole = "".join(f"{n}\n" for n in range(1, 200001))
        for reader in readers:
            assert await reader == whole
        assert " 5 Done " in await w.cat(f"{s}/status")


async def test_who_begins_later_does_not_disturb_who_is_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    small_quota(monkeypatch)
    async with world() as w:
        s = await w.team(1, "exec seq 200000")
        whole = "".join(f"{n}\n" for n in range(1, 200001)).encode()
        fd = await w.p.open(f"{s}/stdout")
        got = b""
        while len(got) < 1_000_000:
            got += await w.p.read(fd)
        later = asyncio.create_task(w.cat(f"{s}/stdout"))
        await asyncio.sleep(0.1)
        assert got + await w.p.readall(fd) == whole
        w.p.close(fd)
        text = (await later).encode()
        assert whole.endswith(text) and 0 < len(text) < len(whole)


@pytest.mark.parametrize("outmode", ["child", "line", "raw"])
async def test_a_full_disk_holds_tasks_back_and_loses_nothing(
    outmode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "MEMORY", 1 << 16)
    monkeypatch.setattr(spool, "temporary", full)
    async with world() as w:
        s = await w.team(2, f"outmode {outmode}", "exec sh -c 'test %r = 1 && echo fine || seq 100000'")
        assert (await w.cat(f"{s}/1/wait")).endswith("''\n")
        assert " Execute " in await w.cat(f"{s}/0/status")
        whole = "".join(f"{n}\n" for n in range(1, 100001))
        got = await w.cat(f"{s}/stdout")
        assert got.replace("fine\n", "", 1) == whole
        assert await w.cat(f"{s}/1/stdout") == "fine\n"


@pytest.mark.parametrize("outmode", ["child", "line"])
async def test_what_went_wrong_with_a_childs_output_is_told_to_the_reader(
    outmode: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def unreadable() -> int:
        return os.open(tmp_path / "lost", os.O_WRONLY | os.O_CREAT)

    async with world() as w:
        s = await w.team(2, f"outmode {outmode}")
        with monkeypatch.context() as patch:
            patch.setattr(spool, "MEMORY", 1 << 16)
            patch.setattr(spool, "temporary", unreadable)
            await w.echo("exec sh -c 'test %r = 1 && echo fine || seq 100000'", f"{s}/ctl")
            await w.cat(f"{s}/wait")
        for _ in range(2):  # each reader is told once, and the output of the others goes on
            fd = await w.p.open(f"{s}/stdout")
            with pytest.raises(OSError, match="Bad file descriptor"):
                while await w.p.read(fd):
                    pass
            await w.p.readall(fd)
            w.p.close(fd)
        assert await w.cat(f"{s}/1/stdout") == "fine\n"


async def test_an_exec_that_is_refused_leaves_the_tasks_that_run_as_they_are() -> None:
    async with world() as w:
        s = await w.team(2, "exec sh -c 'echo one; read line; echo $line'")
        fd = await w.p.open(f"{s}/stdout")
        assert await w.p.read(fd) == b"one\n"
        assert await w.refusal("exec echo two", f"{s}/ctl") == "0-1: exec failed: a task is running already"
        await w.echo("on", f"{s}/stdin")
        assert await w.p.readall(fd) == b"on\none\non\n"
        w.p.close(fd)
        assert await w.cat(f"{s}/stdout") == "one\non\n" * 2
        assert (await w.cat(f"{s}/wait")).count("''") == 2


async def test_an_exec_that_some_refuse_changes_the_output_of_the_others_only() -> None:
    async with world() as w:
        s = await w.team(2, "exec sh -c 'echo one; test %r = 0 || read line'")
        await w.cat(f"{s}/0/wait")
        assert await w.refusal("exec echo two", f"{s}/ctl") == "1: exec failed: a task is running already"
        assert await w.cat(f"{s}/0/wait")
        reading = asyncio.create_task(w.cat(f"{s}/stdout"))
        await w.echo("closein", f"{s}/1/ctl")
        assert await reading == "two\none\n"


async def test_input_that_the_task_does_not_read_holds_the_writer_back() -> None:
    async with world() as w:
        s = await w.clone()
        await w.echo("exec sh -c 'read line; sleep 100'", f"{s}/ctl")
        fd = await w.p.open(f"{s}/stdin", OWRITE)
        writing = asyncio.create_task(w.p.write(fd, b"x" * (1 << 20)))
        await asyncio.sleep(0.1)
        assert not writing.done()
        await w.echo("kill", f"{s}/ctl")
        with pytest.raises(errors.Ewclosed):
            await writing
        w.p.close(fd)


async def test_a_child_that_has_closed_its_input_is_skipped() -> None:
    async with world() as w:
        s = await w.team(2, "exec sh -c 'test %r = 0 && exec <&-; cat'")
        fd = await w.p.open(f"{s}/stdin", OWRITE)
        assert await w.cat(f"{s}/0/wait")
        await w.p.write(fd, b"still here\n")
        w.p.close(fd)
        assert await w.cat(f"{s}/1/stdout") == "still here\n"
        assert await w.refusal("gone", f"{s}/stdin") == "write on closed pipe"


async def test_splice_and_xsplice_connect_files_and_children(tmp_path: os.PathLike[str]) -> None:
    source = os.path.join(tmp_path, "words")
    with open(source, "w") as file:
        file.write("pear\napple\nfig\n")
    async with world() as w:
        s = await w.team(2)
        await w.echo("exec cat", f"{s}/0/ctl")
        await w.echo("exec sort", f"{s}/1/ctl")
        await w.echo("xsplice 0 1", f"{s}/ctl")
        await w.echo(f"splice {source}", f"{s}/0/ctl")
        assert await w.cat(f"{s}/1/stdout") == "apple\nfig\npear\n"


async def test_a_child_is_not_connected_to_itself() -> None:
    async with world() as w:
        s = await w.team(2)
        assert await w.refusal("xsplice 1 1", f"{s}/ctl") == "xsplice: child 1 would read what it writes"
        await w.echo("exec cat", f"{s}/ctl")
        await w.echo("as before", f"{s}/stdin")
        assert await w.cat(f"{s}/stdout") == "as before\n" * 2


async def test_outputs_of_several_children_can_be_connected_to_one_that_has_input_of_its_own_too() -> None:
    async with world() as w:
        s = await w.team(4, "inmode lines", "xsplice 0 3", "xsplice 1 3", "xsplice 2 3", "exec sort")
        words = "".join(f"{n:05d}\n" for n in range(5000))
        await w.echo(words.rstrip("\n"), f"{s}/stdin")
        assert await w.cat(f"{s}/3/stdout") == words


async def test_a_second_exec_starts_the_output_anew() -> None:
    async with world() as w:
        s = await w.team(2, "exec echo first run")
        await w.cat(f"{s}/wait")
        fds = [await w.p.open(name) for name in (f"{s}/stdout", f"{s}/0/stdout")]
        for fd in fds:
            assert await w.p.read(fd) == b"first run\n" * (2 if fd == fds[0] else 1)
        await w.echo("exec echo a second run, which is longer", f"{s}/ctl")
        for fd in fds:
            assert await w.p.read(fd) == b""
            w.p.close(fd)
        assert await w.cat(f"{s}/stdout") == "a second run, which is longer\n" * 2


async def test_a_read_that_waits_ends_when_the_session_is_freed() -> None:
    async with world() as w:
        for outmode in ("child", "line"):
            s = await w.team(2, f"outmode {outmode}", "exec sleep 100")
            fd = await w.p.open(f"{s}/stdout")
            reading = asyncio.create_task(w.p.read(fd))
            await asyncio.sleep(0.05)
            await w.p.remove(s)
            assert await reading == b""
            w.p.close(fd)


async def test_many_children_at_once() -> None:
    async with world() as w:
        s = await w.team(100, "exec echo %r")
        assert await w.cat(f"{s}/stdout") == "".join(f"{n}\n" for n in range(100))
        assert len(await w.ls(s)) == 110


@pytest.mark.parametrize("children", [0, 3])
async def test_input_from_before_exec_is_queued_and_ends_with_its_writer(children: int) -> None:
    async with world() as w:
        s = await w.team(children)
        await w.echo("early", f"{s}/stdin")
        assert await w.refusal("late", f"{s}/stdin") == "write on closed pipe"
        await w.echo("exec cat", f"{s}/ctl")
        assert await w.cat(f"{s}/stdout") == "early\n" * max(children, 1)


@pytest.mark.parametrize("children", [0, 3])
async def test_what_is_queued_before_exec_is_bounded_and_goes_first(children: int) -> None:
    async with world() as w:
        s = await w.team(children)
        fd = await w.p.open(f"{s}/stdin", OWRITE)
        assert await w.p.write(fd, b"1" * spool.INQUEUE) == spool.INQUEUE
        writing = asyncio.create_task(w.p.write(fd, b"2"))
        await asyncio.sleep(0.05)
        assert not writing.done()
        await w.echo("exec cat", f"{s}/ctl")
        await writing
        await w.p.write(fd, b"3")
        w.p.close(fd)
        assert await w.cat(f"{s}/stdout") == ("1" * spool.INQUEUE + "23") * max(children, 1)


async def test_input_from_before_res_goes_to_the_children() -> None:
    async with world() as w:
        s = await w.clone()
        fd = await w.p.open(f"{s}/stdin", OWRITE)
        await w.p.write(fd, b"one\ntwo\n")
        await w.echo("res 2\ninmode lines\nexec cat", f"{s}/ctl")
        await w.p.write(fd, b"three\nfour\n")
        await w.echo("closein", f"{s}/ctl")
        got = [await w.cat(f"{s}/{rank}/stdout") for rank in range(2)]
        assert all(got) and sorted("".join(got).split()) == ["four", "one", "three", "two"]
        w.p.close(fd)


async def test_who_waits_to_write_is_told_when_the_session_is_freed() -> None:
    async with world() as w:
        for s in (await w.clone(), await w.team(2)):
            fd = await w.p.open(f"{s}/stdin", OWRITE)
            writing = asyncio.create_task(w.p.write(fd, b"x" * (spool.INQUEUE + 1)))
            await asyncio.sleep(0.05)
            assert not writing.done()
            await w.echo("release", f"{s}/ctl")
            with pytest.raises(errors.Ewclosed):
                await writing
            w.p.close(fd)


async def test_closein_before_exec_ends_the_input_behind_what_is_queued() -> None:
    async with world() as w:
        s = await w.team(2)
        fd = await w.p.open(f"{s}/stdin", OWRITE)
        await w.p.write(fd, b"all of it\n")
        await w.echo("closein\nexec cat", f"{s}/ctl")
        assert await w.cat(f"{s}/stdout") == "all of it\n" * 2
        w.p.close(fd)


@pytest.mark.parametrize("children", [0, 2])
async def test_a_reader_that_saw_no_byte_of_one_run_can_read_the_next(children: int) -> None:
    async with world() as w:
        s = await w.team(children, "exec true")
        await w.cat(f"{s}/wait")
        fd = await w.p.open(f"{s}/stdout")
        assert await w.p.read(fd) == b""
        await w.echo("exec echo more", f"{s}/ctl")
        assert await w.p.readall(fd) == b"more\n" * max(children, 1)
        w.p.close(fd)


async def test_who_has_read_all_that_a_task_printed_may_start_the_next() -> None:
    async with world() as w:
        s = await w.clone()
        for i in range(20):
            await w.echo(f"exec sh -c 'echo {i}; exec >&- 2>&-; sleep 0.02'", f"{s}/ctl")
            assert await w.cat(f"{s}/stdout") == f"{i}\n"
