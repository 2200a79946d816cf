"""A command written on one line, however many it was typed on.

`unparse` needs more than one line for two things, which become others here that do the same: a newline in a
quotation is written as what ``echo`` prints, and a here document as a file that ``echo`` writes.
"""

from __future__ import annotations

import copy
import re
from typing import Any

from nsh.rc.redir import VARIABLE
from nsh.rc.tree import Backquote, Concat, Flat, HereDoc, Node, ProcSub, Redir, Seq, Simple, Word
from nsh.rc.unparse import unparse


def one_line(commands: list[Node]) -> str:
    """The commands as one line that does the same."""
    written = [_written(command) for command in commands]
    return unparse(Seq(tuple(written)) if len(written) > 1 else written[0])


def _written(node: Any) -> Any:
    """The node, or all nodes of a tuple, with nothing in it that needs several lines."""
    if isinstance(node, tuple):
        return tuple(_written(item) for item in node)
    if isinstance(node, Word) and "\n" in node.text:
        return _joined(_pieces(node.text, node.line))
    if isinstance(node, HereDoc):
        words = (*(Word(text, False, node.line) for text in ("echo", "-n")), _joined(_document(node)))
        echo = Simple(words, (), (), node.line)
        return Redir("<", node.fd, ProcSub("<", echo, node.line), node.line)
    if not isinstance(node, Node):
        return node
    made = copy.copy(node)
    for part in node.parts:
        setattr(made, part, _written(getattr(node, part)))
    return made


def _pieces(text: str, line: int) -> list[Node]:
    """Words that are the text when they are joined: what stands between newlines, and these."""
    newline = Backquote(Word("", True, line), Simple((Word("echo", False, line),), (), (), line), line)
    found: list[Node] = []
    for number, piece in enumerate(text.split("\n")):
        found += [newline] if number else []
        found += [Word(piece, True, line)] if piece else []
    return found


def _document(node: HereDoc) -> list[Node]:
    """Words that are the text of a here document when they are joined, its variables among them."""
    if node.quoted:
        return _pieces(node.text, node.line)
    found: list[Node] = []
    end = 0
    for variable in re.finditer(VARIABLE, node.text):
        found += _pieces(node.text[end : variable.start()], node.line)
        if variable[1]:
            found.append(Flat(Word(variable[1], False, node.line), node.line))
        elif variable[0] == "$$":
            found.append(Word("$", True, node.line))
        end = variable.end()
    return [*found, *_pieces(node.text[end:], node.line)]


def _joined(pieces: list[Node]) -> Node:
    """Pieces as one word; an empty one if there are none."""
    made = pieces[0] if pieces else Word("", True, 1)
    for piece in pieces[1:]:
        made = Concat(made, piece)
    return made
