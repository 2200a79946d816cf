"""The number of an error: 9P says what went wrong in words, Linux in numbers.

The classes of `nsh.errors` know their numbers. Here is what servers say that has no class: the words of
the host's own strerror(3), which servers on Unix send, and those of the file servers of Plan 9. What stands
before them, up to a colon, says whose error it is.
"""

from __future__ import annotations

import errno
import os

from nsh.errors import P9Error

_STRERROR = {os.strerror(number).lower(): number for number in sorted(errno.errorcode, reverse=True)}

_WORDS = (
    ("control message", errno.EINVAL),  # it may go on with any words
    ("not found", errno.ENOENT),
    ("no such", errno.ENOENT),
    ("does not exist", errno.ENOENT),
    ("already exists", errno.EEXIST),
    ("file exists", errno.EEXIST),
    ("permission", errno.EACCES),
    ("access denied", errno.EACCES),
    ("create prohibited", errno.EACCES),
    ("not owner", errno.EPERM),
    ("not permitted", errno.EPERM),
    ("wstat prohibited", errno.EPERM),
    ("illegal mode", errno.EACCES),
    ("exclusive", errno.EBUSY),
    ("locked", errno.EBUSY),
    ("in use", errno.EBUSY),
    ("already", errno.EBUSY),
    ("not at rest", errno.EBUSY),
    ("read only", errno.EROFS),
    ("read-only", errno.EROFS),
    ("not empty", errno.ENOTEMPTY),
    ("not a directory", errno.ENOTDIR),
    ("is a directory", errno.EISDIR),
    ("name too long", errno.ENAMETOOLONG),
    ("file system full", errno.ENOSPC),
    ("no space", errno.ENOSPC),
    ("interrupted", errno.EINTR),
    ("hungup", errno.EPIPE),
    ("timed out", errno.ETIMEDOUT),
    ("no authentication", errno.EACCES),
    ("not supported", errno.EOPNOTSUPP),
    ("invalid", errno.EINVAL),
    ("bad ", errno.EINVAL),
    ("control", errno.EINVAL),
    ("no child", errno.EINVAL),
    ("would read what it writes", errno.EINVAL),
    ("too many", errno.EMFILE),
    ("too much", errno.ENOSPC),
    ("more than", errno.ENOSPC),
    ("circle", errno.ELOOP),
    ("host is lost", errno.EHOSTDOWN),
    ("no host", errno.ENODEV),
    ("this host", errno.ENODEV),
)


def number(error: BaseException) -> int:
    """The errno for ``error``: EINTR if it is no failure but a cancellation, EIO if nothing is known."""
    if isinstance(error, P9Error):
        known = error.errno or errno.EIO
        return _of_text(str(error), known) if type(error) is P9Error else known
    if isinstance(error, OSError):
        return error.errno or errno.EIO
    return errno.EIO if isinstance(error, Exception) else errno.EINTR


def _of_text(text: str, otherwise: int) -> int:
    """What a text without a class means."""
    words = text.lower()
    known = _STRERROR.get(words.rpartition(": ")[2])
    if known is not None:
        return known
    return next((number for part, number in _WORDS if part in words), otherwise)
