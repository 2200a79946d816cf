"""What a wheel holds besides the packages: the manual pages, where man(1) of the host finds them.

A page of section 1 becomes share/man/man1/NAME.1nsh. With that ending ``man nsh`` is found, and so is
``man 1nsh ls``, while ``man ls`` is still about the host's ls.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ManualPages(BuildHookInterface[Any]):
    """Adds the pages of nsh/man to the shared data of the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        for page in sorted(Path(self.root, "nsh", "man").iterdir()):
            if section := re.search(r"\.([1-9])$", page.name):
                build_data["shared_data"][str(page)] = f"share/man/man{section[1]}/{page.name}nsh"
