"""Who runs this program, also where the host does not know him by name."""

from __future__ import annotations

import getpass
import os

import pytest

from nsh.kern.user import whoami


def test_it_is_whom_the_host_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)
    assert whoami() == getpass.getuser()
    monkeypatch.setenv("LOGNAME", "somebody")
    assert whoami() == "somebody"


@pytest.mark.skipif(os.geteuid() != 0, reason="only the superuser can be somebody without a name")
def test_a_user_without_a_name_is_known_by_his_number(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)
    real = os.getuid()
    os.setresuid(4_000_000, -1, -1)
    try:
        assert whoami() == "4000000"
    finally:
        os.setresuid(real, -1, -1)
