"""What is read out of manual pages: all of ours, and the host's in the ways in which they are written."""

from __future__ import annotations

import os

import pytest

from nsh.cmd.man import DIRECTORY
from nsh.rc.line.manual import Argument, builtins, command, device_of, devices, page, parse, titles


def test_a_page_of_ours() -> None:
    found = command("tail")
    assert found is not None
    assert found.summary == "print the end of a file"
    first = found.usages[0]
    assert first.name == "tail"
    assert first.options == {"-f": "", "-r": "", "-n": "lines", "-c": "bytes"}
    assert first.args == [Argument((), ("file",), True)]
    assert found.options["-n"] == "So many lines before the end"


def test_options_that_another_page_describes() -> None:
    mount, bind = command("mount"), command("bind")
    assert mount is not None and bind is not None
    assert mount.borrowed == {"-a": "bind", "-b": "bind", "-c": "bind"}
    assert mount.options["-c"] == bind.options["-c"] != ""


def test_control_messages_have_arguments_too() -> None:
    found = page("taskfs", "3")
    assert found is not None
    messages = {message.name: message for message in found.messages}
    assert {"res", "hosts", "exec", "kill", "signal", "xsplice"} < messages.keys()
    assert messages["res"].args[0] == Argument((), ("n",))
    assert messages["onfail"].args == [Argument(("continue", "stop"))]
    assert messages["signal"].args == [Argument((), ("name",))]
    assert messages["dir"].about == "Where the tasks run"


def test_the_devices_that_take_messages() -> None:
    assert devices().keys() == {"taskfs", "cmd", "prog", "ip"}


@pytest.mark.parametrize(
    ("path", "device"),
    [
        ("/task/remote/0/ctl", "taskfs"),
        ("/n/host/remote/12/ctl", "taskfs"),
        ("/n/inferno/cmd/3/ctl", "cmd"),
        ("/n/gateway/net/tcp/0/ctl", "ip"),
        ("/n/x/prog/17/ctl", "prog"),
        ("/a/b/ctl", ""),
        ("/ctl", ""),
    ],
)
def test_a_device_is_known_by_the_names_of_its_files(path: str, device: str) -> None:
    assert device_of(path) == (devices()[device] if device else None)


def test_the_builtins_of_rc() -> None:
    from nsh.rc.builtins import BUILTINS

    assert builtins().keys() == BUILTINS.keys()
    assert builtins()["cd"].args[0].kinds == ("dir",)
    assert all(usage.about for usage in builtins().values())


def test_every_page_has_a_summary_and_every_command_a_usage() -> None:
    assert all(titles().values())
    for file in os.listdir(DIRECTORY):
        name, _, section = file.rpartition(".")
        found = page(name, section)
        assert found is not None and found.summary
        if section == "1" and name != "rc":
            assert found.usages, file


def test_a_name_is_no_path() -> None:
    assert page("../man/ls", "1") is None
    assert page("nosuch", "1") is None


@pytest.mark.parametrize(
    ("way", "source"),
    [
        (
            "man(7), as help2man writes it",
            ".TP\n\\fB\\-a\\fR, \\fB\\-\\-all\\fR=\\fIX\\fR\ndo all. Really.\n",
        ),
        ("man(7) by hand", ".TP\n.BR \\-a ,\\  \\-\\-all\ndo all; really\n"),
        ("with .IP", '.IP "\\fB-a\\fR, \\fB--all\\fR" 4\ndo all: really\n'),
        ("as docbook writes it", ".PP\n\\-a, \\-\\-all=<x>\n.RS 4\ndo all\\&.\n.RE\n"),
        ("two tags", ".TP\n.B \\-a\n.TQ\n.B \\-\\-all\ndo all\n"),
        ("mdoc(7)", ".Bl -tag\n.It Fl a , Fl -all Ar x\ndo all\n.El\n"),
    ],
)
def test_options_are_found_in_whatever_way_a_page_is_written(way: str, source: str) -> None:
    found = parse(
        f".TH X 1\n.SH NAME\nx \\- y\n.SH OPTIONS\nThese:\n{source}.SH FILES\n.TP\n.B /x\nnothing\n"
    )
    assert found.options == {"-a": "do all", "--all": "do all"}


def test_what_is_in_italics_is_no_option() -> None:
    assert parse(".SH OPTIONS\n.TP\n.BI \\- signal\nsend it\n").options == {}


def test_escapes_stand_for_characters() -> None:
    text = (
        "it\\(aqs \\(lqso\\(rq \\e \\f(CWcode\\fP\\s-1 x\\s0 \\*(Aqq\\*(Aq a\\~b\\&. \\[bu] \\m[blue]c\\m[]"
    )
    found = parse(f".SH OPTIONS\n.TP\n.B \\-x\n{text}\n")
    assert found.options == {"-x": "it's \"so\" \\ code x 'q' a b"}


@pytest.mark.parametrize(
    "source", ["", ".SH", ".TP", "\\", ".B", ".TP\n.TP\n.IP\n.It\n", "\\f", ".SH NAME\nx", '.IP "']
)
def test_a_damaged_page_says_nothing(source: str) -> None:
    found = parse(source)
    assert found.summary == "" and found.options == {}
