"""parse: the trees are plan9port's, a command at a time, and mistakes are told with their place."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsh.errors import FileFormatError
from nsh.rc import parse, tree
from nsh.rc.unparse import unparse

from .dump import dump
from .overruled import OVERRULED
from .strategies import lines

CASES = Path(__file__).parents[1] / "corpus" / "rc" / "cases"

EXCEPTIONS = [name for name, otherwise in OVERRULED.items() if otherwise.tree]


def _read(path: Path) -> str:
    return path.read_bytes().decode()  # no universal newlines: a CR is a character of a word


def _dumped(text: str) -> list[str]:
    """The recorded form: a tree a line, ERROR where reading stops."""
    out = []
    parser = parse.Parser(text)
    try:
        while isinstance(command := parser.next(), tree.Node):
            out.append(dump(command))
    except parse.RcSyntaxError:
        out.append("ERROR")
    return out


def _names() -> list[str]:
    names = sorted(path.stem for path in CASES.glob("*.parse"))
    assert len(names) == 183
    return [name for name in names if name not in EXCEPTIONS]


@pytest.mark.parametrize("name", _names())
def test_trees_are_those_that_plan9port_prints(name: str) -> None:
    recorded = _read(CASES / f"{name}.parse")
    ours = "\n".join(_dumped(_read(CASES / f"{name}.rc"))) + "\n"
    if "ERROR" not in recorded:
        assert ours == recorded
        return
    # What was read before the line with the mistake is the same, and the mistake is one for both. Of that
    # line plan9port prints the half that it has read, and its own words.
    before, _, _ = recorded.partition("ERROR")
    whole = ours.removesuffix("ERROR\n")
    assert whole != ours
    assert before.startswith(whole)
    assert before[len(whole) :].count("\n") <= 1


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_the_exceptions_are_needed(name: str) -> None:
    assert "\n".join(_dumped(_read(CASES / f"{name}.rc"))) + "\n" != _read(CASES / f"{name}.parse")


@pytest.mark.parametrize(
    ("text", "dumped"),
    [
        # precedence
        ("! a | b", "(! (| (simple a) (simple b))"),
        ("@{a} | b", "(@ (| (brace (simple a)) (simple b))"),
        ("x=1 a | b", "(x=1 (| (simple a) (simple b))"),
        ("x=1 a && b", "(&& (x=1 (simple a)) (simple b))"),
        (">f a | b", "(>f (| (simple a) (simple b))"),
        ("a || b && c", "(&& (|| (simple a) (simple b)) (simple c))"),
        ("if(c) a && b", "(if (paren (simple c)) (&& (simple a) (simple b)))"),
        ("if(c) a; b", "(; (if (paren (simple c)) (simple a)) (simple b))"),
        ("a | if(c) b && c", "(| (simple a) (if (paren (simple c)) (&& (simple b) (simple c)))"),
        ("for(i in a) {b} >f", "(for i (words <nil> a) (>f (brace (simple b))))"),
        ("$$x(1)", "(simple ($ ($sub x (words <nil> 1))))"),
        # empty commands
        (";;", None),
        ("| cat", "(| <nil> (simple cat)"),
        ("a && && b", "(&& (&& (simple a) <nil>) (simple b))"),
        ("!", "(! <nil>)"),
        ("{}", "(brace <nil>)"),
        ("a; &", "(; (simple a) (& <nil>))"),
        ("if()\n\n a", "(if (paren <nil>) (simple a))"),
        # assignments
        ("$n=5", "(($ n)=5 <nil>)"),
        ("'a b'=5", "('a b'=5 <nil>)"),
        ("a = b c", "(a=b (simple c))"),
        ("pre^fix=6", "(simple (^ (^ (^ pre fix) =) 6))"),
        ("x$n=8", "(simple (^ (^ (^ x ($ n)) =) 8))"),
        ("x=1 >f y=2 z", "(x=1 (>f (y=2 (simple z))))"),
        # where newlines are skipped
        ("a |\n\n b", "(| (simple a) (simple b)"),
        ("a &&\n b ||\n\n c", "(|| (&& (simple a) (simple b)) (simple c))"),
        ("while(a\nb)\n c", "(while (paren (; (simple a) (simple b))) (simple c))"),
        ("switch x\n{\ncase a\n\tb\n}", "(switch x (brace (; (simple (arglist case a)) (simple b))))"),
        # other shapes
        ("fn a b {c}", "(fn (words (words <nil> a) b) (brace (simple c)))"),
        ("fn $x 'if'", "(fn (words (words <nil> ($ x)) 'if') <nil>)"),
        ("fn {a}; fn", "(; (fn <nil> (brace (simple a))) (fn <nil> <nil>))"),
        ("a $(b)c", "(simple (arglist a (^ ($ (paren (words <nil> b))) c)))"),
        ("cat <<[3]E", "(<<[3]HERE (simple (arglist cat <nil>)))"),
        ("a <>{b}", "(simple (arglist a (<>(brace (simple b)) <nil>)))"),
        ("{a} >f >[2=1]", "(>f (>[2=1] (brace (simple a))))"),
        ("$x()", "(simple ($sub x <nil>))"),
    ],
)
def test_shapes(text: str, dumped: str | None) -> None:
    assert [dump(command) for command in parse.parse(text)] == ([] if dumped is None else [dumped])


@pytest.mark.parametrize(
    ("text", "line", "column", "what"),
    [
        ("echo a )", 1, 8, "unexpected ')'"),
        (
            "echo a{b,c}",
            1,
            7,
            "unexpected '{', expected a word, a redirection, an operator (; & | && ||) or the ",
        ),
        ("{ a } b", 1, 7, "unexpected 'b'"),
        ("{ a } if not b", 1, 7, "unexpected 'if'"),
        ("x=\n", 1, 3, "unexpected end of line, expected a word"),
        ("a >\n", 1, 4, "unexpected end of line, expected a word"),
        ("a^\nb", 1, 3, "unexpected end of line, expected a word"),
        ("ok\nx=(a\nb)", 2, 5, "unexpected end of line, expected a word or ')'"),
        ("x(2)=new", 1, 2, "unexpected '('"),
        ("$x(1)(2)", 1, 6, "unexpected '('"),
        ("$#x(1)", 1, 4, "unexpected '('"),
        ("a(b)", 1, 2, "unexpected '('"),
        ("(a)b", 1, 4, "a list in ( ) touches what stands next to it"),
        ("(a)(b)", 1, 4, "a list in ( ) touches what stands next to it"),
        ("if true {x}", 1, 4, "unexpected 'true', expected '('"),
        ("for i in a {x}", 1, 5, "unexpected 'i', expected '('"),
        ("for(i\nin a) b", 1, 6, "unexpected end of line, expected 'in' or ')'"),
        ("echo }", 1, 6, "unexpected '}'"),
        ("~ a b >f", 1, 7, "unexpected '>'"),
        ("fn f {a} >x", 1, 10, "unexpected '>'"),
        ("a |\n", 1, 4, "unexpected end of file, expected a command"),
        ("if(a)\n\n", 1, 6, "unexpected end of file, expected a command"),
        ("a\n{ b\n c\n", 2, 1, "this { is never closed"),
        ("a\nif(b\n", 2, 3, "this ( is never closed"),
        ("a\n\necho 'b\nc\n", 3, 6, "this quote is never closed"),
        ("echo $;", 1, 7, "unexpected ';', expected a word"),
        ("echo $\n", 1, 7, "unexpected end of line, expected a word"),
        ("a >[x]f", 1, 3, "'>[x]' is no redirection"),
        ("a |[2=] b", 1, 3, "'|[2=]' is no redirection"),
        ("cat <<$x", 1, 5, "<< needs a word after it"),
        ("cat <<E$x", 1, 8, "unexpected '$'"),
        ("if not a", 1, 1, "'if not' does not follow 'if(...)'"),
        ("if(a) b\nc\nif not d", 3, 1, "'if not' does not follow 'if(...)'"),
        ("if(a) b\n{ if not d }", 2, 3, "'if not' does not follow 'if(...)'"),
        ("for(i in a) if(b) c\nif not d", 2, 1, "'if not' does not follow 'if(...)'"),
        ("! if(a) b\nif not c", 2, 1, "'if not' does not follow 'if(...)'"),
        ("a && if(b) c\nif not d", 2, 1, "'if not' does not follow 'if(...)'"),
        ("if(a) b\nif not c\nif not d", 3, 1, "'if not' does not follow 'if(...)'"),
        ("a && if not b", 1, 9, "unexpected 'not', expected '('"),
        ("switch(a){b; case a}", 1, 1, "case missing in switch"),
        ("switch(a){}", 1, 1, "case missing in switch"),
        ("  switch(a){case a}", 1, 3, "case missing in switch"),
        ("{" * 200, 1, 101, "brackets are nested too deeply"),
        ("é日 'a' )", 1, 8, "unexpected ')'"),
    ],
)
def test_mistakes_are_told_with_their_place(text: str, line: int, column: int, what: str) -> None:
    with pytest.raises(parse.RcSyntaxError) as caught:
        list(parse.parse(text, file="f.rc"))
    assert (caught.value.line, caught.value.column) == (line, column)
    assert caught.value.what.startswith(what)
    assert str(caught.value).startswith(f"f.rc:{line}:{column}: {what}")
    assert isinstance(caught.value, FileFormatError)


ANY = "expected a word, a redirection, an operator (; & | && ||) or the end of the line"


@pytest.mark.parametrize(
    ("text", "report"),
    [
        (
            "echo a{b,c}",
            f"f.rc:1:7: unexpected '{{', {ANY}\n"
            "\techo a{b,c}\n\t      ^ { starts a block: quote it to use it in a word",
        ),
        (
            "x= # nothing",
            "f.rc:1:13: unexpected end of file, expected a word\n\tx= # nothing\n\t            ^",
        ),
        (
            "a\n\t日e\u0301 \tx(1)",
            f"f.rc:2:8: unexpected '(', {ANY}\n\t\t日e\u0301 \tx(1)\n\t\t    \t "
            "^ a ( must not touch the word before it: put ^ or a blank between, or quote it",
        ),
        (
            "{if(~ a b) {c} if not d}",
            "f.rc:1:16: unexpected 'if', expected a redirection, an operator (; & | && ||), '}' or the end of"
            " the line\n\t{if(~ a b) {c} if not d}\n"
            "\t               ^ a command begins on a new line or after a ;",
        ),
        (
            "a |\n\n",
            "f.rc:1:4: unexpected end of file, expected a command\n\ta |\n\t   ^",
        ),
    ],
)
def test_a_report_points_at_the_place_and_says_what_to_do(text: str, report: str) -> None:
    with pytest.raises(parse.RcSyntaxError) as caught:
        list(parse.parse(text, file="f.rc"))
    assert caught.value.report() == report


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("if [ -f x ]; then", "a condition is a command in ( ), as in if(~ $x a) echo b"),
        ("a | while read x; do", "a condition is a command in ( ), as in while(~ $x a) echo b"),
        ("for i in a b; do", "as in for(i in a b) echo $i"),
        ("if(a) {b} else {c}", "'if not' has a line of its own, or stands after a ;"),
        ("else {c}", "'if not' has a line of its own, or stands after a ;"),
        ("{a} fi", "a body is one command, or several in { }"),
        ("f() { a }", "a function is made by fn name { commands }"),
        ("function f { a }", "a function is made by fn name { commands }"),
        ("x(2)=new", "an element cannot be assigned, only the whole list"),
        ("echo `date`", "the output of a command is `{command}"),
        ("echo ${x}", "a ^ ends a name, as in $x^y"),
        ("echo $; a", "quote a $ that means itself"),
        ("a 2>&1", "a descriptor is made a copy of another by >[2=1]"),
        ("x=", "an assignment needs a value: a word, () or ''"),
        ("x=(a\nb)", "a list stands on one line; a \\ at its end goes on with it"),
        ("a^\nb", "the ^ joins two words of one line"),
        ("~ a b >f", "braces around the command let it be redirected"),
        ("a > >f", ""),
        ("a )", "nothing was opened that it could close; quote it to use it in a word"),
        ("(a })", "a ( before it is still open"),
        ("{a )", "a { before it is still open"),
        ("{a} b", "a command begins on a new line or after a ;"),
        ("it's", "in a quotation '' stands for one '"),
        ("a && if not b", "'if not' stands only in a list of commands, after 'if(...)'"),
        ("cat <<$x", "one literal word, quoted or not"),
        ("a >[x]", "in brackets stand descriptors, as in >[2] >[2=1] >[2=]"),
    ],
)
def test_usual_mistakes_get_a_hint(text: str, hint: str) -> None:
    with pytest.raises(parse.RcSyntaxError) as caught:
        list(parse.parse(text))
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    "text",
    [
        "if(a) b\nif not c",
        "if(a) b\n\n# comment\n;\nif not c",
        "if(a) b; if not c",
        "if(a) b\nif not if(c) d\nif not e",
        "{ if(a) b\n if not c }",
        "switch(a){case a\nif(b) c\nif not d\n}",
    ],
)
def test_if_not_follows_an_if(text: str) -> None:
    assert list(parse.parse(text))


def test_what_stands_before_a_mistake_has_been_handed_out() -> None:
    commands = parse.parse("a\nb )\nc")
    assert unparse(next(commands)) == "a"
    with pytest.raises(parse.RcSyntaxError):
        next(commands)


def test_after_a_mistake_only_the_rest_of_its_line_is_dropped() -> None:
    parser = parse.Parser("a\nb ) { '\nc\nd >\ne\n")
    seen = []
    while True:
        try:
            command = parser.next()
        except parse.RcSyntaxError as error:
            seen.append(f"line {error.line}")
            continue
        if not isinstance(command, tree.Node):
            break
        seen.append(unparse(command))
    assert command is parse.END
    assert seen == ["a", "line 2", "c", "line 4", "e"]


def test_a_parser_asks_for_lines_and_says_which_prompt_is_due() -> None:
    parser = parse.Parser()
    seen = []
    for line in [
        "echo a\n",
        "\n",
        "if(true)\n",
        "\techo b\n",
        "cat <<E\n",
        "x\n",
        "E\n",
        "x='\n",
        "'\n",
        "{\n",
        "}\n",
    ]:
        parser.feed(line)
        command = parser.next()
        if isinstance(command, tree.Node):
            seen.append(unparse(command))
            command = parser.next()
        assert command is parse.MORE
        seen.append("..." if parser.inside else "%")
    parser.eof()
    assert parser.next() is parse.END
    assert seen == [
        "echo a", "%", "%", "...", "if(true)echo b", "%", "...", "...", "<<E cat\nx\nE", "%", "...",
        "x='\n'", "%", "...", "{}", "%",
    ]  # fmt: skip


def test_several_commands_of_one_line_come_as_one() -> None:
    (command,) = parse.parse("a; b\n")
    assert isinstance(command, tree.Seq)


def test_lines_are_numbered_from_the_one_given() -> None:
    with pytest.raises(parse.RcSyntaxError) as caught:
        list(parse.parse("a\n)", line=10))
    assert caught.value.line == 11


COMPLETE = [
    "", "a", "a;", "a &", "a # b {", "{ a }", "a\\b", "if(a) b", "'a'", "fn f { a; b }", "cat <<E\nE",
    "if(a) b\nif not c",
]  # fmt: skip
WRONG = ["a )", "x=(a", "x=", "a >", "a ^", "$x(", "if true", "echo $"]
INCOMPLETE = [
    "'a", "a 'b\n", "{ a", "fn f {", "fn f {\n a\n", "if(", "if(a", "while(a\n", "`{a", "a <{b", "switch(a){",
    "switch(a)", "cat <<E", "cat <<E\ntext", "{ cat <<E\nE", "a &&", "a ||", "a |", "a | # b", "if(a)",
    "for(i in a)", "while()", "if(a) b\nif not", "a &&\n\n", "a \\",
]  # fmt: skip


@pytest.mark.parametrize("text", COMPLETE + WRONG)
def test_complete_input_and_mistakes_need_no_further_line(text: str) -> None:
    assert parse.is_complete(text)


@pytest.mark.parametrize("text", INCOMPLETE)
def test_incomplete_input_needs_a_further_line(text: str) -> None:
    assert not parse.is_complete(text)


@given(lines, st.lists(st.integers(0, 10_000), max_size=8))
def test_text_may_come_in_any_pieces(text: str, cuts: list[int]) -> None:
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    parser = parse.Parser()
    out = []
    for start, end in pairwise(places):
        parser.feed(text[start:end])
        try:
            while isinstance(command := parser.next(), tree.Node):
                out.append(dump(command))
        except parse.RcSyntaxError:
            out.append("ERROR")
            break
        assert command is parse.MORE
    else:
        parser.eof()
        try:
            while isinstance(command := parser.next(), tree.Node):
                out.append(dump(command))
        except parse.RcSyntaxError:
            out.append("ERROR")
    assert out == _dumped(text)


@given(st.one_of(st.text(), st.text(alphabet="a$=`'{}()<>[1]\n\\;&|^#!~ \tif")))
def test_any_text_is_a_script_or_a_mistake_and_comes_to_an_end(text: str) -> None:
    parser = parse.Parser(text)
    for _ in range(2 * len(text) + 2):
        try:
            if parser.next() is parse.END:
                return
        except parse.RcSyntaxError as error:
            assert 1 <= error.line <= text.count("\n") + 1
            assert error.report()
    raise AssertionError("the parser does not come to an end")


@given(st.text(alphabet="a$=`'{}()<>\n\\;&|^#!~ \tif"))
def test_any_text_is_complete_or_not(text: str) -> None:
    assert parse.is_complete(text) in (True, False)
