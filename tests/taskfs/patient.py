"""A host that finds out within seconds which hosts below it are lost: less soon than who uses it does."""

from __future__ import annotations

import asyncio
import sys

from taskfs import hosts
from tests.taskfs.host import main

if __name__ == "__main__":
    hosts.PATIENCE, hosts.INTERVAL = 4.0, 0.2
    asyncio.run(main(sys.argv[1], sys.argv[2:]))
