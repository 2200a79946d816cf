"""Addresses: how a dial string is written, and what a failed call is said to be. Nothing is dialled here.

A dial string is ``tcp!host!service``, ``unix!path``, or shorter, with what is missing filled in by `address`.
A service is a port number or one of the names in `SERVICES`. The same address is also understood in the
form ``host:port``. This is for every kind of client, so nothing of an event loop is needed for it.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import NamedTuple

from nsh import errors
from nsh.errors import P9Error

SERVICES = {"styx": 6666, "9fs": 564, "9pfs": 564}
HANDED = ("fd", "exec")
"""Networks of connections that need no dialling (`nsh.net.handed`)."""


class Address(NamedTuple):
    """A dial string, taken apart; ``str()`` joins it again. A unix socket's path is its ``host``,
    and so is all that follows the network where a connection is handed over."""

    net: str
    host: str
    service: str

    def __str__(self) -> str:
        return "!".join(self) if self.service else f"{self.net}!{self.host}"


def address(text: str, net: str = "net", service: str = "styx") -> Address:
    """``text`` with the network and the service filled in where it does not say (netmkaddr)."""
    given, bang, rest = text.partition("!")
    if not bang:
        host, colon, port = text.rpartition(":")
        if colon and port.isdigit() and (":" not in host or host.startswith("[")):
            return Address("tcp", host.strip("[]") or "localhost", port)
        return Address(net, text, service)
    if given == "unix" or given in HANDED:
        return Address(given, rest, "")
    host, bang, port = rest.partition("!")
    return Address(given, host, port if bang else service)


def is_local(a: Address) -> bool:
    """Is the server on this machine, by its name?"""
    return a.net == "unix" or a.net in HANDED or a.host in ("localhost", "::1") or a.host.startswith("127.")


def port(a: Address) -> int:
    """The number of the service. Errors: `Ebadaddr`, or no such network."""
    if a.net not in ("tcp", "net"):
        raise errors.Enonexist(f"'/net/{a.net}' file does not exist")
    number = SERVICES.get(a.service)
    if number is None:
        if not a.service.isascii() or not a.service.isdigit():
            raise errors.Ebadaddr("non-numeric port number")
        number = int(a.service)
    if number > 65535:
        raise errors.Ebadaddr()
    return number


def failure(e: OSError) -> P9Error:
    """What went wrong with a socket: in the host's words, of the class for its kind where there is one."""
    if isinstance(e, socket.gaierror):
        return P9Error(e.strerror or "cannot translate address")
    cls = {errno.ECONNREFUSED: errors.Econrefused, errno.ETIMEDOUT: errors.Etimedout}.get(e.errno or 0)
    if cls is None or isinstance(e, P9Error):
        return errors.from_os(e)
    return cls(os.strerror(cls.code))


def check_peer(sock: socket.socket) -> None:
    """Raise `Eperm` unless the process at the other end of a unix socket is ours or root's."""
    size = struct.calcsize("3i")
    _, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    if uid not in (os.geteuid(), 0):
        sock.close()
        raise errors.Eperm()
