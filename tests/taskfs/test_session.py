"""A session's directory, its control words, and its life, on one host."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import weakref
from pathlib import Path

import pytest

from nsh import errors
from nsh.kern.namec import quote
from nsh.kern.proc import RFNOTEG
from nsh.p9.const import ORDWR, OWRITE
from taskfs import gather, session
from taskfs.child import Child
from tests.fuse.mounts import ninepfuse, server
from tests.taskfs.world import SESSION_FILES, until, world


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def _pid(w: object, session: str) -> int:
    """The process id that ``sh -c 'echo $$; ...'`` has printed."""
    p = w.p  # type: ignore[attr-defined]
    fd = await p.open(f"{session}/stdout")
    try:
        return int(await p.read(fd))
    finally:
        p.close(fd)


async def test_clone_gives_the_lowest_free_number_without_a_newline() -> None:
    async with world() as w:
        assert [await w.cat("/task/remote/clone") for _ in range(3)] == ["0", "1", "2"]
        await w.echo("release", "/task/remote/1/ctl")
        assert await w.ls("/task/remote") == sorted(["0", "2", "arch", "clone", "env", "fs", "ns", "status"])
        assert [await w.cat("/task/remote/clone") for _ in range(2)] == ["1", "3"]


async def test_a_session_has_ten_files_and_then_a_directory_for_each_resource() -> None:
    async with world() as w:
        s = await w.clone()
        assert await w.ls(s) == SESSION_FILES
        await w.echo("res 4", f"{s}/ctl")
        assert await w.ls(s) == sorted(["0", "1", "2", "3", *SESSION_FILES])
        for rank in range(4):
            assert await w.ls(f"{s}/{rank}") == SESSION_FILES
        await w.echo("res 1", f"{s}/ctl")
        assert "4" in await w.ls(s)


async def test_modes_are_those_of_the_manual() -> None:
    async with world() as w:
        s = await w.clone()
        modes = {entry.name: entry.mode for entry in await w.p.readdir(s)}
        assert {modes[name] for name in ("ctl", "stdio", "ns")} == {0o660}
        assert {modes[name] for name in ("args", "env", "stdin")} == {0o222}
        assert {modes[name] for name in ("stdout", "stderr", "status", "wait")} == {0o444}


async def test_status_counts_what_the_parent_holds_open() -> None:
    async with world() as w:
        s = await w.team(2)
        here = os.getcwd()
        assert await w.cat(f"{s}/status") == f"cmd/1 1 Closed {here} ''\ncmd/2 1 Closed {here} ''\n"
        assert await w.cat(f"{s}/1/status") == f"cmd/2 1 Closed {here} ''\n"
        await w.echo("exec echo hi", f"{s}/ctl")
        assert await w.cat(f"{s}/stdio") == "hi\nhi\n"
        assert await w.cat(f"{s}/stderr") == ""
        assert await w.cat(f"{s}/wait")
        assert await w.cat(f"{s}/status") == f"cmd/1 5 Done {here} echo\ncmd/2 5 Done {here} echo\n"


async def test_a_leaf_is_open_while_somebody_has_it_open_again() -> None:
    async with world() as w:
        s = await w.clone()
        assert (await w.cat(f"{s}/status")).split()[1:3] == ["0", "Closed"]
        fd = await w.p.open(f"{s}/ctl", ORDWR)
        assert (await w.cat(f"{s}/status")).split()[1:3] == ["1", "Open"]
        w.p.close(fd)
        assert (await w.cat(f"{s}/status")).split()[1:3] == ["0", "Closed"]


async def test_dir_env_args_and_substitution_reach_the_task() -> None:
    async with world() as w:
        s = await w.team(2, "dir /usr")
        await w.echo("COLOUR=red green", f"{s}/env")
        await w.echo("last 'one more'", f"{s}/args")
        await w.echo("exec sh -c 'pwd; echo $COLOUR; echo $2 %r/%n' sh", f"{s}/ctl")
        assert await w.cat(f"{s}/stdout") == "".join(
            f"/usr\nred green\none more {rank}/2\n" for rank in range(2)
        )


async def test_signs_are_those_of_the_session_that_a_task_is_in() -> None:
    async with world() as w:
        s = await w.team(2)
        await w.echo("res 3", f"{s}/1/ctl")
        await w.echo("exec sh -c 'echo %r/%n $TASK_RANK/$TASK_SIZE'", f"{s}/ctl")
        assert await w.cat(f"{s}/stdout") == "0/2 0/2\n" + "".join(f"{r}/3 {r}/3\n" for r in range(3))


async def test_a_sign_that_is_doubled_is_none_at_any_depth() -> None:
    async with world() as w:
        host = os.uname().nodename
        leaf, s = await w.clone(), await w.team(2)
        await w.echo("res 1", f"{s}/1/ctl")
        for session, ranks in ((leaf, "0"), (s, "00")):  # the other one is the first of its own
            await w.echo("exec echo %r %%r %%%h 100% %% %%d", f"{session}/ctl")
            shown = [f"{rank} %r %{host} 100% %% %%d\n" for rank in ranks]
            assert await w.cat(f"{session}/stdout") == "".join(shown)


async def test_a_setting_of_a_resource_stays_until_its_session_has_another() -> None:
    async with world() as w:
        s = await w.team(2)
        await w.echo("dir /usr\nnice 3", f"{s}/1/ctl")
        cwd = os.getcwd()
        for setting, shown in (("timeout 9", f"{cwd}\n0\n/usr\n3\n"), ("dir /\nnice 0", "/\n0\n" * 2)):
            await w.echo(f"{setting}\nexec sh -c 'pwd; nice'", f"{s}/ctl")
            assert await w.cat(f"{s}/stdout") == shown
            assert await w.cat(f"{s}/wait")


async def test_a_limit_of_time_is_lifted_for_resources_too() -> None:
    async with world() as w:
        s = await w.team(2, "timeout 0.1", "exec sleep 100")
        assert (await w.cat(f"{s}/wait")).count("'timeout'") == 2
        await w.echo("timeout 0\nexec sleep 0.3", f"{s}/ctl")
        assert (await w.cat(f"{s}/wait")).count("''") == 2


async def test_input_is_not_connected_to_what_has_ended(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("text\n")
    async with world() as w:
        leaf, s = await w.clone(), await w.team(2)
        for session in (leaf, s):
            await w.echo("exec true", f"{session}/ctl")
            assert await w.cat(f"{session}/wait")
            assert await w.refusal(f"splice {tmp_path}/text", f"{session}/ctl") == "write on closed pipe"
        assert await w.refusal("xsplice 0 1", f"{s}/ctl") == "xsplice: child 1 has ended"
        await w.echo("exec cat", f"{leaf}/ctl")
        await w.echo(f"splice {tmp_path}/text", f"{leaf}/ctl")
        assert await w.cat(f"{leaf}/stdout") == "text\n"


async def test_a_line_of_env_may_come_in_pieces() -> None:
    async with world() as w:
        s = await w.clone()
        await w.echo("OLD=old", f"{s}/env")
        fd = await w.p.open(f"{s}/env", OWRITE)
        for piece in (b"LONG", b"=a", b"b\nTWO=2\nO", b"LD"):
            await w.p.write(fd, piece)
        w.p.close(fd)
        await w.echo("exec sh -c 'echo $LONG $TWO $OLD.'", f"{s}/ctl")
        assert await w.cat(f"{s}/stdout") == "ab 2 .\n"


async def test_args_that_are_taken_away_are_gone_for_resources_too() -> None:
    async with world() as w:
        s = await w.team(2)
        await w.echo("here", f"{s}/1/args")  # its own, which nobody takes away
        for args, shown in (("a 'b c'", "a b c\n" * 2), ("", "\nhere\n")):
            await w.echo(args, f"{s}/args")
            await w.echo("exec echo", f"{s}/ctl")
            if not args:
                await w.echo("here", f"{s}/1/args")
                await w.cat(f"{s}/wait")
                await w.echo("exec echo", f"{s}/ctl")
            assert await w.cat(f"{s}/stdout") == shown


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("frob a 'b c'", "unknown control message \"frob a 'b c'\""),
        ("res", 'wrong #args in control message "res"'),
        ("res x", 'bad argument in control message "res x"'),
        ("res -1", 'bad argument in control message "res -1"'),
        ("exec", 'wrong #args in control message "exec"'),
        ("kill now", 'wrong #args in control message "kill now"'),
        ("outmode sideways", 'bad argument in control message "outmode sideways"'),
        ("signal NOSUCH", 'bad argument in control message "signal NOSUCH"'),
        ("signal 0", 'bad argument in control message "signal 0"'),
        ("signal 1000", 'bad argument in control message "signal 1000"'),
        ("xsplice 0 1", "xsplice: no child 1"),
        ("timeout -3", 'bad argument in control message "timeout -3"'),
        ("res 2\nfrob", 'unknown control message "frob"'),
        ("dir 'a", 'unclosed quote in control message "dir \'a"'),
        ("exec /no/such/program", "exec failed: No such file or directory"),
        ("exec ''", "exec failed: No such file or directory"),
        ("nice 20", 'bad argument in control message "nice 20"'),
        ("nice 99999999999", 'bad argument in control message "nice 99999999999"'),
        ("  \n", "empty control message"),
    ],
)
async def test_a_refused_message_says_why_and_changes_nothing(text: str, error: str) -> None:
    async with world() as w:
        s = await w.clone()
        before = await w.cat(f"{s}/status")
        assert await w.refusal(text, f"{s}/ctl") == error
        assert await w.cat(f"{s}/status") == before
        assert await w.ls(s) == SESSION_FILES


async def test_a_failed_exec_names_the_ranks_and_the_others_run_on() -> None:
    async with world() as w:
        s = await w.team(4)
        await w.echo("dir /no/such/place", f"{s}/2/ctl")
        assert (
            await w.refusal("exec echo here", f"{s}/ctl")
            == "2: exec failed: /no/such/place: No such file or directory"
        )
        assert await w.cat(f"{s}/stdout") == "here\n" * 3
        assert await w.refusal("exec /nosuch", f"{s}/ctl") == (
            "0-1,3: exec failed: No such file or directory; "
            "2: exec failed: /no/such/place: No such file or directory"
        )


async def test_an_exec_that_fails_changes_nothing_of_a_session_or_of_its_resources() -> None:
    async with world() as w:
        leaf, team = await w.clone(), await w.team(2)
        for s in (leaf, team):
            before = await w.cat(f"{s}/status")
            assert "Closed" in before
            assert "exec failed: No such file" in await w.refusal("exec /no/such", f"{s}/ctl")
            assert [line.split()[2:] for line in (await w.cat(f"{s}/status")).splitlines()] == [
                line.split()[2:] for line in before.splitlines()
            ]
            await w.echo("exec sh -c 'echo done; exit 3'", f"{s}/ctl")
            reports = [await w.cat(f"{s}/{name}") for name in ("wait", "stdout", "status")]
            assert "exit: 3" in reports[0] and " Done " in reports[2]
            assert "exec failed: No such file" in await w.refusal("exec /no/such", f"{s}/ctl")
            assert [await w.cat(f"{s}/{name}") for name in ("wait", "stdout", "status")] == reports


async def test_who_could_not_start_again_still_has_what_was_before() -> None:
    async with world() as w:
        s = await w.team(2, "exec sh -c 'echo one; exit 1'")
        await w.cat(f"{s}/wait")
        await w.echo("dir /no/such/place", f"{s}/1/ctl")
        assert (await w.refusal("exec sh -c 'echo two; exit 2'", f"{s}/ctl")).startswith("1: exec failed:")
        assert await w.cat(f"{s}/stdout") == "two\none\n"
        assert [line.partition("'")[2] for line in (await w.cat(f"{s}/wait")).splitlines()] == [
            "exit: 2'", "exit: 1'"
        ]  # fmt: skip


async def test_when_the_output_has_ended_the_next_task_can_start() -> None:
    async with world() as w:
        s = await w.clone()
        for n in range(20):
            await w.echo(f"exec sh -c 'echo {n}; exec 1>&- 2>&-; sleep 0.02'", f"{s}/ctl")
            assert await w.cat(f"{s}/stdout") == f"{n}\n"


async def test_wait_says_how_each_task_ended() -> None:
    async with world() as w:
        s = await w.team(3)
        await w.echo("exec sh -c 'exit %r'", f"{s}/ctl")
        lines = (await w.cat(f"{s}/wait")).splitlines()
        host = os.uname().nodename
        assert [line.split(" ", 6)[0:2] for line in lines] == [[str(r), host] for r in range(3)]
        assert [line.split(" ", 6)[6] for line in lines] == ["''", "'exit: 1'", "'exit: 2'"]
        assert await w.cat(f"{s}/wait") == "\n".join(lines) + "\n"


async def test_timeout_and_signals_end_a_task_and_wait_says_so() -> None:
    async with world() as w:
        s = await w.team(1, "timeout 0.1", "exec sleep 100")
        assert (await w.cat(f"{s}/wait")).endswith(" 'timeout'\n")
        for which in ("USR1", "sigusr1", str(int(signal.SIGUSR1))):
            t = await w.team(2, "exec sleep 100", f"signal {which}")
            ends = [line.partition("'")[2] for line in (await w.cat(f"{t}/wait")).splitlines()]
            assert ends == [f"signal: {int(signal.SIGUSR1)}'"] * 2


async def test_onfail_stop_kills_the_others_when_one_fails() -> None:
    async with world() as w:
        s = await w.team(3, "onfail stop", "exec sh -c 'test %r != 1 || exit 7; sleep 100'")
        ends = [line.split("'")[1] for line in (await w.cat(f"{s}/wait")).splitlines()]
        assert ends == ["signal: 15", "exit: 7", "signal: 15"]


async def test_release_kills_the_process_group_and_frees_the_children() -> None:
    async with world() as w:
        s = await w.team(2)
        await w.echo("exec sh -c 'sleep 100 & echo $!; wait'", f"{s}/ctl")
        pid = await _pid(w, f"{s}/0")
        assert _alive(pid)
        await w.echo("release", f"{s}/ctl")
        assert await w.ls("/task/remote") == ["arch", "clone", "env", "fs", "ns", "status"]
        await w.device.settled()
        assert not _alive(pid)


async def test_a_task_that_ignores_sigterm_is_killed_all_the_same() -> None:
    async with world() as w:
        s = await w.clone()
        await w.echo("exec sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1; done'", f"{s}/ctl")
        pid = await _pid(w, s)
        await w.p.remove(s)
        await w.device.settled()
        assert not _alive(pid)


async def test_a_session_ends_with_the_process_that_leads_its_owner() -> None:
    async with world() as w:
        client = w.p.fork(RFNOTEG)
        fd = await w.on_behalf_of(client, client.open("/task/remote/clone", ORDWR))
        number = (await client.read(fd)).decode()
        await client.write(fd, b"res 2\nexec sleep 100")
        assert (await w.cat(f"/task/remote/{number}/status")).count("Execute") == 2
        client.exit()
        assert await w.ls("/task/remote") == ["arch", "clone", "env", "fs", "ns", "status"]
        await w.device.settled()


async def test_a_detached_session_stays() -> None:
    async with world() as w:
        client = w.p.fork(RFNOTEG)
        fd = await w.on_behalf_of(client, client.open("/task/remote/clone", ORDWR))
        await client.write(fd, b"detach")
        client.exit()
        assert "0" in await w.ls("/task/remote")
        await w.echo("release", "/task/remote/0/ctl")


async def test_what_was_set_in_env_can_be_taken_back() -> None:
    async with world() as w:
        for s in (await w.clone(), await w.team(2)):
            show = 'exec sh -c "echo ${A-unset} ${B-unset} ${HOME:+kept}"'.replace('"', "'")
            for lines, shown in {
                "A=1\nB=2": "1 2 kept",
                "A\nHOME=": "unset 2",
                "B=3\nHOME\nNOSUCH": "unset 3 kept",
                "B": "unset unset kept",
            }.items():
                await w.echo(lines, f"{s}/env")
                await w.echo(show, f"{s}/ctl")
                assert set((await w.cat(f"{s}/stdout")).splitlines()) == {shown}
        assert await w.refusal("=1", f"{s}/env") == "env: a line is NAME=VALUE, or NAME"


async def test_killonclose_kills_when_the_ctl_is_closed_to_which_it_was_written() -> None:
    async with world() as w:
        fd = await w.p.open("/task/remote/clone", ORDWR)
        await w.p.write(fd, b"res 2\nkillonclose\nexec sleep 100")
        await w.echo("signal CONT", "/task/remote/0/ctl")
        assert await w.cat("/task/remote/0/ctl") == "0"
        assert (await w.cat("/task/remote/0/status")).count(" Execute ") == 2
        w.p.close(fd)
        assert (await w.cat("/task/remote/0/wait")).endswith("'signal: 15'\n")


async def test_files_count_as_open_that_a_ctl_keeps_and_as_long_as_it_is_open() -> None:
    async with world() as w:
        s = await w.clone()

        async def opens() -> int:
            return int((await w.cat(f"{s}/status")).split()[1])

        assert await opens() == 0
        fd = await w.p.open(f"{s}/ctl", ORDWR)
        for n in (3, 2, 4):
            await w.p.write(fd, b"keep %d" % n)
            assert await opens() == 1 + n
        for bad in ("5", "-1", "x"):
            with pytest.raises(OSError, match="bad argument in control message"):
                await w.p.write(fd, f"keep {bad}".encode())
        await w.p.write(fd, b"exec sleep 100\nkillonclose")
        assert await opens() == 5
        w.p.close(fd)
        assert await opens() == 0
        assert (await w.cat(f"{s}/wait")).endswith("'signal: 15'\n")


async def test_what_is_this_hosts_own_is_shown_to_its_owner_only() -> None:
    async with world() as w:
        assert await w.cat("/task/remote/arch/os") == "Linux"
        assert await w.cat("/task/remote/env/PATH") == os.environ["PATH"]
        w.p.authenticated = False
        for name in ("arch", "env", "fs", "ns", "status"):
            with pytest.raises(PermissionError, match="permission denied"):
                await w.p.readdir(f"/task/remote/{name}")
        with pytest.raises(PermissionError, match="permission denied"):
            await w.cat("/task/remote/env/PATH")


async def test_the_owner_sees_on_which_hosts_a_session_is() -> None:
    async with world() as w:
        s = await w.team(2)
        host = quote(os.uname().nodename)
        assert await w.cat("/task/remote/status/0/hosts") == f"0 {host} 1\n1 {host} 2\n"
        assert await w.cat("/task/remote/status/1/hosts") == ""
        assert await w.ls("/task/remote/status") == ["0", "1", "2", "hosts", "load", "log", "sessions"]
        await w.echo("release", f"{s}/ctl")
        assert await w.ls("/task/remote/status") == ["hosts", "load", "log", "sessions"]
        for name in ("0", "00", "x", "٠"):
            with pytest.raises(FileNotFoundError):
                await w.cat(f"/task/remote/status/{name}/hosts")


async def test_a_freed_session_answers_nobody_who_still_has_it_open() -> None:
    async with world() as w:
        s = await w.clone()
        fd = await w.p.open(f"{s}/stdout")
        reading = asyncio.create_task(w.p.read(fd))
        await asyncio.sleep(0)
        await w.p.remove(s)
        assert await reading == b""
        with pytest.raises(errors.Ehungup):
            await w.p.read(fd)
        w.p.close(fd)


async def test_the_device_works_walked_by_its_own_name() -> None:
    async with world() as w:
        number = await w.cat("#T/remote/clone")
        s = f"#T/remote/{number}"
        await w.echo("res 3", f"{s}/ctl")
        await w.echo("exec echo %r", f"{s}/ctl")
        assert await w.cat(f"{s}/stdout") == "0\n1\n2\n"


async def test_res_can_ask_for_a_kind_of_host() -> None:
    async with world() as w:
        s = await w.clone()
        await w.echo(f"res 1 Linux {os.uname().machine}", f"{s}/ctl")
        await w.echo(f"res 0 linux {os.uname().machine.upper()}", f"{s}/ctl")
        assert await w.refusal("res 1 Plan9", f"{s}/ctl") == "this host runs Linux, not Plan9"
        assert await w.refusal("res 0 * sparc", f"{s}/ctl") == f"this host is {os.uname().machine}, not sparc"
        assert await w.ls(s) == sorted(["0", *SESSION_FILES])


async def test_hosts_that_are_not_there_are_missed_where_there_are_none_at_all() -> None:
    async with world() as w:
        s = await w.clone()
        why = await w.refusal("hosts host[1-2]\nres 1", f"{s}/ctl")
        assert why == "no such host under /remote: host[1-2]"
        assert await w.ls(s) == SESSION_FILES


@pytest.mark.parametrize(
    ("machine", "names"),
    [
        ("x86_64", ["amd64", "x86_64", "x86-64", "AMD64"]),
        ("aarch64", ["arm64", "aarch64"]),
        ("i686", ["386", "i386", "x86"]),
        ("armv7l", ["arm"]),
        ("riscv64", ["riscv64"]),
    ],
)
async def test_a_kind_of_machine_may_have_several_names(
    machine: str, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.uname()
    monkeypatch.setattr(os, "uname", lambda: os.uname_result((*real[:4], machine)))
    async with world() as w:
        s = await w.clone()
        for name in names:
            await w.echo(f"res 0 * {name}", f"{s}/ctl")
        assert await w.refusal("res 0 * sparc", f"{s}/ctl") == f"this host is {machine}, not sparc"


async def test_opening_for_writing_may_truncate() -> None:
    async with world() as w:
        s = await w.clone()
        fd = await w.p.create(f"{s}/ctl", OWRITE)
        await w.p.write(fd, b"exec true")
        w.p.close(fd)
        assert (await w.cat(f"{s}/wait")).endswith("''\n")


async def test_a_session_that_was_used_and_is_left_alone_is_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "IDLE", 0.05)
    async with world() as w:
        unused = await w.clone()
        for used in (await w.clone(), await w.team(2)):
            await w.echo("exec sleep 0.2", f"{used}/ctl")
            assert await w.cat(f"{used}/wait")
        await until(lambda: len(w.device.sessions) == 1)
        assert await w.ls(unused) == SESSION_FILES


async def test_what_has_ended_is_not_killed_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    async with world() as w:
        s = await w.clone()
        await w.echo("exec true", f"{s}/ctl")
        assert await w.cat(f"{s}/wait")
        await w.device.guard.idle()
        asked: list[object] = []
        monkeypatch.setattr(w.device.guard, "_ask", lambda *message: asked.append(message))
        await w.echo("signal TERM\nkill\nrelease", f"{s}/ctl")
        assert asked == []


async def test_a_thousand_sessions_cost_little_and_are_listed() -> None:
    async with world() as w:
        for _ in range(1000):
            await w.clone()
        assert len(await w.ls("/task/remote")) == 1006


async def test_resources_that_are_given_back_go_before_garbage_is_looked_for() -> None:
    async with world() as w:
        s = await w.team(3, "exec echo hi")
        assert await w.cat(f"{s}/stdout") == "hi\n" * 3
        assert (await w.cat(f"{s}/wait")).count("\n") == 3
        resources = [weakref.ref(w.device.sessions[number]) for number in (1, 2, 3)]
        gc.disable()
        try:
            await w.echo("release", f"{s}/ctl")
            await w.device.settled()
            assert not any(resource() for resource in resources)
        finally:
            gc.enable()


async def test_an_exec_that_fails_leaves_what_the_task_before_has_printed() -> None:
    async with world() as w:
        s = await w.clone()
        await w.echo("exec echo hello", f"{s}/ctl")
        before = await w.cat(f"{s}/wait")
        assert (await w.refusal("exec /no/such/program", f"{s}/ctl")).startswith("exec failed: No such")
        assert await w.cat(f"{s}/stdout") == "hello\n"
        assert await w.cat(f"{s}/wait") == before


async def test_who_is_at_the_end_of_the_output_is_not_kept_by_an_exec_that_fails() -> None:
    async with world() as w:
        s = await w.clone()
        await w.echo("exec echo hello", f"{s}/ctl")
        assert await w.cat(f"{s}/wait")
        fd = await w.p.open(f"{s}/stdout")
        assert await w.p.read(fd) == b"hello\n"
        failing = asyncio.create_task(w.refusal("exec /no/such/program", f"{s}/ctl"))
        await until(lambda: bool(w.device.guard._starting))
        assert await w.p.read(fd) == b""
        w.p.close(fd)
        assert await failing


async def test_who_waits_for_a_task_that_never_comes_is_told_when_the_session_is_freed() -> None:
    async with world() as w:
        for s in (await w.clone(), await w.team(2)):
            waiting = asyncio.create_task(w.cat(f"{s}/wait"))
            await asyncio.sleep(0.05)
            await w.echo("release", f"{s}/ctl")
            with pytest.raises(errors.Ehungup):
                await waiting


async def test_a_freed_session_starts_nothing() -> None:
    async with world() as w:
        s = await w.clone()
        assert await w.refusal("release\nexec sleep 100", f"{s}/ctl") == str(errors.Ehungup())


async def test_nice_is_how_much_lower_the_priority_of_the_task_is() -> None:
    async with world() as w:
        s = await w.team(1, "nice 7", "exec nice")
        assert int(await w.cat(f"{s}/stdout")) == min(os.nice(0) + 7, 19)
        await w.cat(f"{s}/wait")
        await w.echo("nice 0\nexec nice", f"{s}/0/ctl")
        assert int(await w.cat(f"{s}/0/stdout")) == os.nice(0)


async def test_the_children_that_are_asked_for_their_status_at_a_time_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = most = 0
    real = Child.status

    async def counted(child: Child) -> str:
        nonlocal asked, most
        asked += 1
        most = max(most, asked)
        await asyncio.sleep(0)
        asked -= 1
        return await real(child)

    monkeypatch.setattr(gather, "ASKED", 5)
    monkeypatch.setattr(Child, "status", counted)
    async with world() as w:
        s = await w.team(40)
        assert len((await w.cat(f"{s}/status")).splitlines()) == 40
        assert 1 < most <= 5


@pytest.mark.parametrize("resources", [0, 1])
async def test_a_dialogue_through_one_descriptor_of_stdio_misses_nothing(resources: int) -> None:
    async with world() as w:
        s = await w.team(resources) if resources else await w.clone()
        await w.echo("exec cat", f"{s}/ctl")
        fd = await w.p.open(f"{s}/stdio", ORDWR)
        for line in (b"one\n", b"two and more\n", b"three\n"):
            await w.p.write(fd, line)
            assert await w.p.read(fd, 100) == line
        await w.p.seek(fd, 0)
        assert await w.p.read(fd, 100) == b"one\ntwo and more\nthree\n"
        await w.p.write(fd, b"last\n")
        assert await w.p.read(fd, 100) == b"last\n"


async def test_a_resource_that_is_released_with_its_splice_leaves_nothing_open() -> None:
    async with world() as w:
        s = await w.team(1, "exec cat")
        top = w.device.sessions[0]
        await w.echo("splice /dev/null\nrelease", f"{s}/0/ctl")
        await w.device.settled()
        await until(lambda: not top.proc.fgrp.items())


async def test_of_resources_that_are_gone_a_detached_session_takes_none_along() -> None:
    async with world() as w:
        s = await w.team(2)
        await w.echo("release", f"{s}/0/ctl")
        await w.echo("detach", f"{s}/ctl")
        assert len(w.device.detached(w.p.user)) == 2
        await w.echo("release", f"{s}/ctl")
        assert len(w.device.detached(w.p.user)) == 0


AGAIN = """
for name in first second third; do
    n=$(cat remote/clone)
    (cd remote/$n && echo "exec echo $name" > ctl && cat stdout)
    echo release > remote/$n/ctl
done
"""


@pytest.mark.requires("fusermount3", "/dev/fuse")
def test_linux_finds_the_session_that_has_the_number_of_one_that_was_freed(tmp_path: Path) -> None:
    with server("bind '#T' /task", "/task") as (address, _), ninepfuse(address, tmp_path):
        done = subprocess.run(["sh", "-c", AGAIN], cwd=tmp_path, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("first\nsecond\nthird\n", "")
