"""asyncio as nsh(1) starts with it: without ssl, until somebody wants that.

Of the time that it takes to import asyncio, an eighth is for the ssl module and the libraries behind it,
which a shell uses for TLS only. asyncio does without it where Python was built without it: so that is what it
is told at first. As soon as anybody imports ssl, asyncio gets it after all, and is as it would have been.
"""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any


def start() -> None:
    """Import asyncio. Where it, or ssl, has been imported already, there is nothing to be gained."""
    if "asyncio" in sys.modules or "ssl" in sys.modules:
        return
    sys.modules["ssl"] = None  # type: ignore[assignment] # which means to import: there is no such module
    try:
        import asyncio  # noqa: F401
    finally:
        del sys.modules["ssl"]
    sys.meta_path.insert(0, _Finder)


class _Finder:
    """Finds ssl, once, as it would be found without us, and has `_Loader` load it."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: Any = None) -> ModuleSpec | None:
        if name != "ssl":
            return None
        sys.meta_path.remove(_Finder)
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)  # type: ignore[assignment]
        return spec


class _Loader:
    """Loads a module with another loader, and gives it to asyncio."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        import importlib

        self._loader.exec_module(module)
        for name, user in list(sys.modules.items()):
            if name.startswith("asyncio.") and vars(user).get("ssl", self) is None:
                vars(user)["ssl"] = module
        importlib.reload(sys.modules["asyncio.sslproto"])  # has more that depends on it than the name
