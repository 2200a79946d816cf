"""Rc programs that hypothesis makes up to be run: they come to an end, and what they print is determined.

They use builtins and a few programs, and files of the directory in which they run, which is to have `FILES`.
Nothing in them runs for ever: a loop counts its own list down, and a function calls only those with
a smaller number. What reads a pipe reads all of it, so that nobody is ended by a pipe that is closed. Left
out is what nsh does otherwise than the rc of 9base, and with reason:

* ``$status`` is printed by ``st`` only: in a pipeline nsh keeps the texts, where rc has numbers, and a
  program of nsh, as those of Plan 9, has more to say than 1;
* here documents in braces, which rc reads too late, and `` `x{...} ``, which that rc does not know;
* ``flag e`` where it begins, which that rc notices with the next line;
* the quotes in what whatis prints: nsh quotes patterns, too;
* ``$"1`` and ``$1(1)``, which are always empty in that rc;
* what stands unquoted before the patterns of ``~`` is no pattern itself; and ``$(x)`` is followed by a blank:
  both are mistakes of that rc;
* ``if()``, which is true, but in that rc only where ``$status`` is;
* names of descriptors, numbers of processes, messages.
"""

from __future__ import annotations

import re

from hypothesis import strategies as st

__all__ = ["FILES", "programs"]

FILES = {
    "a.c": "one\ntwo\n",
    "b.c": "x y\n",
    "d/e.c": "deep\n",
    "d/f": "",
    "out": "",
    ".h": "hidden\n",
    "s": "echo $0 $*\nx=s\n",
}
"""What is in the directory, and in the files."""

_BEGIN = """\
fn st {switch($status) {
case *'|'*; if({}) echo status true; if not echo status false
case '' [1-9]* 'no match' false error 'can''t cd' 'flag not set' 'not found'; echo status $status
case *; echo status 1
}}
x=(a b c); y='d e'; z=(); n=x; q='*'
"""

# What the letters after % stand for: C a command, Q one that is not empty, B commands, W a word, V a short
# one, S words, G a pattern for files, P patterns for ~, U what they are compared with, N the name of a
# variable, A one to be assigned, I an index, R a reader of pipes, F a call of a function, E a command to
# be evaluated, L a new list.

_SMALL = ["echo %V", "st", "true", "false", "%F", "~ %U %P", "x=%V", "exit", ">out"]
_COMMANDS = [
    "echo %S", "echo %S", "echo %S", "st", "st", "%F", "%F", "~ %U %P", "~ %U %P", "%A=%W", "%A=(%S)",
    "%A=%V %A=%W", "%A=%V %C", "%A=(%S) {%B}", "ifs=%V {%B}", "{%B}", "@{%B}", "! %C", "@ %C", "! ! %C",
    "%C && %C", "%C || %C", "%C; %C", "{if(%Q) %C}", "{if(%Q) {%B}\nif not {%B}}",
    "{if(%Q) %C; if not if(%Q) %C\n\nif not %C}", "{if(%Q; %B) {%B}}", "for(%A in %S) {%B}", "for(v) {%B}",
    "for(%A in %S) %C", "{%L=(1 2); while(! ~ $#%L 0) {%L=$%L(2-); %B}}", "switch(%U %U) {\ncase %P\n%B\n}",
    "switch(%U) {\ncase %P\n%B\ncase %P; %B; case *\n%B}", "switch %U {case %P\n%B\n}", "%C | %R",
    "{%B} | %R", "{%B} | %R | %R", "{echo %V >[1=2]} |[2] %R", "{%B} >out", "{%B} >>out", "{%B} >[1=2]",
    "{echo %V; echo %V >[1=2]} >[2=1] | %R", "{{echo %W} >[1=2] >[2]out}", "{%B} >out.$#x",
    "{%B} >[2]/dev/null >[1=2]", "{cat; %B} <a.c", "cat <{%B}", "cat <{%C} <{%C}", "cat out", "cat a.c out",
    "shift", "shift 2", "whatis x y z %N | tr -d ''''", "builtin echo %S", "{%C &\nwait}", "eval %E",
    "exit", "exit 3", "exit %V", "{}", ">out", "", ". ./s %S", "cd d", "cd", "@{cd d; %C}",
    "{x=`{cat}; %B} <b.c",
]  # fmt: skip
_WORDS = [
    "%V", "%V", "%G", "%G", "$%N", "$%N", "$#%N", '$"%A', "$x(%I)", "$y(%I)", "$*(%I %I)", "$x(%S)", "$$n",
    "$%N^%V", "%V^$%N", "a$%N", "$%N.c", "%W^%W", "%V ^ %W", "(%S)", "(%S)^%V", "(%S)^(%S)", "`{%C}",
    "`{%B}", "a`{%C}", "%V^`{%C}", "d/$%N", "*$x(1)", "$%N$%N",
]  # fmt: skip
_VALUES = [
    "a", "b", "b.c", "ab", "'a b'", "''", "'it''s'", "'*'", "é", "日本", "1", "2", "x", "~", "%", "if", "not",
    "in", "a=b", "\\b", "!", "@", "a\\b", '"', "$y", "$z", "()", "a#b", "9a",
]  # fmt: skip
_GLOBS = ["*", "*.c", "?.c", "[ab].c", "[~a].c", "d/*", "*/*", "no*", ".*", "[a-b]*", "s?", "*[~c]"]
_SUBJECTS = ["%V", "$%N", "$x(%I)", "`{%C}", "%V^%V", "(%V $%N)", "a$%N"]
_PATTERNS = [
    "a*", "*", "?", "[a-c]", "[c-a]", "[~a-c]", "*b*", "''", "???", "[]a]", "[a-]", "[", "[a", "a?c", "'*'",
    "$q", "$x", "0", "a^*", "%W", "%V", "%V", "(%S)", "a b c",
]  # fmt: skip
_NAMES = ["x", "x", "y", "z", "n", "q", "*", "1", "2", "v", "9", "'x'", "$n"]
_ASSIGNED = ["x", "y", "z", "v", "*", "n", "$n", "'x'"]
_INDEXES = ["1", "2", "3", "1-2", "2-", "3-1", "0", "9", "2-9", "$#x", "x", "-2", "$x", "1-1", "1-", "$#*"]
_READERS = [
    "cat", "sed s/a/A/g", "tr a-z A-Z", "wc -l | tr -d ' '", "sort", "{v=`{cat}; echo got $#v}", "@{cat}",
    "{cat; %B}", "x=`{cat}",
]  # fmt: skip
_PARTS = {
    "C": _COMMANDS, "W": _WORDS, "V": _VALUES, "G": _GLOBS, "P": _PATTERNS, "U": _SUBJECTS, "N": _NAMES,
    "A": _ASSIGNED, "I": _INDEXES, "R": _READERS,
}  # fmt: skip

_HERE = [
    "cat <<EOF", "tr a-z A-Z <<EOF", "cat <<'EOF'", "cat <<EOF | sed s/a/b/", "cat <<EOF; st",
    "{cat} <<EOF", "cat >out <<EOF", "x=`{cat} <<EOF",
]  # fmt: skip
_TEXT = "$x $n-$z^a $$ $^b $1 'q' `{a} $*.\n EOF\nEOF\n"


class _Maker:
    """Replaces the letters. ``loops``: the lists there are; ``callable``: functions that may be called."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.loops = 0
        self.callable = 0

    def expand(self, template: str, depth: int) -> str:
        if "%L" in template:
            self.loops += 1
            template = template.replace("%L", f"l{self.loops}")
        return re.sub("%([A-Z])", lambda found: self.part(found[1], depth), template)

    def part(self, letter: str, depth: int) -> str:
        """What a letter stands for, ``depth`` more levels deep."""
        match letter:
            case "B":
                return self.joined("C", depth - 1, 1, ["; ", "\n", ";"])
            case "S":
                return self.joined("W", depth, 0, [" "])
            case "E":
                return "'" + self.part("C", depth - 1).replace("'", "''") + "'"
            case "Q":
                return self.part("C", depth).strip("; \n") or "true"
            case "F":
                return self.call(depth)
            case "C" if depth <= 0:
                return self.expand(self.draw(st.sampled_from(_SMALL)), 0)
            case "W" if depth <= 0:
                return self.part("V", 0)
        return self.expand(self.draw(st.sampled_from(_PARTS[letter])), depth - 1)

    def joined(self, letter: str, depth: int, least: int, separators: list[str]) -> str:
        count = self.draw(st.integers(least, 3))
        return self.draw(st.sampled_from(separators)).join(self.part(letter, depth) for _ in range(count))

    def call(self, depth: int) -> str:
        if not self.callable:
            return "echo $*"
        return f"f{self.draw(st.integers(0, self.callable - 1))} {self.part('S', depth - 1)}"

    def line(self) -> str:
        """A command, the definition of the next function, or one with a here document."""
        match self.draw(st.integers(0, 9)):
            case 9:
                return self.draw(st.sampled_from(_HERE)) + "\n" + _TEXT
            case 7 | 8:
                text = f"fn f{self.callable} {{{self.part('B', 2)}}}\n"
                self.callable += 1
                return text
        return self.part("C", 3) + "\n"


@st.composite
def programs(draw: st.DrawFn) -> str:
    """A whole script; it is to be called with the arguments ``a`` and ``b c``."""
    maker = _Maker(draw)
    return _BEGIN + "".join(maker.line() for _ in range(draw(st.integers(1, 6)))) + "st\n"
