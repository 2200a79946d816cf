"""The words that a ctl file takes: how a message is split, checked, and handed to its session.

A message that is refused has changed nothing. What the words do is done by the session; a table at the
end says how many arguments each has. The settings that words leave behind are `Options`.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from nsh import errors, hostnames
from nsh.errors import P9Error
from nsh.kern.chan import Chan, Maybe, must_wait
from nsh.kern.namec import quote
from taskfs.post import Role

if TYPE_CHECKING:
    from taskfs.session import Session


MAXKEPT = 4
"""The files of a session, besides its ctl, that are counted when they are open."""
MAXNICE = 19
"""By how much the priority of a task can be lowered: the range of nice(2)."""


class Options:
    """What was set for the tasks of a session and for the way its files work.

    ``said``: which of the `INHERITED` were set, here or by who has reserved the session.
    """

    __slots__ = ("args", "dir", "env", "hosts", "inmode", "label", "nice", "ns", "onfail",
                 "outmode", "peers", "said", "timeout")  # fmt: skip

    def __init__(self) -> None:
        self.dir = ""
        self.nice = 0
        self.timeout = 0.0
        self.onfail = "continue"
        self.inmode = "bcast"
        self.outmode = "child"
        self.label = "none"
        self.peers = "off"
        self.said: tuple[str, ...] = ()
        self.hosts: list[str] = []
        self.args: list[str] = []
        self.env: dict[str, str] = {}
        self.ns = b""

    def say(self, option: str, value: str | float) -> None:
        """Set one of them."""
        setattr(self, option, value)
        if option in INHERITED and option not in self.said:
            self.said += (option,)

    def settings(self) -> list[str]:
        """The control messages that make a child run its tasks as this says."""
        said = [option for option in INHERITED if option in self.said]
        return [f"{option} {quote(str(getattr(self, option)))}" for option in said]

    def follow(self, other: Options) -> None:
        """Have what the `settings` of ``other`` say."""
        for option in other.said:
            self.say(option, getattr(other, option))


INHERITED = ("dir", "nice", "timeout", "peers", "onfail", "inmode")
"""What holds for the resources, too."""


# --- splitting ---------------------------------------------------------------------------------

_WORD = re.compile(r"(?:[^\x00-\x20']|'(?:[^']|'')*')+")
_QUOTED = re.compile(r"'((?:[^']|'')*)'")


def split(text: str) -> list[list[str]]:
    """The commands of a message, one a line, each as its words, quoted as in rc; empty lines are none.

    Errors: `Ebadctl` where a quote is not closed.
    """
    commands: list[list[str]] = [[]]
    at = 0
    while at < len(text):
        if text[at] == "\n":
            commands.append([])
            at += 1
        elif text[at] <= " ":
            at += 1
        else:
            word = _WORD.match(text, at)
            if word is None or text[word.end() : word.end() + 1] == "'":
                raise errors.Ebadctl(f'unclosed quote in control message "{text.strip()}"')
            commands[-1].append(_QUOTED.sub(lambda m: m[1].replace("''", "'"), word[0]))
            at = word.end()
    return [command for command in commands if command]


def _as_typed(words: list[str]) -> str:
    return " ".join(quote(word) for word in words)


def run(session: Session, text: str, c: Chan | None = None) -> Maybe[None]:
    """Do the commands of one write, in order, up to the first that fails; ``c``: to which file, if to one.

    Errors: `Emptyctl`, `Ebadctl`, `Ectlargs`, and those of the commands.
    """
    commands = split(text)
    if not commands:
        raise errors.Emptyctl()
    for words in commands:
        _check(words)
    return _do(session, commands, c)


def _check(words: list[str]) -> None:
    word = WORDS.get(words[0])
    if word is None:
        raise errors.Ebadctl(f'unknown control message "{_as_typed(words)}"')
    if not word.least <= len(words) - 1 <= word.most:
        raise errors.Ectlargs(f'wrong #args in control message "{_as_typed(words)}"')


def _do(session: Session, commands: list[list[str]], c: Chan | None) -> Maybe[None]:
    for i, words in enumerate(commands):
        word = WORDS[words[0]]
        try:
            done = word.do(session, *([c] if word.of_file else []), *words[1:])
        except ValueError as e:
            raise _bad(e, words) from None
        if must_wait(done):
            return _do_later(session, done, commands[i + 1 :], c)
    return None


async def _do_later(session: Session, done: Any, rest: list[list[str]], c: Chan | None) -> None:
    await done
    later = _do(session, rest, c)
    if must_wait(later):
        await later


def _bad(e: ValueError, words: list[str]) -> OSError:
    """The error of an argument that is no number, or none of the words there are."""
    return e if isinstance(e, OSError) else P9Error(f'bad argument in control message "{_as_typed(words)}"')


# --- the words ---------------------------------------------------------------------------------


def _number(text: str) -> int:
    """Errors: ValueError, for all that is not decimal digits."""
    if not (text.isascii() and text.isdigit()):
        raise ValueError(text)
    return int(text)


def _res(session: Session, n: str, system: str = "*", arch: str = "*") -> Maybe[None]:
    return session.reserve(_number(n), system, arch)


def _hosts(session: Session, *names: str) -> None:
    expanded: list[str] = []
    for word in names:
        expanded += hostnames.expand(word)
        if len(expanded) > hostnames.MOST:
            raise errors.Elimit(f"too many hosts: more than {hostnames.MOST}")
    session.options.hosts = expanded


def _exec(session: Session, *argv: str) -> Maybe[None]:
    return session.exec(list(argv))


def _dir(session: Session, path: str) -> None:
    session.options.say("dir", path)


def _nice(session: Session, n: str = "10") -> None:
    lower = _number(n)
    if lower > MAXNICE:
        raise ValueError(n)
    session.options.say("nice", lower)


def _timeout(session: Session, seconds: str) -> None:
    if not re.fullmatch(r"\d+(\.\d*)?|\.\d+", seconds, re.ASCII):
        raise ValueError(seconds)
    session.options.say("timeout", float(seconds))


def _choice(option: str, *allowed: str) -> Callable[[Session, str], None]:
    """The action of a word that sets an option to one of the words ``allowed``."""

    def choose(session: Session, word: str) -> None:
        if word not in allowed:
            raise ValueError(word)
        session.options.say(option, word)

    return choose


def _signal(session: Session, which: str) -> Maybe[None]:
    """A signal by its name, or by its number on this host."""
    if which.isdecimal():
        return session.signal(signal.Signals(_number(which)))
    number = getattr(signal, "SIG" + which.upper().removeprefix("SIG"), None)
    if not isinstance(number, signal.Signals):
        raise ValueError(which)
    return session.signal(number)


class Stake:
    """What ends with an open ctl: the tasks, if it is to ``kill`` them; and that files are ``kept`` open."""

    __slots__ = ("kept", "kill")

    def __init__(self) -> None:
        self.kill = False
        self.kept = 0


def _stake(c: Chan | None) -> Stake:
    """That of this Chan; of nobody's, one that nobody sees."""
    if c is None:
        return Stake()
    if c.dirpos is None:
        c.dirpos = Stake()
    stake: Stake = c.dirpos
    return stake


def _killonclose(session: Session, c: Chan | None) -> None:
    _stake(c).kill = True


def _keep(session: Session, c: Chan | None, n: str) -> None:
    kept, stake = _number(n), _stake(c)
    if kept > MAXKEPT or c is None:
        raise ValueError(n)
    session.kept_open(kept - stake.kept)
    stake.kept = kept


def _kill(session: Session) -> Maybe[None]:
    return session.kill()


def _closein(session: Session) -> Maybe[None]:
    return session.close_input()


def _splice(session: Session, path: str) -> Maybe[None]:
    return session.splice(path)


def _xsplice(session: Session, a: str, b: str) -> Maybe[None]:
    return session.xsplice(_number(a), _number(b))


def _fed(session: Session, word: str) -> None:
    if word not in ("on", "off"):
        raise ValueError(word)
    session.feed_above(word == "on")


def _resting(session: Session) -> Maybe[None]:
    return session.check_resting()


def _task(session: Session, rank: str, size: str, host: str, listener: str, key: str) -> None:
    post = session.device.exchanges.find(listener).post(key)
    session.take(Role(_number(rank), _number(size), host, post, rank))


def _release(session: Session) -> None:
    session.release()


def _detach(session: Session) -> None:
    session.detach()


def _below(session: Session, *hosts: str) -> None:
    session.put_below(hosts)


class Word(NamedTuple):
    """A control word: the least and the greatest number of its arguments, and what it does.

    ``of_file``: it is about the file that was written to.
    """

    least: int
    most: int
    do: Callable[..., Maybe[None]]
    of_file: bool = False


_MANY = 1 << 30

WORDS = {
    "res": Word(1, 3, _res),
    "hosts": Word(1, _MANY, _hosts),
    "exec": Word(1, _MANY, _exec),
    "dir": Word(1, 1, _dir),
    "nice": Word(0, 1, _nice),
    "timeout": Word(1, 1, _timeout),
    "onfail": Word(1, 1, _choice("onfail", "continue", "stop")),
    "inmode": Word(1, 1, _choice("inmode", "bcast", "lines")),
    "outmode": Word(1, 1, _choice("outmode", "child", "line", "raw")),
    "peers": Word(1, 1, _choice("peers", "on", "off")),
    "label": Word(1, 1, _choice("label", "none", "rank", "host")),
    "kill": Word(0, 0, _kill),
    "signal": Word(1, 1, _signal),
    "killonclose": Word(0, 0, _killonclose, of_file=True),
    "keep": Word(1, 1, _keep, of_file=True),
    "closein": Word(0, 0, _closein),
    "splice": Word(1, 1, _splice),
    "xsplice": Word(2, 2, _xsplice),
    "fed": Word(1, 1, _fed),
    "resting": Word(0, 0, _resting),
    "release": Word(0, 0, _release),
    "detach": Word(0, 0, _detach),
    "below": Word(1, _MANY, _below),
    "task": Word(5, 5, _task),
}
