"""``nsh replay``: run a transcript in its world, say for each command whether it did as recorded, update.

The command line, the report and the exit status live here; replay(1) describes them.
"""

from __future__ import annotations

import argparse
import os
import stat
import sys
import tempfile
from collections.abc import Iterator, Sequence

from nsh.errors import FileFormatError
from nsh.replay.compare import Edit, Substitution, differences, fits, rewrite, without_count
from nsh.replay.script import Command, Output, Transcript, parse
from nsh.replay.signals import Signals
from nsh.replay.world import World

__all__ = ["main"]

_MARGIN = " " * 14
"""What stands under the line number and the verdict of a command."""


def main(argv: list[str], signals: Signals) -> int:
    """Run ``nsh replay`` with these arguments, as long as ``signals`` lets it.

    Returns 0 when no command differs, 1 when some do, 2 when the file cannot be used (with FILE:LINE and why
    on stderr).
    """
    options = _options(argv)
    try:
        with open(options.file, encoding="utf-8", errors="surrogateescape", newline="") as file:
            transcript = parse(file.read(), options.file)
        return Replay(transcript, options, signals).run()
    except FileFormatError as e:
        return _complain(str(e))
    except OSError as e:
        what = f"{e.filename}: {e.strerror}" if e.filename else str(e)
        return _complain(f"{options.file}: {what}" if e.filename != options.file else what)


def _options(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("nsh replay", description="Run a recorded session and compare.")
    parser.add_argument("-k", action="store_true", dest="go_on", help="go on after a difference")
    parser.add_argument("-v", action="store_true", dest="verbose", help="show the output as it comes")
    parser.add_argument("--host", action="store_true", help="type $ lines to bash, and mount for all to see")
    parser.add_argument("--update", action="store_true", help="rewrite the recorded output in place")
    parser.add_argument("--timeout", type=_seconds, default=30.0, metavar="S", help="for one command (30)")
    parser.add_argument("file", metavar="FILE", help="a transcript, see transcript(6)")
    return parser.parse_args(argv)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"not a number of seconds above 0: {text}")
    return value


def _complain(what: str) -> int:
    sys.stdout.flush()
    print(f"nsh replay: {what}", file=sys.stderr)
    return 2


class Replay:
    """One run of a transcript."""

    def __init__(self, transcript: Transcript, options: argparse.Namespace, signals: Signals) -> None:
        self._transcript, self._options, self._signals = transcript, options, signals
        self._where = Substitution()
        self._changes: dict[Command, Sequence[Edit]] = {}
        self._ran = self._differ = 0

    def run(self) -> int:
        """Run all commands, report, and rewrite the file if asked to; the exit status."""
        options = self._options
        with World(self._transcript, options.file, self._signals.check, options.host) as world:
            wheres = [(where.text, where.meaning(world.values)) for where in self._transcript.wheres]
            self._where = Substitution([*wheres, *world.meanings])
            if world.refused:
                _say("", f"{world.refused}: this machine's own name stands for those of the hosts")
            self._run_all(world)
        if self._changes:
            _write(self._options.file, self._transcript.rewritten(self._changes))
            _say("", f"{len(self._changes)} outputs recorded anew in {self._options.file}")
        print(f"{self._ran} commands, {self._differ} differ", flush=True)
        return 1 if self._differ else 0

    def _run_all(self, world: World) -> None:
        """Run the commands in order, the sentences shown where they stand."""
        lines: list[Command | Output] = [*self._transcript.prose, *self._transcript.commands]
        for line in sorted(lines, key=lambda line: line.line):
            if isinstance(line, Output):
                _say(f"{line.line:5}", line.text)
            elif line.text or line.output:  # else a prompt at which nothing happened
                self._run_one(world, line)
                if self._differ and not (self._options.go_on or self._options.update):
                    break

    def _run_one(self, world: World, command: Command) -> None:
        """Run one command, compare, and report."""
        self._ran += 1
        if self._options.verbose:
            _say(f"{command.line:5}", str(command))
        show = _show if self._options.verbose else None
        text = self._where.expand(command.text)
        result = world.run(command, text, self._options.timeout, show)
        recorded = [line.text for line in command.output]
        printed: Sequence[str] = result.printed
        if "tree" in command.text.split():
            printed = without_count(recorded, printed)
        if not result.trouble and fits(recorded, printed, self._where):
            _say(f"{command.line:5} ok", str(command))
            return
        edits = self._in_its_words(recorded, differences(recorded, printed, self._where))
        # Before the first prompt there is no place for output; a trouble is none.
        recordable = bool(command.prompt) and not result.trouble
        if self._options.update and recordable:
            self._changes[command] = edits
            _say(f"{command.line:5} recorded", str(command))
        else:
            self._differ += 1
            _say(f"{command.line:5} differs", str(command))
            for line in _explained(command, edits):
                _show(line)
            for what in (result.trouble, *world.casualties()):
                if what:
                    _show(what)

    def _in_its_words(self, recorded: list[str], edits: Sequence[Edit]) -> list[Edit]:
        """``edits`` in the words of the file, so that only what really differs is seen, or written."""
        written = []
        for start, end, printed in edits:
            like = recorded[start:end] + recorded
            written.append(Edit(start, end, [rewrite(line, like, self._where) for line in printed]))
        return written


def _explained(command: Command, edits: Sequence[Edit]) -> Iterator[str]:
    """The differences, as a reader wants them: recorded lines with their numbers, printed ones."""
    for start, end, printed in edits:
        for line in command.output[start:end]:
            yield f"{line.line:5} - {line.text}"
        for text in printed:
            yield f"      + {text}"


def _say(what: str, text: str) -> None:
    """Print a line of the report: ``what`` in a column of its own."""
    print(f"{what:{len(_MARGIN)}} {text}".rstrip(), flush=True)


def _show(text: str) -> None:
    _say("", text)


def _write(path: str, text: str) -> None:
    """Replace the file's content in one step, its mode kept. Errors: `OSError`."""
    path = os.path.realpath(path)
    mode = stat.S_IMODE(os.stat(path).st_mode)
    with tempfile.NamedTemporaryFile(
        "w",
        encoding="utf-8",
        errors="surrogateescape",
        newline="",
        dir=os.path.dirname(path),
        prefix=".replay-",
        delete=False,
    ) as new:
        try:
            new.write(text)
            new.flush()
            os.fchmod(new.fileno(), mode)
            os.replace(new.name, path)
        except BaseException:
            os.unlink(new.name)
            raise
