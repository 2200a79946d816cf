"""The command line of nsh: which shell to run, or which tool."""

from __future__ import annotations

import gc
import sys

TYPE_CHECKING = False  # not from typing: what that imports is not needed to find out what is wanted
if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

USAGE = """usage: nsh [-DNexils] [-n namespace] [--timings] [--debug] [file [arg ...]]
       nsh [-DNexils] [-n namespace] [--timings] [--debug] -c command [arg ...]
       nsh [-DNexils] [-n namespace] [--timings] [--debug] --record transcript
       nsh 9p [option ...] command [arg ...]
       nsh 9pfuse [option ...] address directory
       nsh replay [-kv] [--host] [--update] [--timeout seconds] transcript
       nsh --version | --help"""

FRAME = 256 if sys.version_info >= (3, 12) else 640
"""Bytes of the host's stack that are kept for a coroutine that another waits for; half of it is spare."""

DEEPEST = 26000
"""Coroutines that wait for each other: a call of a function takes eight, and 3,000 are to be possible."""


def main(argv: list[str] | None = None) -> int:
    """Run nsh with these arguments (``sys.argv[1:]``); returns the exit code."""
    args = sys.argv[1:] if argv is None else list(argv)
    if args[:1] == ["--version"]:
        from nsh import __version__

        print(f"nsh {__version__}")
        return 0
    if args[:1] == ["--help"]:
        print(USAGE)
        return 0
    if args[:1] == ["replay"]:
        from nsh.replay import main as replay

        return replay(args[1:])
    if args[:1] == ["9p"]:
        from nsh.tool import run

        return run("9p", args[1:])
    if args[:1] == ["9pfuse"]:
        from nsh.ninepfuse import main as ninepfuse

        return ninepfuse(args[1:])
    return _shell(args)


def _fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes event loops faster than asyncio's own, where it is installed (the extra ``fast``)."""
    try:
        import uvloop
    except ImportError:
        return None
    new: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return new


def _shell(args: list[str]) -> int:
    """Run the shell; what should not happen is told in one line, with --debug in full."""
    gc.disable()  # nothing is thrown away until the shell is there; the session enables it again
    _die_of_interrupts()
    from nsh.rc.options import Usage, parse

    try:
        options = parse(args)
    except Usage as e:
        print(f"nsh: {e}\n{USAGE}", file=sys.stderr)
        return 1
    from nsh import aio

    aio.start()
    import asyncio

    if options.timings is not None:
        options.timings.mark("asyncio")
    from nsh.rc.session import main as session

    if options.timings is not None:
        options.timings.mark("the modules of the shell")
    if not options.debug:
        _log_briefly()
    _reserve_descriptors()
    _use_the_stack()
    try:
        with asyncio.Runner(debug=options.debug, loop_factory=_fast_loop()) as runner:
            code = runner.run(session(options))
        return code if code >= 0 else _die(-code)
    except Exception as e:
        if options.debug:
            raise
        print(f"nsh: internal error: {type(e).__name__}: {e} (--debug tells more)", file=sys.stderr)
        return 1
    finally:
        _forget_output()
        gc.freeze()  # Python's last collection would take longer than all else that is left to do


def _die_of_interrupts() -> None:
    """Until the session is there, and has a handler of its own, there is nothing to clean up."""
    import signal

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def _forget_output() -> None:
    """If nobody takes what is still to be written, the terminal being gone, say, that is not our failure."""
    import os

    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _die(number: int) -> int:
    """End by a signal, as a program does that does not know of it. Should we survive that: the exit code."""
    import atexit
    import os
    import signal

    atexit._run_exitfuncs()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    return 128 + number


def _reserve_descriptors() -> None:
    """Occupy those of 0, 1 and 2 that we were started without, or something of ours would get the number.

    What is there then can be neither read nor written, which is how `connect` knows it.
    """
    import os

    while (fd := os.open("/", os.O_PATH | os.O_CLOEXEC)) <= 2:
        pass
    os.close(fd)


def _use_the_stack() -> None:
    """Let functions of rc call each other deeper than Python allows, as far as the stack carries it."""
    import resource

    size, _ = resource.getrlimit(resource.RLIMIT_STACK)
    frames = DEEPEST if size == resource.RLIM_INFINITY else min(size // FRAME, DEEPEST)
    sys.setrecursionlimit(max(frames, sys.getrecursionlimit()))


def _log_briefly() -> None:
    """Have what is logged on standard error in one line each, without tracebacks."""
    import logging

    class Brief(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return f"nsh: {record.getMessage()}"

    handler = logging.StreamHandler()
    handler.setFormatter(Brief())
    logging.getLogger().addHandler(handler)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)


if __name__ == "__main__":
    sys.exit(main())
