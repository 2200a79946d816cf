"""How the shell is called: the options of nsh(1). Nothing is imported here that a start takes long for."""

from __future__ import annotations

TYPE_CHECKING = False  # not from typing, which asyncio has yet to import
if TYPE_CHECKING:
    from nsh.rc.timings import Timings

FLAGS = "DNexils"


class Usage(Exception):
    """nsh was called wrongly; the text says how."""


class Options:
    """How nsh was called. ``text``: of -c; ``file``: the script; ``args``: what is then ``$*``.

    ``namespace``: the file that says what the name space is, of -n; ``record``: the file that an
    interactive session is written to; ``timings``: keeps the time; ``debug``: errors are told in full.
    """

    def __init__(self) -> None:
        self.flags: set[str] = set()
        self.text: str | None = None
        self.file: str | None = None
        self.args: list[str] = []
        self.namespace: str | None = None
        self.record: str | None = None
        self.timings: Timings | None = None
        self.debug = False


def parse(argv: list[str]) -> Options:
    """Take the options off the arguments. Errors: `Usage`."""
    found, args = Options(), argv[:]
    while found.text is None and args and args[0].startswith("-") and args[0] != "-":
        word = args.pop(0)
        if word == "--":
            break
        if word.startswith("--"):
            _long(found, word, args)
        else:
            _short(found, word, args)
    if found.text is None and args:
        found.file = args.pop(0)
    found.args = args
    if found.record is not None and (found.text is not None or found.file is not None):
        raise Usage("only a session is recorded, no script")
    return found


def _long(found: Options, word: str, args: list[str]) -> None:
    name, equals, value = word.partition("=")
    if name == "--record":
        found.record = value if equals else _value(name, args)
    elif word == "--debug":
        found.debug = True
    elif word == "--timings":
        from nsh.rc.timings import Timings

        found.timings = Timings()
    else:
        raise Usage(f"unknown option {word}")


def _short(found: Options, word: str, args: list[str]) -> None:
    """Letters behind one dash; what follows c or n is theirs."""
    for at, letter in enumerate(word[1:], 2):
        if letter in "cn":
            value = word[at:] or _value(f"-{letter}", args)
            if letter == "c":
                found.text = value
            else:
                found.namespace = value
            return
        if letter not in FLAGS:
            raise Usage(f"unknown flag -{letter}")
        found.flags.add(letter)


def _value(option: str, args: list[str]) -> str:
    if not args:
        raise Usage(f"{option} needs a {'command' if option == '-c' else 'file'}")
    return args.pop(0)
