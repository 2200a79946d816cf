"""Runs the examples in docstrings, as ``python -m asyncio`` would: with ``await`` at the top level.

They are found, compared and reported as doctest does it, and every one of a text must give what it says.
"""

from __future__ import annotations

import ast
import contextlib
import doctest
import inspect
import io
import traceback
from typing import Any


def examples(text: str) -> list[doctest.Example]:
    """The examples in a docstring."""
    return doctest.DocTestParser().get_examples(text)


async def run(text: str, names: dict[str, Any]) -> None:
    """Run the examples of a docstring one after the other, in the namespace ``names``."""
    for example in examples(text):
        got = await _output(example.source, names)
        want = _without_trace(example.want)
        assert doctest.OutputChecker().check_output(want, got, doctest.ELLIPSIS), (
            f"\n{example.source}should print\n{want}and prints\n{got}"
        )


async def _output(source: str, names: dict[str, Any]) -> str:
    """What an example prints; of an error its last line."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        try:
            code = compile(source, "<example>", "single", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            result = eval(code, names)
            if inspect.isawaitable(result):
                await result
        except Exception as e:
            out.write("".join(traceback.format_exception_only(e)))
    return out.getvalue()


def _without_trace(want: str) -> str:
    return want.split("\n", 1)[1] if want.startswith("Traceback (most recent call last):\n") else want
