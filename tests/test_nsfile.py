"""Namespace files, namespace(6): how lines are read, what is wrong with some, and what nsh makes of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nsh.errors import FileFormatError
from nsh.nsfile import Command, load, parse, run
from tests.kern.world import listing, world
from tests.net.peers import Host

VALUES = {"home": "/usr/me", "odd": "it's $x", "empty": ""}


def commands(text: str) -> list[tuple[str, str, list[str]]]:
    return [(c.name, c.flags, c.args) for c in parse(text, "file", VALUES.get)]


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("bind a b", ("bind", "", ["a", "b"])),
        (" \tbind  -a\ta   b \t", ("bind", "a", ["a", "b"])),
        ("bind -a -c #c /dev", ("bind", "ac", ["#c", "/dev"])),
        ("bind #c /dev # the console", ("bind", "", ["#c", "/dev"])),
        ("bind #c /dev #", ("bind", "", ["#c", "/dev"])),
        ("bind '/it''s' '/a b'", ("bind", "", ["/it's", "/a b"])),
        ("bind '' '-a'", ("bind", "", ["", "-a"])),
        ("bind bind cd", ("bind", "", ["bind", "cd"])),
        ("bind a#b a=b;c|(d)*", ("bind", "", ["a#b", "a=b;c|(d)*"])),
        ("bind $home/tmp $home$home'/$home'", ("bind", "", ["/usr/me/tmp", "/usr/me/usr/me/$home"])),
        ("bind $odd x$empty", ("bind", "", ["it's $x", "x"])),
        ("bind grün/ \udcff", ("bind", "", ["grün/", "\udcff"])),
        ("mount -Ac tcp!h!1 /n", ("mount", "Ac", ["tcp!h!1", "/n"])),
        ("mount '{export /}' /n spec", ("mount", "", ["{export /}", "/n", "spec"])),
        ("unmount /n", ("unmount", "", ["/n"])),
        ("unmount a /n", ("unmount", "", ["a", "/n"])),
        ("clear", ("clear", "", [])),
        ("cd /usr\r", ("cd", "", ["/usr"])),
        (". other", (".", "", ["other"])),
    ],
)
def test_a_line_is_a_command(line: str, command: tuple[str, str, list[str]]) -> None:
    assert commands(line) == [command]
    assert commands(f"# comment\n\n{line}\n  #another\n\t\n") == [command]


def test_the_order_of_lines_is_kept_and_they_are_counted() -> None:
    text = "bind a b\n\n# x\nclear\n" + "bind c d\n" * 20
    assert [c.line for c in parse(text, "file", VALUES.get)] == [1, 4, *range(5, 25)]
    assert parse("", "file", VALUES.get) == parse("# x", "file", VALUES.get) == []


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("bind a", "7: a bind line reads: bind [-abcCqu] new old"),
        ("bind", "5: a bind line reads: bind [-abcCqu] new old"),
        ("bind a b c", "10: a bind line reads: bind [-abcCqu] new old"),
        ("clear all", "7: a clear line reads: clear"),
        ("bnd a b", "1: bnd: no such command (there are: bind mount unmount clear cd .)"),
        ("'bind' a b", "1: 'bind': no such command (there are: bind mount unmount clear cd .)"),
        ("bind a 'b", "8: a quote is not closed"),
        ("bind a b$", "9: a $ without a name; quote it if it is part of one"),
        ("bind $nosuch b", "6: $nosuch is not set"),
        ("bind -x a b", " bind has no option -x"),
        ("mount -u a b", " mount has no option -u"),
    ],
)
def test_an_error_tells_its_place(line: str, what: str) -> None:
    with pytest.raises(FileFormatError) as caught:
        parse(f"clear\n{line}\nclear\n", "file", VALUES.get)
    assert str(caught.value).replace("file:2:", "", 1) == what


def test_a_file_may_include_others(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "main").write_text("cd /a\n. sub/one\ncd /d\n")
    (tmp_path / "sub/one").write_text("cd /b\n. two")
    (tmp_path / "sub/two").write_text("cd $home\n")
    loaded = load(str(tmp_path / "main"), VALUES.get)
    assert [c.args[0] for c in loaded] == ["/a", "/b", "/usr/me", "/d"]
    assert [(os.path.basename(c.file), c.line) for c in loaded[1:3]] == [("one", 1), ("two", 1)]


def test_a_file_that_cannot_be_included_is_an_error_of_the_line_that_names_it(tmp_path: Path) -> None:
    main = tmp_path / "main"
    main.write_text("clear\n. nosuch\n")
    with pytest.raises(FileFormatError, match=f"^{main}:2: {tmp_path}/nosuch: file does not exist$"):
        load(str(main))
    main.write_text("clear\n. main\n")
    with pytest.raises(FileFormatError, match=f"^{main}:2: {main}: files include one another$"):
        load(str(main))
    with pytest.raises(FileFormatError, match=f"^{tmp_path}/nosuch: cannot read: file does not exist$"):
        load(str(tmp_path / "nosuch"))


async def test_commands_make_a_name_space_and_failures_do_not_stop_them() -> None:
    p = await world("a/", "a/f", "b/", "b/g", "c/", "c/h")
    told: list[str] = []

    async def tell(text: str) -> None:
        told.append(text)

    text = """bind -a /mnt/a /mnt/c
        bind -b /mnt/b /mnt/c
        bind /nosuch /mnt/c
        bind -q /nosuch /mnt/c
        unmount /mnt/a
        mount '#|/data' /mnt/c
        mount tcp!192.0.2.1!x /mnt/c
        unmount /mnt/b /mnt/c
        bind -u /mnt/c /mnt/a
        cd /mnt/a"""
    assert await run(p, parse(text, "file"), tell)
    assert told == [
        "file:3: bind: '/nosuch' file does not exist",
        "file:5: unmount: not mounted",
        "file:6: mount: #|/data: nobody is at the other end of a new pipe",
        "file:7: mount: can't dial tcp!192.0.2.1!x: non-numeric port number",
    ]
    assert await listing(p, "/mnt/c") == ["h", "f"]
    assert await listing(p, ".") == ["h"]
    assert p.getwd() == "/mnt/a"
    assert not await run(p, [Command("clear", "", [], "file", 1)], tell)
    assert len(p.pgrp) == 0


async def test_a_server_on_this_machine_is_mounted_without_being_asked_who_it_is() -> None:
    host = await Host.start(await world("d/", "d/f"))
    p = await world("n/")

    async def tell(text: str) -> None:
        raise AssertionError(text)

    text = f"mount -c {host.address} /mnt/n some/tree\n"
    await run(p, parse(text, "file"), tell)
    assert await listing(p, "/mnt/n/d") == ["f"]
    assert [m.spec for _, m in p.pgrp.mounts()][-1] == "some/tree"
    p.exit()
    await host.stop()


# --- the program -------------------------------------------------------------------------------


def nsh(*args: str, config: str = "/nonexistent", cwd: str | Path = "/") -> tuple[str, str, int]:
    """Run nsh; its standard output, standard error and exit code."""
    env = dict(os.environ, XDG_CONFIG_HOME=config, PYTHONPATH=str(Path(__file__).parent.parent))
    argv = [sys.executable, "-m", "nsh", *args]
    done = subprocess.run(argv, env=env, cwd=cwd, capture_output=True, text=True, check=False)
    return done.stdout, done.stderr, done.returncode


BASE = "bind -ac #U /\nbind #B /bin\n"


def test_nsh_n_starts_with_what_the_file_says(tmp_path: Path) -> None:
    file = tmp_path / "namespace"
    file.write_text(BASE + "bind #c /dev\n")
    out = "bind / /\nbind -ac '#U' /\nbind '#B' /bin\nbind '#c' /dev\n"
    assert nsh("-n", str(file), "-c", "ns", cwd=tmp_path) == (out + f"cd {tmp_path}\n", "", 0)
    assert nsh(f"-en{file}", "-c", "pwd", cwd=tmp_path) == (f"{tmp_path}\n", "", 0)
    file.write_text(BASE + "cd /dev")
    assert nsh("-n", str(file), "-c", "pwd") == ("/dev\n", "", 0)


def test_a_mount_in_the_file_may_be_a_command(tmp_path: Path) -> None:
    file = tmp_path / "namespace"
    file.write_text(BASE + "mount -c '{memfs -s}' /mnt\n")
    assert nsh("-n", str(file), "-c", "echo x > /mnt/f; ls /mnt; cat /mnt/f") == ("/mnt/f\nx\n", "", 0)


def test_what_is_wrong_in_the_file_is_told_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "namespace"
    file.write_text(BASE + "bind a\n")
    line = f"{file}:3:7: a bind line reads: bind [-abcCqu] new old\n"
    assert nsh("-n", str(file), "-c", "ns") == ("", f"nsh: {line}", 1)
    file.write_text(BASE + "bind /nosuch /dev\n")
    error = f"nsh: {file}:3: bind: '/nosuch' file does not exist\n"
    assert nsh("-n", str(file), "-c", "pwd") == ("/\n", error, 0)
    assert nsh("-n")[1].startswith("nsh: -n needs a file\nusage: ")


def test_the_users_own_file_is_used_if_there_is_one(tmp_path: Path) -> None:
    (tmp_path / "nsh").mkdir()
    file = tmp_path / "nsh/namespace"
    config = str(tmp_path)
    usual = nsh("-c", "ns")
    assert "bind '#p' /prog\n" in usual[0]
    assert nsh("-c", "ns", config=config) == usual
    file.write_text(BASE)
    assert nsh("-c", "ns", config=config) == ("bind / /\nbind -ac '#U' /\nbind '#B' /bin\ncd /\n", "", 0)
    file.write_text("bind a\n")
    out, err, code = nsh("-c", "ns", config=config)
    assert (out, code) == (usual[0], 0)
    assert err == f"nsh: {file}:1:7: a bind line reads: bind [-abcCqu] new old\n"


def test_what_ns_prints_is_such_a_file(tmp_path: Path) -> None:
    for name in ("it's", "a b", "#z"):
        (tmp_path / name / "d").mkdir(parents=True)
    script = """
        bind -a 'it''s' 'a b'
        bind 'a b' './#z'
        bind -c 'it''s' 'it''s'/d
        ns
        ns > saved
    """
    saved, err, _ = nsh("-c", script, cwd=tmp_path)
    assert err == ""
    assert "bind -u '" in saved
    assert nsh("-n", "saved", "-c", "ns", cwd=tmp_path) == (saved, "", 0)


def test_without_a_file_lark_is_not_imported() -> None:
    code = "import sys, nsh.__main__ as m; m.main(['-c', '']); print('lark' in sys.modules)"
    env = dict(os.environ, XDG_CONFIG_HOME="/nonexistent", PYTHONPATH=str(Path(__file__).parent.parent))
    argv = [sys.executable, "-c", code]
    assert subprocess.run(argv, env=env, capture_output=True, text=True, check=True).stdout == "False\n"


def test_what_is_too_long_is_no_namespace_file(tmp_path: Path) -> None:
    with pytest.raises(
        FileFormatError, match=r"^/dev/zero: no namespace file: it is longer than 1048576 bytes$"
    ):
        load("/dev/zero")
    (tmp_path / "long").write_text("#\n" * (1 << 19))
    assert load(str(tmp_path / "long")) == []


def test_bytes_that_are_no_utf8_come_out_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"b\xff x y\n")
    done = subprocess.run(
        [sys.executable, "-m", "nsh", "-n", tmp_path / "f", "-c", "echo"], capture_output=True
    )
    assert b"f:1:1: b\xff: no such command" in done.stderr
