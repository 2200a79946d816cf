"""Addresses that were used before: in commands of the history, and in the mounts of the name space."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nsh.kern.proc import Proc
    from nsh.rc.line.history import History

MOST = 200
"""Addresses that are looked for."""

_address = re.compile(r"(?<![^\s'=(])(?:[\w./-]+!)+[^\s'!;&|^$`{}()<>]+")
"""A dial string: ``tcp!host!port``, ``unix!/tmp/socket``, ``/net/tcp!host!port``."""


def addresses(history: History, p: Proc) -> Iterator[str]:
    """Dial strings, each once: those of mounts first, then what was typed last."""
    found: dict[str, None] = {}
    for text in _texts(history, p):
        found.update(dict.fromkeys(_address.findall(text)))
        if len(found) >= MOST:
            break
    yield from found


def _texts(history: History, p: Proc) -> Iterator[str]:
    """Where addresses may be in."""
    for _, mount in p.pgrp.mounts():
        connection = mount.to.mchan
        if connection is not None and (again := connection.dev.redial(connection)):
            yield again[1]
    for entry in history.latest():
        if "!" in entry.text:
            yield entry.text
