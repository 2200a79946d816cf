"""A tree in the form of plan9port's ``rc -D``, in which the recordings have it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nsh.rc.tree import (
    And,
    Assign,
    Async,
    Backquote,
    Block,
    Concat,
    Count,
    Dup,
    Flat,
    Fn,
    For,
    HereDoc,
    If,
    IfNot,
    List,
    Match,
    Node,
    Not,
    Or,
    Pipe,
    ProcSub,
    Redirected,
    Seq,
    Simple,
    Sub,
    Subshell,
    Switch,
    Var,
    While,
    Word,
    quote,
)
from nsh.rc.unparse import descriptor


def dump(node: Node | None) -> str:
    """The tree in the form of plan9port's ``rc -D``, its blind spots included (bodies of backquotes)."""
    return "<nil>" if node is None else _dumpers[type(node)](node)


def _dump_words(words: tuple[Node, ...]) -> str:
    text = "<nil>"
    for word in words:
        text = f"(words {text} {dump(word)})"
    return text


def _dump_redir(redir: Any, body: str) -> str:
    if isinstance(redir, Dup):
        return f"(>[{redir.fd}={'' if redir.source is None else redir.source}] {body})"
    arrow = "<<" if isinstance(redir, HereDoc) else redir.arrow
    target = "HERE" if isinstance(redir, HereDoc) else dump(redir.target)
    return f"({arrow}{descriptor(arrow, redir.fd)}{target} {body})"


def _dump_simple(node: Simple) -> str:
    words = [dump(word) for word in node.words]
    for place in sorted((place for place in node.places if place), reverse=True):
        words.insert(place, "<nil>")
    text = words[0]
    for word in words[1:]:
        text = f"(arglist {text} {word})"
    text = f"(simple {text})"
    for redir in reversed(node.redirs):
        text = _dump_redir(redir, text)
    return text


def _dump_pipe(node: Pipe) -> str:
    ends = f"[{node.left_fd}={node.right_fd}]" if node.right_fd else f"[{node.left_fd}]"
    # plan9port forgets the closing parenthesis.
    return f"(|{'' if ends == '[1]' else ends} {dump(node.left)} {dump(node.right)}"


def _dump_sequence(items: list[str]) -> str:
    text = items[-1] if items else "<nil>"
    for item in reversed(items[:-1]):
        text = f"(; {item} {text})"
    return text


def _dump_switch(node: Switch) -> str:
    items: list[str] = []
    for case in node.cases:
        first = Word("case", quoted=False, line=case.line)
        items.append(_dump_simple(Simple((first, *case.patterns), (), (), case.line)))
        body = case.body.items if isinstance(case.body, Seq) else (case.body,) if case.body else ()
        items += [dump(item) for item in body]
    return f"(switch {dump(node.subject)} (brace {_dump_sequence(items)}))"


_dumpers: dict[type[Node], Callable[[Any], str]] = {
    Word: lambda n: quote(n.text) if n.quoted else n.text,
    List: lambda n: f"(paren {_dump_words(n.items)})",
    Concat: lambda n: f"(^ {dump(n.left)} {dump(n.right)})",
    Var: lambda n: f"($ {dump(n.name)})",
    Count: lambda n: f"($# {dump(n.name)})",
    Flat: lambda n: f'($" {dump(n.name)})',
    Sub: lambda n: f"($sub {dump(n.name)} {_dump_words(n.index)})",
    Backquote: lambda n: f"(` {dump(n.split)})",
    ProcSub: lambda n: f"({n.arrow}(brace {dump(n.body)}) <nil>)",
    Simple: _dump_simple,
    Redirected: lambda n: _dump_redir(n.redir, dump(n.body)),
    Assign: lambda n: f"({dump(n.name)}={dump(n.value)} {dump(n.body)})",
    Pipe: _dump_pipe,
    And: lambda n: f"(&& {dump(n.left)} {dump(n.right)})",
    Or: lambda n: f"(|| {dump(n.left)} {dump(n.right)})",
    Seq: lambda n: _dump_sequence([dump(item) for item in n.items]),
    Async: lambda n: f"(& {dump(n.body)})",
    Block: lambda n: f"(brace {dump(n.body)})",
    Not: lambda n: f"(! {dump(n.body)})",
    Subshell: lambda n: f"(@ {dump(n.body)})",
    If: lambda n: f"(if (paren {dump(n.test)}) {dump(n.body)})",
    IfNot: lambda n: f"(if not {dump(n.body)})",
    While: lambda n: f"(while (paren {dump(n.test)}) {dump(n.body)})",
    For: lambda n: f"(for {dump(n.name)} {_dump_words(n.words or ())} {dump(n.body)})",
    Switch: _dump_switch,
    Fn: lambda n: f"(fn {_dump_words(n.names)} {dump(n.body)})",
    Match: lambda n: f"(~ {dump(n.subject)} {_dump_words(n.patterns)})",
}
