"""Every error text of the system, once, each as an exception class.

In Plan 9 an error is a string: it crosses the wire in Rerror, and programs compare it. In Python an
error is a class. Here each text is a class that is also the builtin exception a Python programmer
would catch, so ``except FileNotFoundError`` and ``except Enonexist`` both work on the same failure,
whether it happened in a device of this process or on a machine far away. The names and the texts are
those of Inferno's kernel (emu/port/error.h describes the same table); the texts that only servers
use follow intro(5) as Inferno's export and plan9port's lib9p word them.

A name says which failure is meant, to those who catch it and to those who raise it:

    >>> async with nsh.Namespace() as ns:
    ...     try:
    ...         await ns.write("/env", b"x")
    ...     except nsh.errors.Eisdir as e:
    ...         print(e)
    ...     except nsh.errors.Eperm as e:
    ...         print("not allowed:", e)
    not allowed: permission denied
    >>> nsh.errors.from_text("file does not exist")
    Enonexist(2, 'file does not exist')

Nothing here knows about protocols, files or processes. Three kinds of failure are kept apart:

* `P9Error`: a file, a device or a peer *answered* with an error. The answer is the text.
* `ProtocolError`: a peer broke the rules of 9P; its connection cannot be used any more.
* `FileFormatError`: a text that a person wrote (a script, a namespace file, a transcript) is wrong,
  with the place where.
"""

from __future__ import annotations

import errno as _errno
import os

__all__ = ["FileFormatError", "P9Error", "ProtocolError", "from_os", "from_text"]


class P9Error(OSError):
    """An error with a Plan 9 text: ``str(e)`` is the text, ``e.errno`` the nearest Unix number.

    A subclass names one text; raise it bare for that text, or with a text of its own that begins or
    ends alike (``Enonexist("'/n/x' file does not exist")``).

        >>> async with nsh.Namespace() as ns:
        ...     try:
        ...         await ns.read("/nowhere")
        ...     except nsh.P9Error as e:
        ...         print(type(e).__name__, isinstance(e, FileNotFoundError), e)
        Enonexist True '/nowhere' file does not exist
    """

    text = "i/o error"
    code = _errno.EIO

    def __init__(self, text: str | None = None) -> None:
        super().__init__(self.code, self.text if text is None else text)

    def __str__(self) -> str:
        return str(self.strerror)

    def __reduce__(self) -> tuple[type[P9Error], tuple[str]]:
        return type(self), (str(self),)


class ProtocolError(Exception):
    """The peer sent what 9P does not allow; the text says what. The connection must be closed."""


class FileFormatError(Exception):
    """A file written by a person is wrong: ``FILE:LINE[:COLUMN]: what``. Lines count from 1."""

    def __init__(self, what: str, file: str = "", line: int = 0, column: int = 0) -> None:
        where = ":".join(str(part) for part in (file, line, column) if part)
        super().__init__(f"{where}: {what}" if where else what)
        self.what, self.file, self.line, self.column = what, file, line, column


# --- names and directories ---------------------------------------------------------------------


class Enonexist(P9Error, FileNotFoundError):
    text, code = "file does not exist", _errno.ENOENT


class Edoesnotexist(Enonexist):
    """A later name of one walk message is missing; the first is `Enonexist`."""

    text = "does not exist"


class Eexist(P9Error, FileExistsError):
    text, code = "file already exists", _errno.EEXIST


class Enotdir(P9Error, NotADirectoryError):
    text, code = "not a directory", _errno.ENOTDIR


class Eisdir(P9Error, IsADirectoryError):
    text, code = "file is a directory", _errno.EISDIR


class Enotempty(P9Error):
    text, code = "directory not empty", _errno.ENOTEMPTY


class Eemptyname(P9Error, FileNotFoundError):
    text, code = "empty file name", _errno.ENOENT


class Enametoolong(P9Error):
    text, code = "name too long", _errno.ENAMETOOLONG


class Ebadchar(P9Error, ValueError):
    text, code = "bad character in file name", _errno.EINVAL


class Efilename(P9Error, ValueError):
    text, code = "file name syntax", _errno.EINVAL


class Ecreatedir(P9Error):
    text, code = "create without DMDIR", _errno.EINVAL


class Ecloned(P9Error):
    """A Chan had to be duplicated, and its file or its server is gone."""

    text, code = "clone failed", _errno.ESTALE


# --- permission and use ------------------------------------------------------------------------


class Eperm(P9Error, PermissionError):
    text, code = "permission denied", _errno.EACCES


class Enotowner(P9Error, PermissionError):
    text, code = "not owner", _errno.EPERM


class Ereadonly(P9Error, PermissionError):
    text, code = "file system read only", _errno.EROFS


class Einuse(P9Error):
    text, code = "device or object already in use", _errno.EBUSY


class Elocked(P9Error):
    """A DMEXCL file is open already; lib9p's text."""

    text, code = "exclusive lock", _errno.EBUSY


class Ebadusefd(P9Error):
    text, code = "inappropriate use of fd", _errno.EBADF


class Ebadfd(P9Error):
    text, code = "fd out of range or not open", _errno.EBADF


class Ebadarg(P9Error, ValueError):
    text, code = "bad arg in system call", _errno.EINVAL


class Eauth(P9Error, PermissionError):
    text, code = "authentication not required", _errno.EACCES


# --- the mount table ---------------------------------------------------------------------------


class Emount(P9Error):
    text, code = "inconsistent mount", _errno.EINVAL


class Eunmount(P9Error):
    text, code = "not mounted", _errno.EINVAL


class Eunion(P9Error):
    text, code = "not in union", _errno.EINVAL


class Enocreate(P9Error, PermissionError):
    text, code = "mounted directory forbids creation", _errno.EACCES


class Enoattach(P9Error, PermissionError):
    text, code = "mount/attach disallowed", _errno.EPERM


class Enodev(P9Error, FileNotFoundError):
    text, code = "unknown device in # filename", _errno.ENODEV


class Ebadspec(P9Error, FileNotFoundError):
    text, code = "bad attach specifier", _errno.EINVAL


class Enotsrv(P9Error):
    text, code = "directory not a srv device", _errno.EINVAL


# --- reading and writing -----------------------------------------------------------------------


class Eio(P9Error):
    text, code = "i/o error", _errno.EIO


class Ecount(P9Error):
    text, code = "i/o count too small", _errno.EINVAL


class Etoobig(P9Error):
    text, code = "read or write too large", _errno.EFBIG


class Etoosmall(P9Error):
    text, code = "read or write too small", _errno.EINVAL


class Enegoffset(P9Error):
    text, code = "negative i/o offset", _errno.EINVAL


class Edirseek(P9Error):
    text, code = "can't seek on a directory", _errno.EINVAL


class Eseek(P9Error):
    text, code = "seek on a stream", _errno.ESPIPE


class Ebadstat(P9Error):
    text, code = "malformed stat buffer", _errno.EINVAL


class Eshortstat(P9Error):
    text, code = "stat buffer too small", _errno.EINVAL


class Enoend(P9Error):
    text = "directory has no end"


class Eshortwrite(P9Error):
    text, code = "short write", _errno.EIO


class Ewclosed(P9Error, BrokenPipeError):
    text, code = "write on closed pipe", _errno.EPIPE


class Enospace(P9Error):
    text, code = "filesystem full", _errno.ENOSPC


class Enofd(P9Error):
    text, code = "no free file descriptors", _errno.EMFILE


class Enomem(P9Error):
    text, code = "out of memory: kernel", _errno.ENOMEM


# --- control files -----------------------------------------------------------------------------


class Emptyctl(P9Error, ValueError):
    text, code = "empty control message", _errno.EINVAL


class Ebadctl(P9Error, ValueError):
    """``unknown control message "WORDS"``."""

    text, code = "unknown control message", _errno.EINVAL


class Ectlargs(P9Error, ValueError):
    """``wrong #args in control message "WORDS"``."""

    text, code = "wrong #args in control message", _errno.EINVAL


# --- connections and processes -----------------------------------------------------------------


class Emountrpc(P9Error, ConnectionError):
    """The reply was lost: it was awaited when the connection died, or it made no sense."""

    text, code = "mount rpc error", _errno.EIO


class Ehungup(P9Error, ConnectionError):
    """The connection was already dead when the request was made."""

    text, code = "i/o on hungup channel", _errno.EPIPE


class Eintr(P9Error, InterruptedError):
    text, code = "interrupted", _errno.EINTR


class Etimedout(P9Error, TimeoutError):
    text, code = "connection timed out", _errno.ETIMEDOUT


class Econrefused(P9Error, ConnectionRefusedError):
    text, code = "connection refused", _errno.ECONNREFUSED


class Ebadaddr(P9Error, ValueError):
    text, code = "bad network address", _errno.EINVAL


class Enoproc(P9Error, ProcessLookupError):
    text, code = "thread exited", _errno.ESRCH


class Enochild(P9Error, ChildProcessError):
    text, code = "no living children", _errno.ECHILD


# --- what a 9P server says of a misused fid (intro(5)) -----------------------------------------


class Eunknownfid(P9Error):
    text, code = "unknown fid", _errno.EBADF


class Efidinuse(P9Error):
    text, code = "fid in use", _errno.EBUSY


class Efidopen(P9Error):
    text, code = "fid already opened", _errno.EBUSY


class Enotopen(P9Error):
    text, code = "read/write -- not open in suitable mode", _errno.EBADF


class Ewalkopen(P9Error):
    text, code = "walk of open fid", _errno.EBADF


class Ebadmode(P9Error):
    text, code = "open/create -- unknown mode", _errno.EINVAL


class Edupltag(P9Error):
    text, code = "duplicate tag", _errno.EINVAL


class Enotag(P9Error):
    text, code = "NOTAG is for version only", _errno.EINVAL


class Ecountbig(P9Error):
    text, code = "read/write -- count too big", _errno.EINVAL


class Enoversion(P9Error):
    text, code = "Tversion not seen", _errno.EPROTO


class Esmallmsize(P9Error):
    text, code = "message size too small", _errno.EINVAL


class Elimit(P9Error):
    """A bound of the server was reached; the text says which."""

    text, code = "too many requests on this connection", _errno.EMFILE


def _subclasses(cls: type[P9Error]) -> list[type[P9Error]]:
    return [cls, *(c for s in cls.__subclasses__() for c in _subclasses(s))]


_by_text = {c.text: c for c in reversed(_subclasses(P9Error))}
_by_errno: dict[int, type[P9Error]] = {
    _errno.ENOENT: Enonexist,
    _errno.EEXIST: Eexist,
    _errno.ENOTDIR: Enotdir,
    _errno.EISDIR: Eisdir,
    _errno.ENOTEMPTY: Enotempty,
    _errno.EACCES: Eperm,
    _errno.EPERM: Eperm,
    _errno.EROFS: Ereadonly,
    _errno.EINTR: Eintr,
    _errno.ENAMETOOLONG: Enametoolong,
    _errno.ENOSPC: Enospace,
    _errno.EDQUOT: Enospace,
}

_HOSTS_WORDS = frozenset(
    (_errno.EISDIR, _errno.ENOTEMPTY, _errno.EROFS, _errno.ENAMETOOLONG, _errno.ENOSPC, _errno.EDQUOT)
)
_by_text.update((os.strerror(code), _by_errno[code]) for code in _HOSTS_WORDS)


MAXTEXT = 1024
"""Bytes of a peer's error text that are shown."""


def from_text(text: str) -> P9Error:
    """The error that a peer worded ``text``: of the class with that text, else a plain `P9Error`.

    A text may carry a path before the words (Inferno, ``'/n/x' file does not exist``) or after them
    (Plan 9, ``file does not exist: '/n/x'``); it is kept, and the class is found all the same. Whatever
    the peer sent, the text is one line of at most `MAXTEXT` bytes that does nothing to a terminal.
    """
    text = _one_line(text)
    cls = _by_text.get(text)
    if cls is None and text.startswith("'"):
        cls = _by_text.get(text[text.rfind("' ") + 2 :])
    if cls is None and ": '" in text:
        cls = _by_text.get(text[: text.index(": '")])
    if cls is None:
        for word in (Ebadctl, Ectlargs, Ebadchar):
            if text.startswith(word.text):
                cls = word
    return (cls or P9Error)(_shortened(text))


def _one_line(text: str) -> str:
    """``text`` without what a terminal would obey: line ends, escape sequences, changes of direction."""
    if text.isprintable() and text:
        return text
    return "".join(map(_harmless, text)).strip() or P9Error.text


def _harmless(char: str) -> str:
    if char.isprintable() or "\udc80" <= char <= "\udcff":  # a byte of a name that is not UTF-8
        return char
    return " " if char.isspace() else "\N{REPLACEMENT CHARACTER}"


def _shortened(text: str) -> str:
    """``text``, or where it is too long its beginning and its end: that is where the words are."""
    raw = text.encode("utf-8", "surrogateescape")
    if len(raw) <= MAXTEXT:
        return text
    half = MAXTEXT // 2 - 2
    return "...".join(part.decode("utf-8", "ignore") for part in (raw[:half], raw[-half:]))


def from_os(error: OSError) -> P9Error:
    """The same failure of a host file or socket.

    In Plan 9's words where those are the same everywhere, else in the
    host's, by which clients of its files know it (the Linux kernel, for one).
    """
    if isinstance(error, P9Error):
        return error
    cls = _by_errno.get(error.errno or 0)
    if cls is not None:
        return cls(os.strerror(error.errno)) if error.errno in _HOSTS_WORDS else cls()
    text = os.strerror(error.errno) if error.errno else str(error) or type(error).__name__
    known = P9Error(text)
    known.errno = error.errno or P9Error.code
    return known
