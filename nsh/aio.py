"""asyncio as nsh(1) starts with it: without what it wants only later, if ever.

Of the time that it takes to import asyncio, a quarter is for modules that it uses for TLS, or when somebody
looks for a mistake. asyncio does without ssl where Python was built without it: so that is what it is told
at first. As soon as anybody imports ssl, asyncio gets it after all, and is as it would have been. Of other
modules it has a `_Later`, which loads them when something of them is asked for.
"""

from __future__ import annotations

import sys
from importlib import import_module, reload
from importlib.machinery import PathFinder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

_LATER = ("inspect", "locale")
"""Modules of which nothing is used while asyncio, or what that imports, is loaded."""


def start() -> None:
    """Import asyncio. Where it, or ssl, has been imported already, there is nothing to be gained."""
    if "asyncio" in sys.modules or "ssl" in sys.modules:
        return
    stand_ins: dict[str, Any] = {name: _Later(name) for name in _LATER if name not in sys.modules}
    stand_ins["ssl"] = None  # which means to import: there is no such module
    sys.modules.update(stand_ins)
    try:
        import asyncio  # noqa: F401
    finally:
        for name, module in stand_ins.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]
    sys.meta_path.insert(0, _Finder)


class _Later(type(sys)):  # type: ignore[misc] # the type of modules, without the module that is called types
    """Stands in for a module, and has what that has; it is loaded when it is first asked."""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(import_module(self.__name__), name)


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
        self._loader.exec_module(module)
        for name, user in list(sys.modules.items()):
            if name.startswith("asyncio.") and vars(user).get("ssl", self) is None:
                vars(user)["ssl"] = module
        reload(sys.modules["asyncio.sslproto"])  # has more that depends on it than the name
