"""Guard: a helper process that kills what an nsh leaves running when it dies, however it dies.

A process that is killed with SIGKILL cannot clean up. So each nsh that runs tasks has a guard: a small
shell that is told, through a pipe, which process groups begin and end. When the pipe is closed from
the other side, by exit or by death, what is still there is killed. Nothing else belongs here.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

from taskfs.spool import Bell

# dash, busybox and bash run this alike; its own process group keeps a terminal's Ctrl-C away from it
_SCRIPT = """
cd /
live=' '
while read -r what group; do
    case $what in
    +) live="$live$group " ;;
    -) case $live in *" $group "*) live="${live%% $group *} ${live#* $group }" ;; esac ;;
    esac
done
[ "$live" = ' ' ] && exit
for group in $live; do kill -TERM -$group; done
for tenth in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    left=' '
    for group in $live; do kill -0 -$group && left="$left$group "; done
    live=$left
    [ "$live" = ' ' ] && exit
    sleep 0.1
done
for group in $live; do kill -KILL -$group; done
"""


LINGER = 10.0
"""Seconds that the helper stays for the next task; it takes longer to start than most tasks do."""


class Guard:
    """Knows the process groups that run, and keeps the helper while it is wanted or one of them runs."""

    def __init__(self) -> None:
        self._wanted = False
        self._pipe = -1
        self._groups: set[int] = set()
        self._helper = 0
        self._bell = Bell()
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Have the helper there. Errors: those of starting a process."""
        self._wanted = True
        self._stop_timer()
        if self._pipe >= 0:
            return
        if self._helper:
            os.waitpid(self._helper, 0)  # its pipe is closed and it had nothing to kill: it has ended
            self._helper = 0
        read, write = os.pipe()
        onto: list[tuple[Any, ...]] = [(os.POSIX_SPAWN_DUP2, read, 0)]
        onto += [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_WRONLY, 0) for fd in (1, 2)]
        try:
            self._helper = os.posix_spawn(
                "/bin/sh", ["sh", "-c", _SCRIPT], os.environ, file_actions=onto, setsid=True
            )
        except OSError:
            os.close(write)
            raise
        finally:
            os.close(read)
        self._pipe = write
        for group in self._groups:
            self._tell(f"+ {group}\n")

    def add(self, group: int) -> None:
        """A process group has begun."""
        self._groups.add(group)
        self._tell(f"+ {group}\n")

    def remove(self, group: int) -> None:
        """A process group has ended."""
        if group in self._groups:
            self._groups.discard(group)
            self._tell(f"- {group}\n")
            self._leave()

    def unwanted(self) -> None:
        """No more will be started soon: let the helper go, once nothing runs any more."""
        self._stop_timer()
        self._wanted = False
        self._leave()

    def unwanted_soon(self) -> None:
        """`unwanted`, in `LINGER` seconds, if no more is started until then."""
        self._stop_timer()
        if self._pipe >= 0:
            self._timer = asyncio.get_running_loop().call_later(LINGER, self.unwanted)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def idle(self) -> None:
        """Wait until no process group runs."""
        while self._groups:
            await self._bell.wait()

    def _leave(self) -> None:
        if not self._groups:
            self._bell.ring()
            if not self._wanted:
                self._close()

    def _close(self) -> None:
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1

    def _tell(self, text: str) -> None:
        if self._pipe >= 0:
            try:
                os.write(self._pipe, text.encode())
            except BrokenPipeError:
                self._close()
