"""What Linux is told of an error that a server has said in words."""

from __future__ import annotations

import errno

import pytest

from nsh.errors import from_text
from nsh.net.fuse.errnos import number


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("file does not exist", errno.ENOENT),
        ("No such file or directory", errno.ENOENT),
        ('unknown control message "frob"', errno.EINVAL),
        ("wrong #args in control message \"kill 'not found'\"", errno.EINVAL),
        ('bad argument in control message "nice already"', errno.EINVAL),
        ('unclosed quote in control message "dir \'no such file"', errno.EINVAL),
        ("empty control message", errno.EINVAL),
        ("exec failed: No such file or directory", errno.ENOENT),
        ("0-1,3: exec failed: Permission denied", errno.EACCES),
        ("0: exec failed: /x: Not a directory; 2: exec failed: Exec format error", errno.ENOEXEC),
        ("exec failed: Resource temporarily unavailable", errno.EAGAIN),
        ("2: exec failed: Too many open files", errno.EMFILE),
        ("0-1: exec failed: a task is running already", errno.EBUSY),
        ("res: host2: host is lost", errno.EHOSTDOWN),
        ("res: top: a circle of hosts: this one is above itself", errno.ELOOP),
        ("too many resources: 5000, at most 4096 in a session", errno.EMFILE),
        ("too much in args, env and ns: at most 268435456 bytes together", errno.ENOSPC),
        ("this host is x86_64, not sparc", errno.ENODEV),
        ("no such host under /remote: host7", errno.ENOENT),
        ("xsplice: no child 7", errno.EINVAL),
        ("it is Tuesday", errno.EIO),
    ],
)
def test_the_number_of_an_error_is_that_of_its_words(text: str, expected: int) -> None:
    assert number(from_text(text)) == expected
