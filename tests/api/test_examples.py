"""Every public name of the Python interface says what it does, and shows it; what it shows is true."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest

import nsh
import nsh.sync
from nsh import boot
from tests.api.examples import examples, run


def public() -> dict[str, Any]:
    """Every public name and what it stands for."""
    names = {name: getattr(nsh, name) for name in nsh.__all__ if name not in ("sync", "__version__")}
    return names | {f"sync.{name}": getattr(nsh.sync, name) for name in nsh.sync.__all__}


def methods(cls: type) -> list[str]:
    """The public methods and properties that a class defines itself."""
    return [
        name
        for name in vars(cls)
        if not name.startswith("_") and not inspect.ismemberdescriptor(vars(cls)[name])
    ]


def texts(thing: Any) -> list[str]:
    """The docstring of ``thing``, and those of its methods if it is a class."""
    own = [inspect.getdoc(thing) or ""]
    if isinstance(thing, type):
        own += [inspect.getdoc(getattr(thing, name)) or "" for name in methods(thing)]
    return own


PUBLIC = public()
CLASSES = ["Namespace", "OpenFile", "Path", "Service", "sync.Path"]


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an example registers is for that example."""
    monkeypatch.setattr(boot, "_registered", {})


@pytest.mark.parametrize("name", [name for name in PUBLIC if not name.startswith("sync.")])
async def test_the_examples_print_what_they_say(name: str) -> None:
    shown = texts(PUBLIC[name])
    assert examples(shown[0]), f"nsh.{name} has no example"
    for text in shown:
        await run(text, {"nsh": nsh, "asyncio": asyncio})


@pytest.mark.parametrize("name", [name for name in PUBLIC if name.startswith("sync.")])
async def test_the_blocking_examples_print_what_they_say(name: str) -> None:
    """They run in a thread, against a server here: the console on /dev, a file system in memory on /mnt."""
    shown = "\n\n".join(texts(PUBLIC[name]))
    assert examples(shown), f"nsh.{name} has no example"
    async with (
        nsh.Namespace(binds=(("#c", "/dev", ""), ("#R", "/mnt", "c"))) as ns,
        ns.serve("tcp!127.0.0.1!0") as service,
    ):
        names = {"nsh": nsh, "address": service.address}
        await asyncio.to_thread(lambda: asyncio.run(run(shown, names)))


@pytest.mark.parametrize("name", CLASSES)
def test_every_method_is_described_and_shown(name: str) -> None:
    cls = PUBLIC[name]
    code = "".join(example.source for text in texts(cls) for example in examples(text))
    for method in methods(cls):
        assert inspect.getdoc(getattr(cls, method)), f"{name}.{method} says nothing"
        assert f".{method}" in code, f"{name}.{method} is not shown"


def test_importing_nsh_imports_nothing_else() -> None:
    """The public names come when they are used, and stay."""
    assert set(nsh.__all__) <= set(dir(nsh))
    assert nsh.Namespace is nsh.Namespace
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        nsh.nonsense  # noqa: B018
