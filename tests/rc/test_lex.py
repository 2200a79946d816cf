"""lex: which characters make which tokens, where carets are free, and how here documents are read."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsh.rc import parse, tree
from nsh.rc.lex import Lexer, RcSyntaxError, Token
from nsh.rc.unparse import unparse

from .dump import dump
from .strategies import lines


def _spelled(token: Token) -> str:
    """A token for people: the text of a word (quoted if it was), else the type without its underscore."""
    if isinstance(token.value, tree.Word):
        return dump(token.value)
    return token.type.lstrip("_")


def _tokens(text: str) -> str:
    return " ".join(_spelled(token) for token in parse.tokens(text) if token.start < len(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("echo a,b c.d %x !q ]s \"t a\\b \\", 'echo a,b c.d %x !q ]s "t a\\b \\'),
        ("echo a#b c", "echo a"),
        ("echo 'a#b'", "echo 'a#b'"),
        ("a\\\nb", "a b"),
        ("# c \\\nb", "NL b"),
        ("'a\\\nb'", "'a\\\nb'"),
        ("'it''s' '''' ''", "'it''s' '''' ''"),
        ("a'b'c", "a FREE 'b' FREE c"),
        ("echo \r", "echo \r"),
        ("$a.b $a_b $a-b $é1.c", "DOLLAR a FREE .b DOLLAR a_b DOLLAR a FREE -b DOLLAR é1 FREE .c"),
        ("$ x $#x $\"x $*", "DOLLAR x COUNT x FLAT x DOLLAR *"),
        ("$'my var' $$x $(a)", "DOLLAR 'my var' DOLLAR DOLLAR x DOLLAR LPAREN a RPAREN"),
        ("e $x(1) $x (1)", "e DOLLAR x SUBSCRIPT 1 RPAREN DOLLAR x LPAREN 1 RPAREN"),
        ("$x(1)z$y", "DOLLAR x SUBSCRIPT 1 RPAREN FREE z FREE DOLLAR y"),
        ("a ^ b a^ b", "a CARET b a CARET b"),
        ("x`{a}y`{b}", "x FREE BACKQUOTE BRACE a RBRACE FREE y FREE BACKQUOTE BRACE b RBRACE"),
        ("`:{a} `$x{b}", "BACKQUOTE : BRACE a RBRACE BACKQUOTE DOLLAR x BRACE b RBRACE"),
        ("{a}", "LBRACE a RBRACE"),
        ("x<{a}y < {c} <>{d}", "x FREE PROC BRACE a RBRACE FREE y PROC BRACE c RBRACE PROC BRACE d RBRACE"),
        ("a=b", "a EQ b"),
        ("a = b", "a EQ b"),
        ("echo a=b =c d=", "echo a FREE = FREE b = FREE c d FREE ="),
        ("=a", "= FREE a"),
        ("pre^fix=6", "pre CARET fix FREE = FREE 6"),
        ("x=1 y=2 z w=3", "x EQ 1 y EQ 2 z w FREE = FREE 3"),
        ("x==y", "x EQ = FREE y"),
        ("if(x) y", "IF HEAD x RPAREN y"),
        ("echo if not ! ~ @ in", "echo if not ! ~ @ in"),
        ("x=(if not)", "x EQ LPAREN if not RPAREN"),
        ("for(in in a in) in", "FOR HEAD in IN a in RPAREN in"),
        ("!x ~x @x !~", "!x ~x @x !~"),
        ("!x", "!x"),
        ("!$x", "BANG DOLLAR x"),
        ("! !{a}", "BANG BANG LBRACE a RBRACE"),
        ("~$x p", "TWIDDLE DOLLAR x p"),
        ("@{a}", "AT LBRACE a RBRACE"),
        ("'if' 'fn'", "'if' 'fn'"),
        ("fn 'if' if {}", "FN 'if' if LBRACE RBRACE"),
        ("a;b&c&&d||e|f", "a SEMI b AMP c AND d OR e PIPE f"),
        ("a\n\nb\n", "a NL NL b NL"),
        ("echo 2>b", "echo 2 ARROW b"),
        ("a >b<c>>d<>e", "a ARROW b ARROW c ARROW d ARROW e"),
        ("a >[2]b >[12=1] >[0=]", "a ARROW b DUP DUP"),
        ("a >[a-c]", "a [a-c]"),
        ("日本 'é'", "日本 'é'"),
    ],
)  # fmt: skip
def test_tokens(text: str, expected: str) -> None:
    assert _tokens(text) == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a <f", ("<", 0)),
        ("a >f", (">", 1)),
        ("a >>f", (">>", 1)),
        ("a <>f", ("<>", 0)),
        ("a >[2]f", (">", 2)),
        ("a <[10]f", ("<", 10)),
        ("a | b", (1, 0, 1)),
        ("a |[2] b", (2, 0, 1)),
        ("a |[3=4] b", (4, 3, 1)),
        ("a >[2=1]", tree.Dup(2, 1, 1)),
        ("a <[0=5]", tree.Dup(0, 5, 1)),
        ("a >[2=]", tree.Dup(2, None, 1)),
        ("a <{b}", ("<", 1)),
    ],
)
def test_the_values_of_redirections_and_pipes(text: str, value: object) -> None:
    assert parse.tokens(text)[1].value == value


def test_lines_are_counted_through_quotes_continuations_and_here_documents() -> None:
    text = "a 'b\nc' d \\\n e <<X f\n1\n2\nX\ng # h\ni"
    lines = {
        token.value.text: token.line for token in parse.tokens(text) if isinstance(token.value, tree.Word)
    }
    assert lines == {"a": 1, "b\nc": 1, "d": 2, "e": 3, "f": 3, "g": 7, "i": 8}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a \\\nb", ["a", "b"]),
        ("a \\\\\nb", ["a", r"\\"]),
        ("a \\\\\\\nb", ["a", r"\\", "b"]),
        ("a \\\\\\\\\nb", ["a", r"\\\\"]),
        ("a c\\\nb", ["a", "c", "b"]),
        ("a c\\\\\nb", ["a", r"c\\"]),
        ("a \\c\\\nb", ["a", r"\c", "b"]),
        ("a^\\\\\nb", ["a", r"\\"]),
    ],
)
def test_a_backslash_after_a_backslash_does_not_join_lines(text: str, words: list[str]) -> None:
    tokens = itertools.takewhile(lambda token: token.type != "_NL", parse.tokens(text))
    assert [token.value.text for token in tokens if isinstance(token.value, tree.Word)] == words


def _here(text: str) -> list[tuple[str, str, bool, int]]:
    found = [token.value for token in parse.tokens(text) if isinstance(token.value, tree.HereDoc)]
    return [(doc.tag, doc.text, doc.quoted, doc.fd) for doc in found]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cat <<END\none\n  two\nEND\necho", [("END", "one\n  two\n", False, 0)]),
        ("cat <<END\nEND\n", [("END", "", False, 0)]),
        ("cat <<!\nx\n!\n", [("!", "x\n", False, 0)]),
        ("cat << 'a ''b'\nx\na 'b\n", [("a 'b", "x\n", True, 0)]),
        ("cat <<[3]E\nx\nE\n", [("E", "x\n", False, 3)]),
        ("cat <<A | cat <<B # c\na\nA\nb\nB\n", [("A", "a\n", False, 0), ("B", "b\n", False, 0)]),
        ("cat <<E\n E\nE \nEE\nE\n", [("E", " E\nE \nEE\n", False, 0)]),
        ("cat <<E\nno end", [("E", "no end\n", False, 0)]),
        ("cat <<E\nno newline\nE", [("E", "no newline\n", False, 0)]),
        ("cat <<E", [("E", "", False, 0)]),
        ("{ cat <<E\nx\nE\n}\n", [("E", "x\n", False, 0)]),
        ("x=`{cat <<E\nx\nE\n}\n", [("E", "x\n", False, 0)]),
        ("fn f { cat <<E; b }\n'x\nE\n", [("E", "'x\n", False, 0)]),
    ],
)
def test_here_documents(text: str, expected: list[tuple[str, str, bool, int]]) -> None:
    assert _here(text) == expected


def test_after_a_here_document_the_script_goes_on() -> None:
    first, second = parse.parse("cat <<E; a\ntext\nE\nb\n")
    assert (unparse(first), unparse(second)) == ("<<E cat;a\ntext\nE", "b")


def test_a_lexer_that_runs_out_of_text_goes_on_when_there_is_more() -> None:
    lexer = Lexer()
    lexer.text = "'a\n"
    assert lexer.next(lambda type: False) is None
    lexer.text += "b'\n"
    token = lexer.next(lambda type: False)
    assert token is not None
    assert token.value == tree.Word("a\nb", quoted=True, line=1)
    assert [getattr(lexer.next(lambda type: False), "type", None) for _ in range(2)] == ["_NL", None]
    lexer.eof = True
    assert getattr(lexer.next(lambda type: False), "type", None) == "$END"


@given(st.one_of(lines, st.text(), st.text(alphabet="a$=`'{}()<>[1]\n\\;&|^#!~ \tif")))
def test_any_text_can_be_coloured(text: str) -> None:
    at = 0
    for token in parse.tokens(text):
        assert at <= token.start <= token.end <= len(text)
        at = token.end


def test_a_report_shows_of_a_line_what_is_near_the_place_and_nothing_that_a_terminal_would_obey() -> None:
    with pytest.raises(RcSyntaxError) as caught:
        list(parse.parse("echo " + "x" * 5000 + "\x1b[2J\t\udcff )" + "y" * 5000 + "\n"))
    _, source, caret = caught.value.report().split("\n")
    assert re.fullmatch(r"\t\.\.\.x{50,}\\x1b\[2J\t\\xff \)y{50,}\.\.\.", source)
    assert source[caret.index("^")] == ")"


def test_a_message_repeats_only_the_beginning_of_a_long_word() -> None:
    with pytest.raises(RcSyntaxError) as caught:
        list(parse.parse("x = (a) " + "{" + "y\x01" * 100))
    assert len(str(caught.value)) < 200 and "\x01" not in caught.value.report()
