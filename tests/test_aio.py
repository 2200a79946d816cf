"""aio: nsh starts without ssl, and asyncio has all of it as soon as somebody wants it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

TLS = """
from nsh import aio
aio.start()
import asyncio, sys
from asyncio import base_events, selector_events, sslproto
assert "ssl" not in sys.modules and sslproto.ssl is None

import ssl
assert all(module.ssl is ssl for module in (base_events, selector_events, sslproto))

def context(side):  # without a certificate
    made = ssl.SSLContext(side)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    made.maximum_version = ssl.TLSVersion.TLSv1_2
    made.set_ciphers("AECDH:@SECLEVEL=0")
    return made

async def main():
    async def loud(reader, writer):
        writer.write((await reader.readline()).upper())
        writer.close()
    server = await asyncio.start_server(loud, "127.0.0.1", 0, ssl=context(ssl.PROTOCOL_TLS_SERVER))
    port = server.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context(ssl.PROTOCOL_TLS_CLIENT))
    writer.write(b"hello\\n")
    print(writer.get_extra_info("cipher")[0], await reader.readline())
    writer.close()
    server.close()

asyncio.run(main())
"""


def _python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


def test_tls_works_once_ssl_is_imported() -> None:
    assert _python(TLS) == "AECDH-AES256-SHA b'HELLO\\n'\n"


def test_where_ssl_or_asyncio_is_there_already_nothing_is_changed() -> None:
    code = "import sys, {}; from nsh import aio; aio.start(); import asyncio.sslproto as p, ssl; "
    code += "print(p.ssl is ssl, aio._Finder in sys.meta_path)"
    assert _python(code.format("ssl")) == _python(code.format("asyncio")) == "True False\n"


def test_what_asyncio_asks_of_a_module_that_was_left_out_is_there() -> None:
    code = """
from nsh import aio
aio.start()
import asyncio, sys
print("inspect" in sys.modules)
async def main():
    task = asyncio.create_task(asyncio.sleep(0))
    task.add_done_callback(print)
    print("cb=[print()]" in repr(task), "inspect" in sys.modules)
    task.remove_done_callback(print)
asyncio.run(main())
import inspect
print(type(inspect).__name__, inspect.unwrap(main) is main)
"""
    assert _python(code) == "False\nTrue True\nmodule True\n"


def test_a_shell_starts_without_what_it_does_not_need() -> None:
    """Every name here was found to take a thousandth of a second or more."""
    code = "import sys, nsh.__main__ as m; m.main(['-c', '~ a a']); print(*sys.modules)"
    loaded = set(_python(code).split())
    assert loaded.isdisjoint(
        {
            "_ssl", "argparse", "ast", "dataclasses", "difflib", "dis", "email", "getpass", "hashlib",
            "importlib.metadata", "inspect", "json", "lark", "locale",
            "nsh.cmd.mount", "nsh.kern.native", "nsh.kern.recipe", "nsh.net.conn", "nsh.net.dial",
            "nsh.nsfile", "nsh.rc.line", "nsh.rc.record", "nsh.replay", "pathlib", "pkgutil",
            "prompt_toolkit", "random", "ssl", "taskfs.session", "tempfile", "uuid",
        }
    )  # fmt: skip
