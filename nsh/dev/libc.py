"""Calls of the C library for threads that may wait (`nsh.dev.patience`), in place of Python's own.

Python's `os.open`, `os.read` and the like begin again after a signal. These end with InterruptedError when
nobody waits for them any more. And Python's `os.posix_spawn` keeps the interpreter to itself until the new
program has begun, so that we could not serve the file system that it is on; nor can it say where the
program is to stand.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nsh.dev.patience import given_up

if TYPE_CHECKING:
    import ctypes

_BIG = 1024
"""More bytes than any of the library's structures for a start has."""
_SETPGROUP, _SETSIGDEF, _SETSIGMASK = 2, 4, 8


@functools.cache
def _library() -> ctypes.CDLL:
    """The library; its functions let go of the interpreter's lock while they run."""
    import ctypes

    return ctypes.CDLL(None, use_errno=True)


@functools.cache
def _function(name: str, types: str) -> Callable[..., int]:
    """A function of the library that takes these types, a letter each, and the last of which it returns."""
    import ctypes

    known = {"i": ctypes.c_int, "n": ctypes.c_ssize_t, "q": ctypes.c_int64, "s": ctypes.c_char_p}
    # where offsets have 32 bits, the function for 64 has a name of its own
    function = getattr(_library(), f"{name}64", None) or getattr(_library(), name)
    *function.argtypes, function.restype = [known[letter] for letter in types]
    return function  # type: ignore[no-any-return]


def _call(function: Callable[..., int], *args: object) -> int:
    import ctypes

    while (result := function(*args)) < 0:
        number = ctypes.get_errno()
        if number != errno.EINTR or given_up():
            raise OSError(number, os.strerror(number))
    return result


def _filled(function: Callable[..., int], fd: int, count: int, *args: int) -> bytes:
    """What a function that reads puts into its buffer."""
    import ctypes

    buffer = ctypes.create_string_buffer(count)
    return bytes(memoryview(buffer)[: _call(function, fd, buffer, count, *args)])


def open(path: str, flags: int, mode: int = 0) -> int:
    """open(2)."""
    return _call(_function("open", "siii"), os.fsencode(path), flags | os.O_CLOEXEC, mode)


def read(fd: int, count: int) -> bytes:
    """read(2)."""
    return _filled(_function("read", "isnn"), fd, count)


def pread(fd: int, count: int, offset: int) -> bytes:
    """pread(2)."""
    return _filled(_function("pread", "isnqn"), fd, count, offset)


def write(fd: int, data: bytes) -> int:
    """write(2)."""
    return _call(_function("write", "isnn"), fd, data, len(data))


def pwrite(fd: int, data: bytes, offset: int) -> int:
    """pwrite(2)."""
    return _call(_function("pwrite", "isnqn"), fd, data, len(data), offset)


# --- starting programs -------------------------------------------------------------------------


def spawn(
    path: str,
    argv: Sequence[bytes],
    environ: Mapping[bytes, bytes],
    *,
    directory: int,
    descriptors: Iterable[tuple[int, int]],
    closed: Iterable[int],
    group: int | None,
    default: Iterable[int],
    blocked: Iterable[int],
) -> int:
    """posix_spawn(3), standing in the open ``directory``; returns the process id. Errors: OSError.

    ``descriptors``: the number here of each, and in the program; ``closed``: those that it is not to have;
    ``group``: its process group, 0 for a new one, None for ours; ``default``: signals that are not ignored;
    ``blocked``: signals that wait.
    """
    import ctypes

    pid = ctypes.c_int()
    with _initialised("posix_spawn_file_actions") as actions, _initialised("posix_spawnattr") as attributes:
        _do("posix_spawn_file_actions_addfchdir_np", actions, directory)
        for source, number in descriptors:
            _do("posix_spawn_file_actions_adddup2", actions, source, number)
        for number in closed:
            _do("posix_spawn_file_actions_addclose", actions, number)
        if group is not None:
            _do("posix_spawnattr_setpgroup", attributes, group)
        _do("posix_spawnattr_setsigdefault", attributes, _signals(default))
        _do("posix_spawnattr_setsigmask", attributes, _signals(blocked))
        flags = _SETSIGDEF | _SETSIGMASK | (_SETPGROUP if group is not None else 0)
        _do("posix_spawnattr_setflags", attributes, ctypes.c_short(flags))
        variables = [name + b"=" + value for name, value in environ.items()]
        words = os.fsencode(path), actions, attributes, _array(argv), _array(variables)
        _do("posix_spawn", ctypes.byref(pid), *words)
    return pid.value


def _do(name: str, *args: object) -> None:
    """Call a function that returns the number of its error."""
    number = getattr(_library(), name)(*args)
    if number:
        raise OSError(number, os.strerror(number))


@contextlib.contextmanager
def _initialised(name: str) -> Iterator[Any]:
    """One of the structures that tell how to start."""
    import ctypes

    structure = ctypes.create_string_buffer(_BIG)
    _do(f"{name}_init", structure)
    try:
        yield structure
    finally:
        _do(f"{name}_destroy", structure)


def _signals(numbers: Iterable[int]) -> Any:
    import ctypes

    signals = ctypes.create_string_buffer(_BIG)
    for number in numbers:
        _library().sigaddset(signals, number)
    return signals


def _array(words: Sequence[bytes]) -> Any:
    import ctypes

    return (ctypes.c_char_p * (len(words) + 1))(*words, None)
