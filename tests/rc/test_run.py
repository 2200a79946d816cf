"""The interpreter: what the recorded cases of rc do not show, because it is nsh's own."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

import pytest

from nsh.dev import spawn
from nsh.kern.proc import INTERRUPT
from nsh.rc.run import exit_number
from nsh.rc.var import quoted
from tests.rc.shell import rc, world


async def out(text: str) -> str:
    result = await rc(text)
    assert result.err == ""
    return result.out


# --- commands and programs ---------------------------------------------------------------------


async def test_a_command_of_nsh_runs_in_the_process() -> None:
    assert await out("echo hi; cat <{echo there}\n") == "hi\nthere\n"


async def test_a_name_that_nsh_does_not_know_runs_on_the_host() -> None:
    assert await out("expr 6 '*' 7\n") == "42\n"


async def test_a_whole_name_that_the_name_space_hides_runs_on_the_host() -> None:
    assert await out("/bin/sh -c 'echo from sh'\n") == "from sh\n"


async def test_a_pipeline_mixes_both_kinds() -> None:
    assert await out("echo b a | tr ' ' '\\012' | cat | sort | tee /dev/null | tr a-z A-Z\n") == "A\nB\n"


async def test_a_host_program_stands_where_the_shell_stands(tmp_path: Path) -> None:
    assert await out(f"cd {tmp_path}\nsh -c pwd\n") == f"{tmp_path}\n"
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "f").touch()
    (tmp_path / "m").mkdir()
    assert await out(f"cd {tmp_path}\nbind a m\ncd m\nsh -c ls\n") == "f\n"


def test_where_dot_is_none_of_the_host_there_is_an_empty_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    before = os.getcwd()
    spawn._nowhere.cache_clear()
    with spawn._standing_in(None):
        nowhere = os.getcwd()
        assert (os.listdir("."), os.stat(".").st_mode & 0o777) == ([], 0o500)
    assert os.getcwd() == before
    spawn._nowhere.cache_clear()
    os.rmdir(nowhere)


@pytest.mark.skipif(os.geteuid() != 0, reason="is about the superuser")
def test_the_superuser_cannot_make_a_file_there_either() -> None:
    with spawn._standing_in(None):
        assert os.listdir(".") == []
        with pytest.raises(OSError):
            os.mkdir("x")
        if os.path.isdir("/proc/tty/ldisc"):
            assert os.getcwd() == "/proc/tty/ldisc"


async def test_a_host_program_below_what_is_not_the_hosts_has_no_files_by_relative_names() -> None:
    assert await out("cd '#s'\necho abc | tr a x\n") == "xbc\n"
    assert await out("cd '#s'\nsh -c 'echo x >f' >[2]/dev/null || echo refused\n") == "refused\n"


async def test_the_hosts_program_does_not_take_the_place_of_a_command_that_is_hidden(tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    result = await rc(f"bind /env /bin\nrm {tmp_path}/precious\nsh -c 'echo host'\n")
    assert (result.out, result.err) == ("host\n", "nsh: test:2: rm: file does not exist\n")
    assert (tmp_path / "precious").exists()


async def test_a_host_program_gets_the_variables_and_functions() -> None:
    text = "x=(a b)\ny=one\nfn f { echo $* }\nprintenv x y 'fn#f' | tr '\\001' '|'\n"
    assert await out(text) == "a|b\none\n{echo $*}\n"


async def test_environment_files_show_variables() -> None:
    assert await out("x=(a b)\ntr '\\0' ' ' </env/x\n") == "a b"


async def test_a_dollar_without_a_name_vanishes_in_a_here_document_and_so_does_a_caret_after_it() -> None:
    assert await out("x=(1 2)\ncat <<E\n[$][$^][$x^a][$$x^][$^^]\nE\n") == "[][][1 2a][$x^][^]\n"


async def test_a_file_that_is_not_on_the_host_can_be_a_descriptor_of_a_host_program() -> None:
    assert await out("memfs /n/m; tr a-z A-Z >/n/m/f <<EOF\nsome\nEOF\ncat /n/m/f; tr A-Z a-z </n/m/f\n") == (
        "SOME\nsome\n"
    )


async def test_host_programs_and_commands_of_nsh_share_the_position_in_a_file(tmp_path: Path) -> None:
    text = f"cd {tmp_path}\n{{ echo 1; sh -c 'echo 2'; echo 3; sh -c 'echo 4' }} >f; cat f\n"
    assert await out(text) == "1\n2\n3\n4\n"


async def test_high_descriptors_reach_host_programs_whatever_their_order() -> None:
    result = await rc("sh -c 'echo a >&5; echo b >&3; echo c >&2' >[5=1] >[3=2] >[2]/dev/null\n")
    assert result[:2] == ("a\n", "b\n")
    assert (await rc("sh -c 'echo out; echo err >&2' >[3=1] >[1=2] >[2=3] >[3=]\n"))[:2] == ("err\n", "out\n")


async def test_a_script_for_rc_runs_in_this_name_space(tmp_path: Path) -> None:
    script = tmp_path / "s"
    script.write_text("#!/usr/bin/env nsh\nls /n/here\necho $0 $*; bind / /n/other; cd /; exit 3\n")
    script.chmod(0o755)
    text = f"bind {tmp_path} /n/here; cd {tmp_path}; ./s a 'b c'; echo $status; ls /n/other; pwd\n"
    assert await out(text) == f"/n/here/s\n./s a b c\n3\n{tmp_path}\n"


async def test_what_is_not_found_is_said_in_one_line() -> None:
    assert await rc("nosuchcommand\n") == ("", "nsh: test:1: nosuchcommand: file does not exist\n", "1")
    result = await rc("./nosuch\n")
    assert (result.out, result.status) == ("", "1")
    assert re.fullmatch("nsh: .*'./nosuch' file does not exist\n", result.err)


async def test_a_file_without_permission_to_run_hides_no_command(tmp_path: Path) -> None:
    (tmp_path / "echo").write_text("data")
    assert await out(f"cd {tmp_path}; echo hi\n") == "hi\n"


async def test_no_path_means_no_programs() -> None:
    assert await rc("path=()\ntrue\n") == ("", "nsh: test:2: true: file does not exist\n", "1")


async def test_the_status_tells_which_signal_ended_a_program() -> None:
    assert (await rc("sh -c 'kill -9 $$'\n")).status == "signal: killed"


async def test_a_host_program_dies_of_a_pipe_that_nobody_reads() -> None:
    assert (await rc("yes | sed 1q\n")) == ("y\n", "", "signal: broken pipe|")


async def test_a_command_of_nsh_ends_quietly_when_nobody_reads() -> None:
    assert await out("cat /dev/zero | head -c 3 | wc -c | tr -d ' '\n") == "3\n"


# --- the language, where nsh has a rule of its own -------------------------------------------------


async def test_a_failed_redirection_ends_only_its_command() -> None:
    text = "cat </no/such || echo $status; echo on\n"
    result = await rc(text)
    assert (result.out, result.status) == ("error\non\n", "")
    assert re.fullmatch("nsh: test:1: cannot open .*'/no' file does not exist\n", result.err)


async def test_a_null_list_ends_only_its_command() -> None:
    result = await rc("echo one\necho a^() || echo $status\n")
    assert result == ("one\nerror\n", "nsh: test:2: null list in concatenation\n", "")


async def test_other_mistakes_end_the_script() -> None:
    result = await rc("echo (1 2)^(1 2 3)\necho not reached\n")
    assert result == ("", "nsh: test:1: mismatched list lengths in concatenation\n", "error")


async def test_a_pipeline_keeps_every_status() -> None:
    assert (await rc("@{exit a} | @{exit b}; {exit x} | false | ~ a b\n")).status == "x|1|no match"


async def test_errors_of_builtins_obey_redirections() -> None:
    assert await rc("cd /no/such >[2]/dev/null\n") == ("", "", "can't cd")


async def test_a_syntax_error_shows_the_place() -> None:
    result = await rc("echo ok\necho a )\necho not reached\n")
    assert result.out == "ok\n"
    assert result.err.startswith("nsh: test:2:8: ")
    assert "\n\techo a )\n\t       ^ " in result.err


async def test_a_mistake_at_run_time_is_told_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "lib").write_text("fn f {\n\tnosuch1\n\techo (a b)^(1 2 3)\n}\n\nnosuch2\n")
    text = f". {tmp_path}/lib\n\neval 'true\nnosuch3'; nosuch4\nx=`{{nosuch5}}\n"
    text += "cat </no/such\nif(f) nosuch6\n"
    assert (await rc(text)).err.splitlines() == [
        f"nsh: {tmp_path}/lib:6: nosuch2: file does not exist",
        "nsh: test:4: nosuch3: file does not exist",
        "nsh: test:4: nosuch4: file does not exist",
        "nsh: test:5: nosuch5: file does not exist",
        "nsh: test:6: cannot open /no/such: '/no' file does not exist",
        f"nsh: {tmp_path}/lib:2: nosuch1: file does not exist",
        f"nsh: {tmp_path}/lib:3: mismatched list lengths in concatenation",
    ]


async def test_a_syntax_error_of_eval_is_told_where_eval_is() -> None:
    assert (await rc("\neval 'echo )'\n")).err.startswith("nsh: test:2:6: unexpected ')'")


async def test_the_name_space_is_shared_with_pipelines_and_not_after_rfork(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    assert await out(
        f"bind {tmp_path} /n/a | cat; ls /n/a; @{{rfork n; bind {tmp_path} /n/b}}; ls /n/b\n"
    ) == ("/n/a/f\n")


async def test_directories_and_variables_of_children_stay_there() -> None:
    text = "cd /\n@{cd /tmp; x=1}; {cd /tmp; x=1} | cat; y=`{cd /tmp; x=1}; pwd; echo $#x\n"
    assert await out(text) == "/\n0\n"


async def test_globbing_sees_the_name_space() -> None:
    assert await out("memfs /n/m; >/n/m/a.c; >/n/m/b.c; echo /n/m/*.c\n") == "/n/m/a.c /n/m/b.c\n"


async def test_functions_call_each_other_deeply_and_too_deeply() -> None:
    text = "fn f { if(! ~ $#* 0) { shift; f $* } }\n"
    assert (await rc(text + "f `{seq 60}; echo done\n")).out == "done\n"
    result = await rc("fn f { f }\nf\necho not reached\n")
    assert result.out == ""
    assert "too many commands inside each other" in result.err


@pytest.mark.parametrize(
    ("status", "code"),
    [("", 0), ("0|", 0), ("|||", 0), ("3", 3), ("256", 0), ("no match", 1), ("2|", 2), ("signal: killed", 1)],
)
def test_exit_codes(status: str, code: int) -> None:
    assert exit_number(status) == code


# --- the language, where one might think otherwise ---------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        "`{echo 1 >>f} `{echo 2 >>f}",
        "(`{echo 1 >>f} `{echo 2 >>f})",
        "`{echo 1 >>f; echo x}^`{echo 2 >>f; echo x}",
    ],
)
async def test_words_are_evaluated_from_the_last_to_the_first(words: str, tmp_path: Path) -> None:
    assert await out(f"cd {tmp_path}; echo {words} >/dev/null; cat f\n") == "2\n1\n"
    assert await out(f"cd {tmp_path}; rm f; ~ {words} x; cat f\n") == "2\n1\n"
    assert await out(f"cd {tmp_path}; rm f; for(i in {words}) {{}}; cat f\n") == "2\n1\n"


async def test_the_name_of_a_variable_may_begin_with_any_character_of_a_word() -> None:
    text = "'.x'=1; '~'=2; '/a'=3; '-'=4; echo $.x.y $~ $/a/b $- $#.x $'.x'\n"
    assert await out(text) == "1.y 2 3/b 4 1 1\n"


async def test_a_subscript_ends_where_its_digits_end() -> None:
    assert await out("x=(a b c d); echo $x(1a) $x(2-3z) $x(2z-3) $x(02) $x(2-z) $x(2--3) $x(-)\n") == (
        "a b c b b\n"
    )


async def test_output_is_split_at_the_first_of_several_separators() -> None:
    assert (
        await out("x=`(b c){echo -n aXbYcZ}; echo $#x; ifs=(b c) {x=`{echo -n aXbYcZ}}; echo $#x\n")
        == "2\n2\n"
    )


async def test_an_argument_cannot_be_assigned() -> None:
    assert await out("*=(a b); 1=x; 2=y echo $1 $2 $#1; 'a b'=c; echo $'a b'\n") == "a b 1\nc\n"


async def test_a_function_fails_under_e_wherever_it_is_called() -> None:
    text = "fn f {false; echo in}; flag e +\n"
    for use in (
        "if(f) echo yes",
        "f || echo no",
        "! f",
        "while(f) {}",
        "eval f || echo no",
        "x=`{f; echo on}",
    ):
        assert await rc(f"{text}@{{{use}}}\n") == ("", "", "1")
    assert await out("flag e +; x=`{false; echo in}; echo $x; ! false; false || echo $status\n") == "in\n1\n"


async def test_cdpath_is_searched_and_the_place_told(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    result = await rc(f"cdpath=(/nowhere {tmp_path}/); cd d; pwd; cdpath=(. {tmp_path}); cd /; cd d\n")
    assert result == (f"{tmp_path}/d\n", f"{tmp_path}/d\n" * 2, "")
    assert await rc("home=(); cd\n") == ("", "cd: $home is empty\n", "can't cd")


async def test_builtin_alone_has_nothing_to_do() -> None:
    assert await rc("builtin\necho $status\n") == (
        "empty arg list\n",
        "nsh: test:1: builtin: empty argument list\n",
        "",
    )


async def test_whatis_tells_all_that_a_name_stands_for() -> None:
    assert await out("expr=(a '*'); whatis expr; fn expr {x}; cd=1; whatis expr cd; *=q; whatis '*'\n") == (
        "expr=(a '*')\n/usr/bin/expr\nexpr=(a '*')\nfn expr {x}\ncd=1\nbuiltin cd\n'*'=q\n"
    )


# --- interruption ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "sleep 100",
        "env sleep 100",
        "env sleep 100 | cat | sleep 100",
        "x=`{env sleep 100}",
        "@{ sleep 100 }",
        "for(i in 1 2 3) sleep 100",
        "while(~ a a) {}",
        "cat <{sleep 100}",
        "fn f { env sleep 100 }; f",
        "sleep 100 & wait",
        "fn f { @{f}; @{f} }; f >[2]/dev/null",
    ],
)
async def test_whatever_runs_can_be_interrupted(text: str) -> None:
    w = await world()
    command = asyncio.create_task(w.run(text + "\n"))
    await asyncio.sleep(0.1)
    command.cancel(INTERRUPT)
    with pytest.raises(asyncio.CancelledError):
        await command
    assert (await w.run("echo alive\n")).out == "alive\n"
    await w.close()


async def test_a_killed_job_takes_its_host_program_along(tmp_path: Path) -> None:
    w = await world()
    await w.run(f"cd {tmp_path}; mkfifo started; sh -c 'echo $$ >started; exec sleep 100' &\n")
    pid = int((await w.run("cat started\n")).out)
    os.kill(pid, 0)
    await w.run("kill $apid; wait\n")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    await w.close()


async def test_a_signal_for_a_job_reaches_the_program_that_it_runs_and_no_stranger(tmp_path: Path) -> None:
    w = await world()
    loop = "while(true) sh -c 'echo $$ >started; exec sleep 100' &\n"
    await w.run(f"cd {tmp_path}; mkfifo started; {loop}")
    pid = int((await w.run("cat started\n")).out)
    assert await w.run("kill -HUP $apid; wait\n") == ("", "", "")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(int(w.shell.var.get("apid")[0]), 0)
    await w.close()


async def test_a_program_that_handles_the_signal_of_its_job_ends_in_its_own_way(tmp_path: Path) -> None:
    trap = "trap 'echo hup; kill $!; exit 0' HUP; sleep 100 & echo >started; wait"
    script = f"cd {tmp_path}; mkfifo started; sh -c {quoted(trap)} &\ncat started; kill -HUP $apid; wait\n"
    assert (await rc(script)).out == "\nhup\n"


async def test_a_job_without_a_program_is_ended_by_a_signal_but_cannot_be_stopped() -> None:
    refused = "only a program of the host can be stopped"
    out, err, _ = await rc(
        "sleep 100 &\nkill -STOP $apid; kill -CONT $apid; kill -9 $apid; wait; echo over\n"
    )
    assert out == "over\n"
    assert re.fullmatch(rf"kill: cannot kill \d+: {refused}\n", err)


async def test_the_numbers_of_processes_are_the_same_everywhere(tmp_path: Path) -> None:
    w = await world()
    for number in ("$pid", "1"):
        assert (await w.run(f"ns {number} | tail -1\n")).out == (await w.run("ns | tail -1\n")).out
        assert (await w.run(f"cat /prog/{number}/pgrp\n")).out == str(os.getpid())
    await w.close()


# --- too much of it ----------------------------------------------------------------------------


@pytest.mark.parametrize("body", ["@{f}", "f|true", "x=`{f}", "cat <{f}", "true|f", "eval f", ". ./script"])
async def test_what_runs_itself_ends_with_an_error(
    body: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "script").write_text(". ./script\n")
    w = await world()
    err = (await w.run(f"fn f {{{body}}}; f\n")).err
    assert re.fullmatch(r"nsh: \S+:\d+: too many (commands|processes) inside each other\n", err)
    assert (await w.run("echo alive\n")).out == "alive\n"
    await w.close()
    assert not recwarn.list


async def test_a_script_that_runs_itself_ends_with_an_error(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(f"#!/usr/bin/env nsh\n{script}\n")
    script.chmod(0o755)
    assert "too many processes inside each other" in (await rc(f"{script}\n")).err


async def test_chains_of_conditions_may_be_long() -> None:
    negations = "! " * 2001
    assert await out("~ a a && " * 2000 + "echo and\n") == "and\n"
    assert await out("~ a b || " * 2000 + "echo or\n") == "or\n"
    assert await out(f"{negations}~ a b && echo not\n") == "not\n"
    assert await out("fn f {" + "~ a a && " * 2000 + "echo and}; f; env true\n") == "and\n"
    assert (await rc("@ " * 2000 + "true\n")).status == "1"


async def test_a_chain_is_evaluated_from_left_to_right() -> None:
    assert await out("~ a a || echo a && echo b || echo c; ~ a b && echo d || echo e\n") == "b\ne\n"
    assert await out("flag e +; ~ a b && ~ a a; ~ a b && ~ a a || ~ a a; ! ! ~ a b; echo $status on\n") == (
        "false on\n"
    )


async def test_a_variable_too_big_for_the_environment_is_left_out_and_told_of_once() -> None:
    w = await world()
    why = "is too big for the environment: programs do not get it"
    for size in (1 << 18, 1 << 21):
        w.shell.var.set("big", ["x" * size])
        assert await w.run("env echo one\n") == ("one\n", f"nsh: big {why}\n", "")
        w.shell.var.set("big", ["y" * size])
        assert await w.run("env echo two; @{env echo three}; echo $#big\n") == ("two\nthree\n1\n", "", "")
        w.shell.var._told.clear()
    assert await w.run("big=small; env sh -c 'echo $big'\n") == ("small\n", "", "")
    await w.close()


@pytest.mark.parametrize(
    "text", ["$nul", "env $nul", "./$nul", "exec $nul", "whatis $nul", "cd $nul", "<$nul"]
)
async def test_a_nul_in_a_name_is_an_error_like_any_other(text: str) -> None:
    w = await world()
    w.shell.var.set("nul", ["a\0b"])
    assert (await w.run(f"@{{{text}}}\n")).status == "1"
    await w.close()


async def test_a_number_may_have_any_length() -> None:
    many = "9" * 5000
    assert await out(
        f"x=(a b); echo $x({many}) $x(2-{many}) ${many}; wait {many}; shift {many}; echo $#*\n"
    ) == ("b\n0\n")


async def test_without_a_path_programs_of_the_host_are_found_in_the_usual_places() -> None:
    w = await world()
    w.shell.var.swap("PATH", None)
    assert (await w.run("expr 1 + 2\n")).out == "3\n"
    w.shell.var.set("PATH", [])
    assert (await w.run("expr 1 + 2\n")).err == "nsh: test:1: expr: file does not exist\n"
    await w.close()
