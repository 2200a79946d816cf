"""When nsh(1) has Python look for garbage.

What refers to itself in a circle is found by looking at all that was made since the last time, each time some
hundred objects more are there. A shell that runs a thousand tasks makes many thousand objects that all stay
until the session is released: to look at them so often takes a seventh of all its time, and finds nothing.
"""

from __future__ import annotations

import gc

MORE = 50_000
"""How many objects more than the last time are worth a look: a thousand tasks have so many. To look at them
takes some hundredths of a second, and longer to clear them away if they are all garbage.
"""
OLDER = 2
"""How many such looks there are without one at what the last ones have left: it is to stay short, too."""


def look_seldom() -> None:
    """Look for garbage from now on, but not among what is there already, and not often."""
    gc.freeze()
    gc.set_threshold(MORE, OLDER)
    gc.enable()
