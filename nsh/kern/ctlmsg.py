"""Control messages: how the text that is written to a ctl file is taken apart and checked (parsecmd(10.2)).

Words are separated by blanks, tabs and line ends; ``'...'`` quotes, with ``''`` for a quote inside. What
the words do is up to each device.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from nsh import errors
from nsh.kern.namec import quote

_WORD = r"(?:[^\s']|'(?:[^']|'')*(?:'|$))+"
_QUOTED = r"'((?:[^']|'')*)(?:'|$)"


def words(text: str) -> list[str]:
    """The words of a message. A quote that is not closed reaches to the end."""
    return [re.sub(_QUOTED, lambda m: m[1].replace("''", "'"), word) for word in re.findall(_WORD, text)]


def parse(text: str, table: Mapping[str, int]) -> list[str]:
    """The words of a message whose first word is in ``table``, which says how many words there must be.

    0 stands for any number. Errors: `Emptyctl`, `Ebadctl`, `Ectlargs`.
    """
    given = words(text)
    if not given:
        raise errors.Emptyctl()
    count = table.get(given[0])
    if count is None:
        raise errors.Ebadctl(f'{errors.Ebadctl.text} "{requote(given)}"')
    if count and count != len(given):
        raise errors.Ectlargs(f'{errors.Ectlargs.text} "{requote(given)}"')
    return given


def requote(given: list[str]) -> str:
    """Words as one text that `words` takes apart again."""
    return " ".join(map(quote, given))
