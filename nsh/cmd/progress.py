"""How it stands with many tasks, in one line: no command itself. Only text is made here."""

from __future__ import annotations

from collections.abc import Sequence

from nsh.cmd.taskfiles import Places, Task, together

CELLS = 32
"""Most cells of the bar."""

_RUNNING = "running"
_WORST_FIRST = {"lost": "!", "failed": "x", _RUNNING: ".", "done": "#"}
"""The kinds of tasks, and how a cell of the bar shows that it has one."""


def word(task: Task) -> str:
    """What has become of a task: running, done, lost, timeout, exit: 3, signal: 9; new: nothing yet."""
    if task.running:
        return _RUNNING
    if task.state == "Done":
        return task.why or "done"
    return "lost" if task.state == "Lost" else "new"


def _kind(task: Task) -> str:
    known = word(task)
    return known if known in _WORST_FIRST else "failed"


def line(tasks: Sequence[Task], places: Places, seconds: float) -> str:
    """``[##x.]  0:12  1 failed: host3  1 running: host4  2 done``."""
    tasks = sorted(tasks, key=lambda task: places.order(task.rank))
    ranks: dict[str, list[str]] = {kind: [] for kind in _WORST_FIRST}
    for task in tasks:
        ranks[_kind(task)].append(task.rank)
    told = [f"[{bar([_kind(task) for task in tasks])}]", clock(seconds)]
    for kind, some in ranks.items():
        if some:
            told.append(
                f"{len(some)} {kind}" + ("" if kind == "done" else f": {together(places.hosts(some))}")
            )
    return "  ".join(told)


def bar(kinds: Sequence[str]) -> str:
    """A cell for each task, or for several, of which the worst is shown."""
    cells = min(len(kinds), CELLS)
    shares = [kinds[i * len(kinds) // cells : (i + 1) * len(kinds) // cells] for i in range(cells)]
    return "".join(next(sign for kind, sign in _WORST_FIRST.items() if kind in share) for share in shares)


def clock(seconds: float) -> str:
    """``0:12``, ``1:02:03``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
