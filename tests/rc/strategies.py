"""Rc programs that hypothesis makes up: source text, built along the grammar.

Nearly all of it is valid; where pieces fall together so that it is not (a keyword as the first word), the
tests reject the example. There are no assertions here.
"""

from __future__ import annotations

from hypothesis import strategies as st

__all__ = ["lines"]

_LITERALS = [
    "a", "b.c", "-x", "*", "?", "[a-c]*", "=", "~", "!", "@", "if", "not", "in", "for", "case", "fn", "\\",
    "''", "'it''s'", "'if'", "'a b'", "'*'", "'\n'", "'='", "é", "日", "%", "1",
]  # fmt: skip
_NAMES = ["x", "*", "1", "a_b", "'my var'", "$y", "(z)", "$'q r'", "`{c}", "$w(1)"]
_ARROWS = ["<", ">", ">>", "<>", "<[3]", ">[2]", ">> ", "<>[1]"]
_DUPS = [">[2=1]", ">[2=]", "<[0=5]", "<<[4=3]"]
_SMALLEST = ["", "true", "echo a b", ">f", "x=1", "fn g", "{}"]

# What a command may be made of. C, W, S, R, L and N stand for a command, a word, some words, a redirection, a
# literal and the name of a variable.
_COMMANDS = [
    "W", "W S", "W S R S R", "W \\\n S", "R C", "R R C", "N=W C", "N = W", "W=W C", "{C}", "{C} R R", "C | C",
    "C |[2] C", "C |[0=2] C", "C|\n C", "C && C", "C || C", "C &&\n\n C", "! C", "@ C", "if(C) C",
    "{if(C) C\nif not C}", "if(C)\n C", "while(C) C", "for(W in S) C", "for(W)\n C",
    "switch(W) {\ncase W\nC\n}", "switch W {case S; C; C; case W\n}", "fn W S {C}", "fn W", "fn S", "fn {C}",
    "~ W S", "C; C", "C & C", "C;; C &", "C\n",
]  # fmt: skip
_WORDS = [
    "L", "L", "L", "$N", "$#N", '$"N', "$ N", "$x(S)", "(S)", "`{C}", "`L{C}", "` (S) {C}", "<{C}", ">{C}",
    "<> {C}", "W^W", "W ^ W", "LL", "L$N", "$N$N", "`{C}L", "L`{C}",
]  # fmt: skip


@st.composite
def _expand(draw: st.DrawFn, template: str, depth: int) -> str:
    """The template with each capital letter replaced by one of what it stands for."""
    out = ""
    for char in template:
        if char == "C":
            out += draw(
                _expand(draw(st.sampled_from(_COMMANDS)), depth - 1)
                if depth > 0
                else st.sampled_from(_SMALLEST)
            )
        elif char == "W":
            out += draw(_expand(draw(st.sampled_from(_WORDS if depth > 0 else ["L"])), depth - 1))
        elif char == "S":
            out += " ".join(draw(_expand("W", depth)) for _ in range(draw(st.integers(0, 2))))
        elif char == "R":
            out += draw(
                st.sampled_from(_DUPS) | _expand("W", depth).map(draw(st.sampled_from(_ARROWS)).__add__)
            )
        else:
            out += draw(st.sampled_from(_LITERALS if char == "L" else _NAMES)) if char in "LN" else char
    return out


@st.composite
def _here_line(draw: st.DrawFn) -> str:
    """A line with a here document, and its text."""
    arrow = draw(st.sampled_from(["<<EOF", "<<'EOF'", "<<[3]EOF"]))
    text = draw(st.sampled_from(["", "one line\n", "$x and '\n\n", " EOF\n"]))
    shapes = ["cat %s; true", "{ cat %s | a }", "a | %s b", "fn f {cat %s}", "echo `{cat %s}"]
    return draw(st.sampled_from(shapes)) % arrow + f"\n{text}EOF\n"


lines = st.one_of(_expand("C", 3), _expand("C", 2), _here_line()).map("{}\n".format)
"""A whole line or several, with the text of its here document if it has one."""
