"""nsh: a user-space Plan 9, as a library.

    import nsh

    async with nsh.Namespace() as ns:                    # a name space of one's own
        await ns.mount("tcp!192.0.2.7!5555", "/n/other")
        print(await ns.listdir("/n/other"))

    async with nsh.mount("tcp!192.0.2.7!5555") as root:  # just the files of a server
        print(await (root / "remote" / "0" / "status").read_text())

    with nsh.sync.mount("tcp!192.0.2.7!5555") as root:   # the same without asyncio
        print((root / "remote" / "0" / "status").read_text())

A device of one's own is a subclass of `Device`, made known with `register`; README has one. The examples in
these texts run as they stand in ``python -m asyncio``, after ``import nsh``.

Each name is imported when it is first used (PEP 562), so that importing nsh costs nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False  # not from typing, which takes longer to import than all the rest of this
if TYPE_CHECKING:
    from typing import Any

    from nsh import errors as errors
    from nsh import sync as sync
    from nsh.boot import register as register
    from nsh.errors import P9Error as P9Error
    from nsh.kern.dev import Ctl as Ctl
    from nsh.kern.dev import Device as Device
    from nsh.kern.dev import Directory as Directory
    from nsh.kern.dev import File as File
    from nsh.kern.dev import Text as Text
    from nsh.namespace import Namespace as Namespace
    from nsh.namespace import OpenFile as OpenFile
    from nsh.namespace import Path as Path
    from nsh.namespace import Service as Service
    from nsh.namespace import mount as mount
    from nsh.p9.stat import Dir as Dir
    from nsh.p9.stat import Qid as Qid

__version__ = "0.1.0"

_WHERE = {
    "Ctl": "nsh.kern.dev",
    "Device": "nsh.kern.dev",
    "Dir": "nsh.p9.stat",
    "Directory": "nsh.kern.dev",
    "File": "nsh.kern.dev",
    "Namespace": "nsh.namespace",
    "OpenFile": "nsh.namespace",
    "P9Error": "nsh.errors",
    "Path": "nsh.namespace",
    "Qid": "nsh.p9.stat",
    "Service": "nsh.namespace",
    "Text": "nsh.kern.dev",
    "mount": "nsh.namespace",
    "register": "nsh.boot",
}
_MODULES = ("errors", "sync")

__all__ = [*_WHERE, *_MODULES, "__version__"]


def __getattr__(name: str) -> Any:
    import importlib

    if name in _MODULES:
        return importlib.import_module(f"nsh.{name}")
    if name not in _WHERE:
        raise AttributeError(f"module 'nsh' has no attribute '{name}'")
    value = globals()[name] = getattr(importlib.import_module(_WHERE[name]), name)
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]
