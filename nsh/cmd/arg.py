"""Options of commands, in the way of arg(2): single letters, that may be joined and may take a value."""

from __future__ import annotations


class Usage(Exception):
    """The command was called wrongly; the text is what follows its name in the usage line."""


class Options:
    """What `parse` found. ``"a" in options``: was -a given; ``options.value("m")``: the last value of -m."""

    def __init__(self, letters: list[tuple[str, str]], args: list[str]) -> None:
        self.letters = letters
        self.args = args

    def __contains__(self, letter: str) -> bool:
        return any(letter == given for given, _ in self.letters)

    def value(self, letter: str, default: str = "") -> str:
        return next((v for given, v in reversed(self.letters) if given == letter), default)

    def values(self, letter: str) -> list[str]:
        return [v for given, v in self.letters if given == letter]


def parse(argv: list[str], letters: str, usage: str, dash: bool = False) -> Options:
    """Take the options off ``argv[1:]``; ``letters`` are those allowed, one with ``:`` takes a value.

    ``--`` ends them, and so does a lone ``-``, unless with ``dash`` it is an option that asks for nothing.
    Raises `Usage` with ``usage``.
    """
    found: list[tuple[str, str]] = []
    args = argv[1:]
    while args and args[0].startswith("-") and (dash or args[0] != "-"):
        word = args.pop(0)
        if word == "--":
            break
        rest = word[1:]
        while rest:
            letter, rest = rest[0], rest[1:]
            at = letters.find(letter)
            if letter == ":" or at < 0:
                raise Usage(usage)
            if letters[at + 1 : at + 2] != ":":
                found.append((letter, ""))
                continue
            if not rest and not args:
                raise Usage(usage)
            found.append((letter, rest or args.pop(0)))
            rest = ""
    return Options(found, args)
