"""test: files, strings and numbers, and how conditions are put together."""

from __future__ import annotations

import time

import pytest

from nsh.cmd.test import BadSyntax, seconds
from nsh.p9.const import DMAPPEND, DMEXCL, DMTMP
from nsh.p9.stat import Dir
from tests.cmd.session import Result, Session, session
from tests.rc.shell import rc


async def answer(s: Session, expression: str) -> bool:
    """What test says; it must not complain."""
    result = await s.run("test", *(word.strip("'") for word in expression.split()))
    assert (result.out, result.err) == ("", "")
    assert result.status in ("", "false")
    return result.status == ""


async def files() -> Session:
    """f: a file, e: empty, d/: a directory, old: of 1970, x: runnable, n: nobody's."""
    s = await session("f", "e", "d/", "old", "x", "n", "a", "l", "t")
    await s.p.writefile("/mnt/e", b"")
    await s.p.wstat("/mnt/old", Dir.dont_touch(mtime=1000))
    for name, mode in (("x", 0o755), ("n", 0), ("a", 0o666 | DMAPPEND), ("l", 0o666 | DMEXCL)):
        await s.p.wstat(f"/mnt/{name}", Dir.dont_touch(mode=mode))
    s.p.close(await s.p.create("/mnt/t", 1, 0o666 | DMTMP))
    s.p.user = "other"
    return s


@pytest.mark.parametrize(
    "expression",
    """-e f|-e d|! -e z|-f f|! -f d|! -f z|-d d|! -d f|! -d z|-s f|! -s e|! -s z|-r f|! -r n|! -r z|-w a
    ! -w x|! -w d|-x x|! -x f|! -x n|! -x z|-A a|! -A f|-L l|! -L f|! -L z|old -older 3d
    old -older 1|! f -older 1h|! z -older 1h|old -ot f|! f -ot old|f -nt old|! old -nt f|! f -nt f
    ! z -nt f|! f -ot z|! -t|! -t 0|! -t 7""".replace("\n", "|").split("|"),
)
async def test_files(expression: str) -> None:
    assert await answer(await files(), expression)


@pytest.mark.parametrize(
    "expression",
    """a|! ''|-n a|! -n ''|-z ''|! -z a|a = a|! a = b|a != b|! a != a|1 -eq 01|! 1 -eq 2|1 -ne 2|2 -gt 1
    ! 1 -gt 1|-1 -lt 1|1 -ge 1|! 0 -ge 1|1 -le 1|! 2 -le 1|10 -gt 9|a -a b|! '' -a b|a -o ''
    '' -o a|! '' -o ''|! ( a -a '' )|a -o b -a ''|( a ) -a ( b -o '' )|! ! a|! a = b -a c""".replace(
        "\n", "|"
    ).split("|"),
)
async def test_strings_numbers_and_what_joins_them(expression: str) -> None:
    assert await answer(await session(), expression.strip())


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("-f", "argument expected"),
        ("!", "argument expected"),
        ("a =", "argument expected"),
        ("a -a", "argument expected"),
        ("( a b )", "unknown operator b"),
        ("( a -a b", "argument expected"),
        ("( -f a b", ") expected"),
        ("a -eq 1", "unknown operator -eq"),
        ("1 -eq a", "a is no number"),
        ("a -foo b", "unknown operator -foo"),
        ("a = a b", "unexpected b"),
        ("-f a b", "unexpected b"),
        ("f -older 3x", "bad time syntax, 3x"),
        ("f -older ''", "bad time syntax, "),
    ],
)
async def test_what_is_no_expression_is_said_before_a_file_is_asked(expression: str, text: str) -> None:
    s = await session()
    argv = [word.strip("'") for word in expression.split()]
    assert await s.run("test", *argv) == Result("", f"test: bad syntax: {text}\n", "bad syntax")


async def test_no_expression_at_all() -> None:
    assert await (await session()).run("test") == Result("", "", "usage")


def test_an_age_is_a_number_of_units() -> None:
    year, month = 12 * 30 * 86400, 30 * 86400
    assert seconds("1y1M1d1h1m1s") == year + month + 86400 + 3600 + 61
    assert (seconds("90"), seconds("1m5")) == (90, 65)
    with pytest.raises(BadSyntax):
        seconds("d")


async def test_a_file_gets_older() -> None:
    s = await session("f")
    now = int(time.time())
    await s.p.wstat("/mnt/f", Dir.dont_touch(mtime=now - 3600))
    assert await answer(s, "f -older 59m")
    assert not await answer(s, "f -older 2h")


async def test_the_shell_uses_it_in_conditions() -> None:
    script = """
    if(test -d /bin -a ! -f /bin) echo directory
    if not echo none
    i=3
    while(test $i -gt 0) { echo $i; i=`{echo $i | tr 321 210} }
    test x || echo never
    test '' || echo empty
    """
    assert await rc(script) == ("directory\n3\n2\n1\nempty\n", "", "")
