"""nsh: a user-space Plan 9. The public names; each is imported when it is first used (PEP 562)."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

_WHERE = {
    "Device": "nsh.kern.dev",
    "Directory": "nsh.kern.dev",
    "File": "nsh.kern.dev",
    "Text": "nsh.kern.dev",
    "Ctl": "nsh.kern.dev",
    "Dir": "nsh.p9.stat",
    "P9Error": "nsh.errors",
    "Proc": "nsh.kern.proc",
    "Qid": "nsh.p9.stat",
    "System": "nsh.kern.proc",
    "boot": "nsh.boot",
}

__all__ = [*_WHERE, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'nsh' has no attribute '{name}'")
    import importlib

    return getattr(importlib.import_module(_WHERE[name]), name)
