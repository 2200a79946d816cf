"""`#/`, root(3): the directory at the bottom of every name space, with empty directories to bind onto."""

from __future__ import annotations

from nsh.kern.chan import Path
from nsh.kern.dev import Device, Directory

PLACES = ("bin", "dev", "env", "fd", "mnt", "n", "net", "prog", "remote", "srv", "task")


class RootDevice(Device):
    """`#/`: empty directories, one for each place where a name space usually has something."""

    letter, name = "/", "root"

    def tree(self) -> Directory:
        return Directory("/", *(Directory(place) for place in PLACES))

    def rootpath(self, spec: str = "") -> Path:
        return Path(None, "/")
