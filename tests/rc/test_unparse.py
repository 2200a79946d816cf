"""unparse: what is printed parses to an equal tree, in the form that whatis of plan9port prints."""

from __future__ import annotations

import pytest
from hypothesis import assume, example, given, settings

from nsh.rc import parse, tree
from nsh.rc.unparse import unparse

from .strategies import lines


def _commands(text: str) -> list[tree.Node]:
    try:
        return list(parse.parse(text))
    except parse.RcSyntaxError:
        assume(False)
        raise


@settings(max_examples=400)
@given(lines)
@example("a <<EOF && ; b `{c <<'E''F'} >x\ntext\nEOF\nmore\nE'F\n")
@example("{a && } ; if(x) ; while() ; ! ; @ | ; >f\n")
@example(">a {b} >c | d >e | >f g | h\n")
@example("x=(a b) y=c >f z <>{a} >> >{b}\n")
@example("$x= y\n")
@example("a >[2=1] = b | a >c =d e | a^b = c >d\n")
@example("a | [b]* >[2] [c]* | | d && | [e] & && f\n")
def test_what_is_printed_parses_to_the_same_tree(text: str) -> None:
    for command in _commands(text):
        again = list(parse.parse(unparse(command)))
        assert again == [command]


@given(lines)
def test_printing_what_was_printed_changes_nothing(text: str) -> None:
    for command in _commands(text):
        once = unparse(command)
        (again,) = parse.parse(once)
        assert unparse(again) == once


@given(lines)
def test_equal_trees_hash_alike_whatever_their_lines(text: str) -> None:
    commands = _commands(text)
    shifted = list(parse.parse(text, line=100))
    assert shifted == commands
    assert [hash(command) for command in shifted] == [hash(command) for command in commands]
    assert [command.line for command in shifted] == [command.line + 99 for command in commands]


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("echo a   >f  b", ">f echo a b"),
        ("echo a >f | cat", "echo a >f|cat"),
        ("{ a; b } >f <g", ">f <g {a;b}"),
        ("{ a } >[2=1] | b", "{a} >[2=1]|b"),
        ("a |[2] b |[3=1] c", "a|[2]b|[3=1]c"),
        ("a && b || ! c", "a && b || ! c"),
        ("a & b &", "a& b&"),
        ("x=`:{cat <f} y=() z", "x=`:{<f cat} y=() z"),
        ("if(a; b) { c }", "if(a;b){c}"),
        ('for ( i ) echo $i(1)^$#i $"i', 'for(i)echo $i(1)^$#i $"i'),
        ("while() \n x", "while()x"),
        ("fn f g { h }", "fn f g {h}"),
        ("fn f", "fn f"),
        ("@ { cd / }", "@ {cd /}"),
        ("~ $x a* [b-c]?", "~ $x a* [b-c]?"),
        ("cat <{a} > >{b}", "> >{b} cat <{a}"),
        ("'if' 'a''b' '*'", "'if' 'a''b' '*'"),
        ("a.b$c", "a.b^$c"),
        ("cat <<x; b\ntext\nx", "<<x cat;b\ntext\nx"),
        ("fn f { cat <<[3]'x y'; b\n$text\nx y\n}", "fn f {<<[3]'x y' cat;b}\n$text\nx y"),
    ],
)
def test_the_printed_form(text: str, printed: str) -> None:
    (command,) = parse.parse(text)
    assert unparse(command) == printed


def test_functions_print_as_plan9port_prints_them() -> None:
    text = """fn f { echo a;echo b   |   cat
        for(i in 1 2) { echo $i >[2=1] }
        if(~ $x [a-c]*) x=(1 2) cmd 'q''s' "d"
        if not { cat <in >>out }
        }
        fn g { switch($1){case a; echo; case *; echo `{x y}^z $#a $"b $c(1 2-) @ ! ~} }
        """
    assert [unparse(command) for command in parse.parse(text)] == [
        "fn f {echo a;echo b|cat;for(i in 1 2){>[2=1]echo $i};if(~ $x [a-c]*)x=(1 2) cmd 'q''s' \"d\""
        ";if not {<in >>out cat}}",
        'fn g {switch ($1) {case a;echo;case *;echo `{x y}^z $#a $"b $c(1 2-) @ ! ~}}',
    ]


def test_nodes_of_different_kinds_or_parts_differ() -> None:
    one, two, three, four = (next(parse.parse(text)) for text in ("! a", "@ a", "! b", "! 'a'"))
    assert len({one, two, three, four}) == 4
    assert one != "! a"


def test_a_node_shows_its_parts() -> None:
    assert repr(next(parse.parse("! a"))) == "Not(Simple((Word('a', False),), ()))"
