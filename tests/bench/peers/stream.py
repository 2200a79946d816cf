"""``stream PORT BYTES``: send so many bytes to everybody who connects, as fast as asyncio does that."""

from __future__ import annotations

import asyncio
import sys

CHUNK = bytes(1 << 18)


async def serve(port: int, size: int) -> None:
    bytearray(1 << 24)  # as in `tests.bench.peers.canned`

    async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        left = size
        try:
            while left:
                writer.write(CHUNK[:left])
                left -= min(left, len(CHUNK))
                await writer.drain()
        except ConnectionError:
            pass  # whoever it was only wanted to know whether we are here
        writer.close()

    server = await asyncio.start_server(send, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2])))
