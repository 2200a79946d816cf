"""What commands say and return when they fail: Inferno's words, and for scripts Inferno's statuses."""

from __future__ import annotations

import pytest

from tests.cmd.session import session
from tests.net.peers import command
from tests.rc.shell import rc

MISSING = "'nosuch' file does not exist"


@pytest.mark.parametrize(
    ("command", "text", "status"),
    [
        ("bind nosuch d", f"bind: nosuch: {MISSING}", "bind"),
        ("bind f d", "bind: cannot bind f onto d: inconsistent mount", "bind"),
        ("bind -q nosuch d", "", ""),
        (
            "mount -A tcp!127.0.0.1!1 d",
            "mount: can't dial tcp!127.0.0.1!1: Connection refused",
            "dial failed",
        ),
        ("mount /nosuch d", "mount: can't open /nosuch: '/nosuch' file does not exist", "open failed"),
        ("unmount d", "unmount: not mounted", "not mounted"),
        ("ns 99", "ns: can't open /prog/99/ns: '/prog/99' file does not exist", "open"),
        ("export nosuch", "export: can't export: inappropriate use of fd", "export"),
        ("export nosuch <> f", f"export: can't export: {MISSING}", "export"),
        ("export d nosuch", f"export: can't open nosuch: {MISSING}", "open"),
        ("styxlisten -A foo!x!1 export d", "styxlisten: cannot announce on foo!x!1: '/net/foo' ", "error"),
        ("styxlisten -A tcp!127.0.0.1!0 export nosuch", f"styxlisten: can't export: {MISSING}", "export"),
        (
            "dial -A tcp!127.0.0.1!1 cat",
            "dial: cannot dial tcp!127.0.0.1!1:: Connection refused (connect 127.0.0.1!1 )\n",
            "errors",
        ),
        (
            "dial -A foo!x cat",
            "dial: cannot dial foo!x:: '/net/foo' file does not exist (/net/foo/clone)\n",
            "errors",
        ),
        (
            "dial -A tcp!127.0.0.1!nosuch cat",
            "dial: cannot dial tcp!127.0.0.1!nosuch:: non-numeric port number (connect 127.0.0.1!nosuch )\n",
            "errors",
        ),
        ("dial -A '' cat", "dial: cannot dial :: bad format request (connect !6666 )\n", "errors"),
        ("dial tcp!127.0.0.1!1 cat", "dial: no key to authenticate with", "bad keyfile"),
        ("ramfile ''", "ramfile: empty file name\n", "empty file name"),
        ("memfs nosuch", f"memfs: failed to mount onto nosuch: {MISSING}", "error"),
        ("ramfile nosuch/x", f"ramfile: {MISSING}", MISSING),
        ("cmp f nosuch", f"cmp: can't open nosuch: {MISSING}", "open"),
        ("cp nosuch x", f"cp: nosuch: {MISSING}", "error"),
        ("cp d x", "cp: d is a directory", "error"),
        ("cp f f", "cp: f and f are the same file", "error"),
        ("cp f f x", "cp: x  not a directory", "error"),
        ("du nosuch", f"du: can't stat nosuch: {MISSING}", "errors"),
        ("ls nosuch", f"ls: nosuch: {MISSING}", "errors"),
        ("mkdir d", "mkdir: d already exists", "error"),
        ("mkdir nosuch/x", f"mkdir: can't create nosuch/x: {MISSING}", "error"),
        ("mkdir", "", ""),
        ("mv nosuch x", f"mv: can't stat nosuch: {MISSING}", "error"),
        ("mv f f", "mv: ./f and ./f are the same", "error"),
        ("mv f f x", "mv: x not a directory", "error"),
        ("rm nosuch", f"rm: nosuch: {MISSING}", "errors"),
        ("rm -f nosuch", "", ""),
        ("touch nosuch/x", f"touch: nosuch/x: cannot create: {MISSING}", "touch"),
        ("cat nosuch f", f"cat: cannot open nosuch: {MISSING}", "bad open"),
        ("tee nosuch/x", f"tee: cannot open nosuch/x: {MISSING}", "error"),
        ("wc nosuch", f"wc: can't open nosuch: {MISSING}", "errors"),
        (
            "kill 999",
            "kill: cannot open /prog/999/ctl: '/prog/999' file does not exist\n",
            "nothing killed",
        ),
        (
            "kill 3x",
            "kill: cannot open /prog/3x/ctl: '/prog/3x' file does not exist\n",
            "nothing killed",
        ),
    ],
)
async def test_failures(command: str, text: str, status: str) -> None:
    result = await rc(f"memfs /srv; cd /srv; mkdir d; echo hi > f; {command}")
    assert result.out == ""
    assert result.err.startswith(text) and result.err.count("\n") == bool(text)
    assert result.status == status


@pytest.mark.parametrize(
    "line",
    [
        "Usage: cmp [-lsL] file1 file2 [offset1 [offset2] ]",
        "Usage: export [-a] dir [connection]",
        "Usage: rm [-fr] file ...",
        "Usage: tee [-a] [file ...]",
        "usage: date [-un] [seconds]",
        "usage: dial [-A] [-k keyfile] [-a alg] addr command [arg...]",
        "usage: du [-anstu] [-b bsize] [file ...]",
        "usage: listen [-i {initscript}] [-Ast] [-k keyfile] [-a alg]... addr command [arg...]",
        "usage: memfs [-s] [-rab] [-m size] [mountpoint]",
        "usage: styxlisten [-a alg]... [-Atsv] [-k keyfile] address cmd [arg...]",
        "usage: bind [-a|-b|-c|-ac|-bc] [-q] source target",
        "usage: import [-a|-b] [-c] [-e enc digest] host file [localfile]",
        "usage: kill [-g] pid|%job|module [...]",
        "usage: ls [-delmnpqrstucFT] [files]",
        "usage: mount [-a|-b] [-cCoAP9] [-k keyfile] [-q] net!addr|file|{command} mountpoint [spec]",
        "usage: ns [-r] [pid]",
        "usage: \tcp [-gux] src target\n\tcp [-r] [-gux] src ... directory",
        "usage: touch [-c] [-t time] file ...",
    ],
)
async def test_usage(line: str) -> None:
    p = (await session()).p
    assert await command(p, line.split()[1], "-Z") == ("usage", line + "\n")
