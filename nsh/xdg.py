"""Where a user's files are: the directories of the XDG base directory specification, those of nsh in them."""

from __future__ import annotations

import os


def base(variable: str, otherwise: str) -> str:
    """The directory that ``variable`` (XDG_CACHE_HOME, ...) names, else ``otherwise``, which is below home.

    A relative name is no name, says the specification.
    """
    directory = os.environ.get(variable, "")
    return directory if os.path.isabs(directory) else os.path.join(os.path.expanduser("~"), otherwise)


def config(name: str) -> str:
    """The path of the user's configuration file ``name``, which need not be there."""
    return os.path.join(base("XDG_CONFIG_HOME", ".config"), "nsh", name)
