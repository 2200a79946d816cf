"""``python -m tests.fuzz.guided SECONDS SEED CORPUS``: the fuzzer of `tests.fuzz.p9` under atheris.

A program of its own: atheris has to be there before what it instruments is imported, and libFuzzer ends
the process when it has found something.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from typing import Any

INSTRUMENTED = ("nsh.p9", "nsh.kern", "nsh.dev", "nsh.net")
"""What is to be covered; all of it is behind the bytes of a peer."""


def main(seconds: float, seed: int, corpus: str) -> None:
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=list(INSTRUMENTED)):
        p9: Any = importlib.import_module("tests.fuzz.p9")
    end = time.monotonic() + seconds
    with p9.World() as world:

        def execute(data: bytes) -> None:
            world.execute(data)
            if time.monotonic() > end:
                print(f"{world.told(seconds)}, led by atheris", flush=True)
                os._exit(0)  # libFuzzer would go on, and knows no other way out

        options = [f"-seed={seed + 1}", "-max_len=4096", "-verbosity=0", "-artifact_prefix=/tmp/nsh-fuzz-"]
        atheris.Setup(["p9", *options, corpus], execute)
        atheris.Fuzz()


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
