"""The program ``9pfuse``, also called ``nsh 9pfuse``: a 9P server mounted where Linux sees it. 9pfuse(4).

It starts as the host's daemons do: a child does the work and stays, and the parent ends when the mount
is there or has failed. Here is the life of that process; what it does is `nsh.cmd.ninepfuse`'s `connect`
and `show`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence

from nsh.boot import boot
from nsh.cmd.arg import Options, Usage, parse
from nsh.dev import TABLE
from nsh.dev.hostfd import HostFdDevice
from nsh.errors import P9Error, from_os
from nsh.kern.proc import current

_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main(argv: Sequence[str] | None = None) -> int:
    """Run it with these arguments (``sys.argv[1:]``); returns the exit code."""
    from nsh.cmd.ninepfuse import USAGE, check

    try:
        options = parse(["9pfuse", *(sys.argv[1:] if argv is None else argv)], "DfA:a:", USAGE)
        check(options)
    except Usage as e:
        print(f"usage: 9pfuse {e}", file=sys.stderr)
        return 1
    if "f" not in options:
        return _in_background(options)
    return _run(options, lambda: None)


def _in_background(options: Options) -> int:
    """Leave a child behind that serves; its error is told here, where somebody reads it."""
    heard, told = os.pipe()
    if os.fork():
        os.close(told)
        with open(heard, "rb") as file:
            return 0 if file.read() == b"mounted" else 1
    os.close(heard)

    def mounted() -> None:
        os.setsid()  # not before: whoever interrupts the command means this process
        _detach(0, 1, *(() if "D" in options else (2,)))
        os.write(told, b"mounted")
        os.close(told)

    os._exit(_run(options, mounted))


def child() -> None:
    """The program that nsh starts for its command of this name.

    The connection is descriptor 0; what came of it is told on descriptor 1. It ends with nsh, also when that
    is killed and cannot end it.
    """
    from nsh.cmd.ninepfuse import MOUNTED, USAGE

    def mounted() -> None:
        print(MOUNTED, flush=True)
        _detach(0, 1)

    options = parse(["9pfuse", *sys.argv[1:]], "DA:a:", USAGE)
    sys.exit(_run(options, mounted, os.pidfd_open(os.getppid())))


def _detach(*fds: int) -> None:
    """Keep nobody waiting for the end of these descriptors, and no directory busy."""
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for fd in fds:
        os.dup2(null, fd)
    os.close(null)


def _run(options: Options, mounted: Callable[[], None], shell: int = -1) -> int:
    """Mount, call ``mounted``, serve to the end; returns the exit code. ``shell``: its pidfd, in `child`."""
    try:
        asyncio.run(_serve(options, mounted, shell))
    except OSError as e:
        text = str(e if isinstance(e, P9Error) else from_os(e))
        if shell < 0:
            print(f"9pfuse: {text}", file=sys.stderr)
        else:
            print(text, flush=True)
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130
    return 0


async def _serve(options: Options, mounted: Callable[[], None], shell: int) -> None:
    from nsh.cmd.ninepfuse import connect, show

    p = await boot(TABLE, ())
    current.set(p)
    HostFdDevice.of(p.system).inherit(p)
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    for number in _ENDING:
        loop.add_signal_handler(number, task.cancel)
    dialed = options
    if shell >= 0:
        dialed = Options(options.letters, ["fd!0", *options.args[1:]])

        def orphaned() -> None:
            loop.remove_reader(shell)
            task.cancel()

        loop.add_reader(shell, orphaned)
    try:
        served = await show(p, options, await connect(p, dialed))
        mounted()
        try:
            await asyncio.shield(served.wait())
        except asyncio.CancelledError:
            await served.unmount()
    finally:
        p.exit()
        await asyncio.sleep(0)  # for what was closed last


if __name__ == "__main__":
    child()
