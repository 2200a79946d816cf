"""`#/`, root(3): the directory at the bottom of every name space, with empty directories to bind onto."""

from __future__ import annotations

from nsh import errors
from nsh.kern.chan import Chan, Maybe
from nsh.kern.dev import Device, Directory

PLACES = ("bin", "dev", "env", "fd", "mnt", "n", "net", "prog", "remote", "srv", "task")


class RootDevice(Device):
    """`#/`: empty directories, one for each place where a name space usually has something."""

    letter, name = "/", "root"

    def tree(self) -> Directory:
        return Directory("/", *(Directory(place) for place in PLACES))

    def attach(self, spec: str) -> Maybe[Chan]:
        """Errors: `Ebadspec`; ``#/bin`` is no name of what is in it, that is ``#//bin``."""
        if spec:
            raise errors.Ebadspec()
        return super().attach(spec)
