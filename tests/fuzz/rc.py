"""Random scripts and random text, read by nsh and by Plan 9's own rc, as Debian has it in 9base.

A script (tests/rc/programs.py) must print the same and end with the same exit code in both. A text that is
hardly a script must be taken by both, or refused by both. hypothesis makes them and cuts down what is
found. What is left out, and why, stands here and in `programs`: nsh does it otherwise on purpose.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from nsh.rc import parse, tree
from nsh.rc.run import exit_number
from tests.rc.programs import FILES, programs
from tests.rc.shell import world

RC = "/usr/lib/plan9/bin/rc"
"""Plan 9's rc."""

PATIENCE = 10
"""Seconds that a script may take."""

ENVIRON = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
ARGUMENTS = ["a", "b c"]

_GOES_ON = re.compile("null list in concatenation|can't open")
"""What rc says of mistakes that end it, while nsh goes on with the next command."""

_OLDER = re.compile("token (not|in|'='):")
"""What the rc of 9base says of words that plan9port's takes: the two keywords, and all with ``=`` in it."""

_REFUSED = re.compile("syntax error|`if not' does not follow|case missing in switch|token")
_RAN = re.compile("empty argument list|not singleton|can't open|requires|in concatenation")

_TOUCHING = re.compile(r"a list in \( \) touches|unexpected '\('")
"""What nsh, like plan9port's rc, says of a list that touches a word; for the rc of 9base it is two words."""


class Result(NamedTuple):
    out: str
    err: str
    code: int


class Different(Exception):
    """The two shells do not agree; the text has what they say."""


def script(text: str) -> bool:
    """Run a script in both; False when they cannot be compared. Errors: `Different`."""
    theirs = _theirs(text)
    if _GOES_ON.search(theirs.err) or _OLDER.search(theirs.err):
        return False
    ours = _ours(text)
    if (ours.out, ours.code) != (theirs.out, theirs.code):
        raise Different(f"\n{text}\nrc: {theirs}\nnsh: {ours}")
    return True


def _theirs(text: str) -> Result:
    with _directory() as directory, tempfile.NamedTemporaryFile("w") as file:
        file.write(text)
        file.flush()
        environ = {**ENVIRON, "HOME": f"{directory}/d"}
        return _run([RC, file.name, *ARGUMENTS], directory, environ)


def _run(argv: list[str], directory: str, environ: dict[str, str]) -> Result:
    done = subprocess.run(
        argv, cwd=directory, env=environ, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE
    )
    return Result(done.stdout.decode(), done.stderr.decode("utf-8", "replace"), done.returncode)


def _ours(text: str) -> Result:
    async def run(directory: str) -> Result:
        w = await world()
        try:
            for name, value in {**ENVIRON, "home": f"{directory}/d"}.items():
                w.shell.var.set(name, [value])
            w.shell.var.set("*", ARGUMENTS)
            await w.proc.chdir(directory)
            out, err, status = await asyncio.wait_for(w.run(text), PATIENCE)
            return Result(out, err, exit_number(status))
        finally:
            await w.close()

    with _directory() as directory:
        return asyncio.run(run(directory))


def _directory() -> tempfile.TemporaryDirectory[str]:
    """A directory with `FILES` in it."""
    made = tempfile.TemporaryDirectory()
    for name, text in FILES.items():
        path = Path(made.name, name)
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return made


# --- what is a script --------------------------------------------------------------------------

_SOUP = [
    "a", "b", "'q'", "$x", "$#x", '$"x', "$x(1)", "(a b)", "(", ")", "{", "}", "`{a}", "<{a}", ">{a}", "^",
    ";", "&", "&&", "||", "|", "|[2]", "|[1=2]", ">f", "<f", ">>f", ">[2=1]", ">[2=]", ">[3]f", "x=", "x=1",
    "!", "@", "~", "if", "if(a)", "if not", "for", "for(i in a)", "for(i)", "not", "in", "=", "while(a)",
    "while", "switch", "switch(a)", "switch(a){case b\nc\n}", "fn", "fn f {a}", "fn g", "case", "#c\n",
    "\\\n", "$", "$x.c", "''", "$$x", "$x$y", "a'b'", "'a'$x", "`", "~ a b", "<", ">", "[", "]", "*", ",",
    '"', "(a)(b)", "a(b)", "(a)b", "$x(1)(2)", "{a}", "{a} >f", "{a} b", "!{a}", "@{a}", "\t", "$~", "$.x",
]  # fmt: skip

soup = st.lists(
    st.tuples(st.sampled_from(_SOUP), st.sampled_from([" ", " ", "", "\n", ";"])), min_size=1, max_size=7
).map(lambda pieces: "".join(map("".join, pieces)))
"""Pieces of rc, put together as it comes."""


def accepted(text: str) -> bool:
    """Have both read a text; False when that cannot be compared. Errors: `Different`."""
    whole = f"if(~ a b) {{\n{text}\n}}\n"  # it is only read, as long as the braces are in order
    with tempfile.TemporaryDirectory() as directory:
        said = _run([RC, "-c", whole], directory, {"PATH": "/nowhere"}).err
    if _RAN.search(said) or _OLDER.search(said):
        return False
    parser = parse.Parser(whole)
    try:
        while isinstance(parser.next(), tree.Node):
            pass
        refused = ""
    except parse.RcSyntaxError as e:
        refused = str(e)
    if _TOUCHING.search(refused):
        return False
    if bool(refused) != bool(_REFUSED.search(said)):
        raise Different(f"\n{text}\nrc: {said or 'it is fine'}\nnsh: {refused or 'it is fine'}")
    return True


# --- as a program ------------------------------------------------------------------------------


def fuzz(seconds: float, number: int = 0, examples: int = 200) -> int:
    """Compare for so long, in rounds of ``examples``, at least one; 1 if there is a difference.

    It is shown, and cut down as far as may be.
    """
    if not os.access(RC, os.X_OK):
        print(f"rc: there is no {RC}: install 9base")
        return 2
    start, compared, skipped = time.monotonic(), 0, 0
    profile = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )

    def both(program: str, text: str) -> None:
        nonlocal compared, skipped
        for same in (script(program), accepted(text)):
            compared += same
            skipped += not same

    while not compared or time.monotonic() - start < seconds:
        number += 1
        try:
            profile(seed(number)(given(programs(), soup)(both)))()
        except Different as e:
            print(e)
            return 1
    print(f"rc: {compared:,} texts compared, {skipped:,} that cannot be, {time.monotonic() - start:.0f} s")
    return 0
