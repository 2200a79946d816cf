"""The transcript as a file: what its lines are (grammar/transcript.lark), and how they are rewritten.

`parse` makes a `Transcript` of a text; `Transcript.rewritten` gives the text with other outputs, everything
else kept byte for byte. Nothing is run or compared here. The format is described in transcript(6).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import lark

from nsh import grammars
from nsh.errors import FileFormatError
from nsh.rc.parse import is_complete
from nsh.rc.record import as_output
from nsh.replay.compare import ELLIPSIS, Edit

__all__ = ["Command", "Host", "Output", "Transcript", "Where", "parse"]

_VALUES = ("home", "user", "group", "scratch", "here")
_USAGE = {
    "host": "# host NAME at DIALSTRING [hostname H] [root DIR] [over NAME,...]",
    "where": "# where TEXT is VALUE (or: is any word)",
}


class Host(NamedTuple):
    """A ``# host`` line: a machine that exports its taskfs at `address`. `hostname`, `root`: '' for none.

    ``over``: the names of the hosts that it has mounted under its own /remote.
    """

    line: int
    name: str
    address: str
    hostname: str
    root: str
    over: tuple[str, ...] = ()


class Where(NamedTuple):
    """A ``# where`` line: `text` stands for `value`, in which $home and the like stand for themselves yet.

    `value` is None where `text` stands for any word.
    """

    line: int
    text: str
    value: str | None

    def meaning(self, values: Mapping[str, str]) -> str | None:
        """`value` with $home, $user, $group, $scratch and $here replaced."""
        if self.value is None:
            return None
        return re.sub(r"\$(\w+)", lambda match: values[match[1]], self.value)


class Output(NamedTuple):
    """A recorded line; its text is `ELLIPSIS` where it stands for any number of lines."""

    line: int
    text: str


class Command:
    """A line that is typed, and what it printed. `prompt` is ';', '%', '$', or '' before the first prompt."""

    __slots__ = ("line", "output", "prompt", "text")

    def __init__(self, line: int, prompt: str, text: str, output: Sequence[Output] = ()) -> None:
        self.line, self.prompt, self.text, self.output = line, prompt, text, list(output)

    def __str__(self) -> str:
        return f"{self.prompt} {self.text}" if self.prompt else self.text


class Transcript:
    """A parsed file: its directives, its sentences, and its commands in order."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.hosts: list[Host] = []
        self.wheres: list[Where] = []
        self.prose: list[Output] = []
        self.commands: list[Command] = []

    def rewritten(self, changes: Mapping[Command, Sequence[Edit]]) -> str:
        """The text of the file with the outputs of the commands in ``changes`` edited."""
        lines = self.text.split("\n")
        for command in sorted(changes, key=lambda command: command.line, reverse=True):
            for edit in sorted(changes[command], reverse=True):
                self._edit(lines, command, edit)
        return "\n".join(lines)

    @staticmethod
    def _edit(lines: list[str], command: Command, edit: Edit) -> None:
        """Put the new lines where the first of the old ones was, else behind the line before."""
        output = command.output
        numbers = [line.line for line in output[edit.start : edit.end]]
        before = output[edit.start - 1].line if edit.start else command.line
        at = numbers[0] - 1 if numbers else before
        for number in reversed(numbers):  # a comment or a blank line between them stays
            del lines[number - 1]
        ending = "\r" if lines[command.line - 1].endswith("\r") else ""
        lines[at:at] = [as_output(text) + ending for text in edit.printed]


def parse(text: str, file: str = "") -> Transcript:
    """Read a transcript.

    Errors: `FileFormatError` with the place, for a directive that is none, or a command that goes on.
    """
    grammar = lark.Lark(grammars.read("transcript"), parser="lalr", lexer="contextual")
    try:
        tree = grammar.parse(text if text.endswith("\n") else text + "\n")
        reader = _Reader(Transcript(text), file)
        reader.transform(tree)
    except lark.exceptions.VisitError as e:
        raise e.orig_exc from None
    except lark.UnexpectedInput as e:
        raise _explained(e, text, file) from None
    return reader.transcript


def _explained(error: lark.UnexpectedInput, text: str, file: str) -> FileFormatError:
    """What is wrong with a line that the grammar refuses: only a directive can be wrong."""
    source = text.split("\n")[error.line - 1]
    word = source.lstrip("# \t").split()[0]
    return FileFormatError(f"a {word} line reads: {_USAGE[word]}", file, error.line)


class _Reader(lark.Transformer[lark.Token, None]):
    """Fills a Transcript; each method is named after a rule of the grammar and given what it kept."""

    def __init__(self, transcript: Transcript, file: str) -> None:
        super().__init__()
        self.transcript, self.file = transcript, file

    def _wrong(self, what: str, token: lark.Token) -> FileFormatError:
        return FileFormatError(what, self.file, token.line or 0)

    def host(self, children: list[Any]) -> None:
        name, address, hostname, root, over = children
        if not re.fullmatch(r"\w[\w.-]*", name):
            raise self._wrong(f"not a name for a host: {name}", name)
        if hostname and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]{0,63}", hostname):
            raise self._wrong(f"not a host name: {hostname}", name)
        if root and not root.startswith("/"):
            raise self._wrong(f"the root of a host begins with a slash: {root}", name)
        for other in self.transcript.hosts:
            if other.name == name:
                raise self._wrong(f"a second host {name} (the first is in line {other.line})", name)
            if other.address == address:
                raise self._wrong(f"a second host at {address} (the first is in line {other.line})", name)
        below = tuple(over.split(",")) if over else ()
        for other_name in below:
            if all(other.name != other_name for other in self.transcript.hosts):
                raise self._wrong(f"no host {other_name} above this line", name)
        host = Host(name.line, str(name), str(address), str(hostname or ""), str(root or ""), below)
        self.transcript.hosts.append(host)

    def where(self, children: list[lark.Token]) -> None:
        text, value = children
        for name in re.findall(r"\$(\w*)", value):
            if name not in _VALUES:
                known = ", ".join(f"${name}" for name in _VALUES)
                raise self._wrong(f"unknown ${name} (known: {known})", text)
        self._where(text, str(value))

    def where_any(self, children: list[lark.Token]) -> None:
        self._where(children[0], None)

    def _where(self, text: lark.Token, value: str | None) -> None:
        for other in self.transcript.wheres:
            if other.text == text:
                raise self._wrong(f"{text} has a meaning already (line {other.line})", text)
        self.transcript.wheres.append(Where(text.line or 0, str(text), value))

    def header(self, children: list[Any]) -> None:
        self._opening_lines(children)

    def opening(self, children: list[Any]) -> None:
        self._opening_lines(children)

    def _opening_lines(self, children: list[Any]) -> None:
        for token in children:
            if not isinstance(token, lark.Token):
                continue
            if token.type == "SENTENCE":
                self.transcript.prose.append(Output(token.line or 0, token.strip()))
            else:
                self._command(token, Command(token.line or 0, "", token.strip()))

    def exchange(self, children: list[Any]) -> None:
        prompt, text, *output = children
        lines = [Output(o.line, ELLIPSIS if o.type == "ELLIPSIS" else o.rstrip()) for o in output]
        command = Command(prompt.line, prompt.strip(), (text or "").strip(), lines)
        self._command(prompt, command)

    def _command(self, token: lark.Token, command: Command) -> None:
        """Take a command, which is one line: a shell that waits for more looks like one that works."""
        if not is_complete(command.text):
            raise self._wrong("the command is not complete", token)
        self.transcript.commands.append(command)
