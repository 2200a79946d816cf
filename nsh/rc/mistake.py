"""What is said about a token that the grammar cannot take: what could have stood there, and what to do.

Imported with the first mistake. Whether there is one, and where, is the business of `parse` and `lex`.
"""

from __future__ import annotations

import re

from nsh.rc.lex import KEYWORDS, Lexer, RcSyntaxError, Token, Wants, visible

_OPERATORS = {"_SEMI": ";", "AMP": "&", "PIPE": "|", "AND": "&&", "OR": "||"}
_WORDS = {"WORD": "a word", "ARROW": "a redirection"}
_OTHERS = {
    "_HEAD": "'('",
    "LBRACE": "'{'",
    "_BRACE": "'{'",
    "_IN": "'in'",
    "_RPAREN": "')'",
    "_RBRACE": "'}'",
    "_NL": "the end of the line",
}
_SPELLED = 40
"""Characters of a word that a message repeats."""


def unexpected(lexer: Lexer, token: Token, wants: Wants) -> RcSyntaxError:
    """The error for ``token``, in whose place the grammar ``wants`` others."""
    text, start, line = lexer.text, token.start, token.line
    if token.type == "$END" and lexer.opened:
        _, start, line = lexer.opened[-1]
        return lexer.error(f"this {text[start]} is never closed", start, line)
    what = f"unexpected {_spelling(token, text)}"
    if expected := _expected(wants):
        what += f", expected {expected}"
    hint = _hint(lexer, token, wants)
    if start >= len(text):  # the end of the text is behind its last line, not on an empty one after it
        start = len(text.rstrip("\n"))
        line -= text.count("\n", start)
    return lexer.error(what, start, line, hint)


def _spelling(token: Token, text: str) -> str:
    if token.type == "$END" or token.start >= len(text):
        return "end of file"
    if token.type == "_NL":
        return "end of line"
    word = text[token.start : token.end] or text[token.start]  # a free caret has no text of its own
    return f"'{visible(word)}'" if len(word) <= _SPELLED else f"'{visible(word[:_SPELLED])}...'"


def _expected(wants: Wants) -> str:
    """What could have stood there, in words."""
    if wants("IF"):
        parts = ["a command", *(_OTHERS[type] for type in ("_RPAREN", "_RBRACE") if wants(type))]
    else:
        parts = [word for type, word in _WORDS.items() if wants(type)]
        operators = " ".join(word for type, word in _OPERATORS.items() if wants(type))
        if operators:
            parts.append(f"an operator ({operators})")
        parts += [word for type, word in _OTHERS.items() if wants(type)]
    return " or ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))


_CONDITION = "a condition is a command in ( ), as in {}(~ $x a) echo b"
_BODY = "a body is one command, or several in { }"
_FUNCTION = "a function is made by fn name { commands }"
_QUOTE = "quote it to use it in a word"

_AFTER = {
    "if": _CONDITION.format("if"),
    "while": _CONDITION.format("while"),
    "for": "as in for(i in a b) echo $i",
    "`": "the output of a command is `{command}",
    "$": "quote a $ that means itself",
    "=": "an assignment needs a value: a word, () or ''",
    "^": "the ^ joins two words of one line",
}
"""By what stands before the token."""

_FOREIGN = {
    "else": "'if not' has a line of its own, or stands after a ;",
    "elif": "'if not if(...)' has a line of its own, or stands after a ;",
    "not": "'if not' stands only in a list of commands, after 'if(...)'",
    "function": _FUNCTION,
    **dict.fromkeys(("then", "fi", "do", "done", "esac"), _BODY),
}
"""By what the token is, or the word with which its command begins."""


def _hint(lexer: Lexer, token: Token, wants: Wants) -> str:
    """What to do about it, as far as that can be guessed; else ''."""
    text, type = lexer.text, token.type
    word = text[token.start : token.end]
    before = text[: token.start].rstrip(" \t")
    if wants("_HEAD") and word != "not":
        last = re.search(r"[a-z]+$", before)
        return _AFTER.get(last[0] if last else "", "")
    if word in _FOREIGN:
        return _FOREIGN[word]
    if type == "AMP" and before.endswith((">", "<")):
        return "a descriptor is made a copy of another by >[2=1]"
    if type == "LBRACE" and before.endswith("$"):
        return "a ^ ends a name, as in $x^y"
    if wants("_BRACE"):
        return _AFTER["`"]
    if type in ("_NL", "$END") and lexer.opened and text[lexer.opened[-1][1]] == "(":
        return "a list stands on one line; a \\ at its end goes on with it"
    if before[-1:] in _AFTER and not wants("IF"):
        return _AFTER[before[-1]]
    return _HINTS[type](lexer, token) if type in _HINTS else _next(word, type, wants)


def _next(word: str, type: str, wants: Wants) -> str:
    """The hint for what would begin a command of its own, or a redirection of one."""
    if type in ("ARROW", "DUP", "HERE") and wants("_SEMI"):
        return "braces around the command let it be redirected"
    if not wants("WORD") and wants("_SEMI") and (type in ("WORD", "QUOTED", "DOLLAR") or word in KEYWORDS):
        return "a command begins on a new line or after a ;"
    return ""


def _parenthesis(lexer: Lexer, token: Token) -> str:
    rest = lexer.text[token.end :]
    if rest.startswith(")"):
        return _FUNCTION
    if re.match(r"[^()\n]*\)[ \t]*=", rest):
        return "an element cannot be assigned, only the whole list"
    return "a ( must not touch the word before it: put ^ or a blank between, or quote it"


def _block(lexer: Lexer, token: Token) -> str:
    line = lexer.text[: token.start].rpartition("\n")[2].split()
    return _FOREIGN.get(line[0] if line else "", f"{{ starts a block: {_QUOTE}")


def _closing(lexer: Lexer, token: Token) -> str:
    if lexer.closed is None:
        return f"nothing was opened that it could close; {_QUOTE}"
    return f"a {lexer.text[lexer.closed[1]]} before it is still open"


_HINTS = {
    "_SUBSCRIPT": _parenthesis,
    "LBRACE": _block,
    "_RBRACE": _closing,
    "_RPAREN": _closing,
}
