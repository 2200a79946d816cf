"""The servers that the tests of nsh.p9 talk to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nsh.p9.const import NOFID, NOTAG
from nsh.p9.msg import Rattach, Rversion, Tattach, Tversion

from .memfs import Server


@pytest.fixture(params=["whole", "bytes"])
def fresh(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A new connection; everything arrives in one piece, or byte by byte. At the end it hangs up."""
    server = Server(split=request.param == "bytes")
    yield server
    server.session.close()
    server.driver.turn()
    assert not server.driver.jobs, "something still waits after the hang-up"
    assert not server.tree.alive, "a file was not given back"


@pytest.fixture
def server(fresh: Server) -> Server:
    """A connection with a version, and the root as fid 0."""
    assert fresh.rpc(Tversion(NOTAG, 8216, "9P2000")) == Rversion(NOTAG, 8216, "9P2000")
    assert type(fresh.rpc(Tattach(1, 0, NOFID, "glenda", ""))) is Rattach
    return fresh
