"""trace: one line for each message, in the words of plan9port's -D."""

from __future__ import annotations

import pytest
from hypothesis import given

from nsh.p9 import msg
from nsh.p9.const import DMAPPEND, DMDIR, DMEXCL, NOFID, NOTAG, QTDIR
from nsh.p9.msg import Message
from nsh.p9.stat import Dir, Qid
from nsh.p9.trace import line, mode_text, text

from .strategies import messages

DIR = Dir(0, 0, Qid(QTDIR, 2, 0x10), DMDIR | 0o755, 1, 2, 0, "x", "glenda", "sys", "rob")


@pytest.mark.parametrize(
    ("m", "words"),
    [
        (msg.Tversion(NOTAG, 8192, "9P2000"), "<- Tversion tag 65535 msize 8192 version '9P2000'"),
        (msg.Rversion(NOTAG, 8192, "9P2000"), "-> Rversion tag 65535 msize 8192 version '9P2000'"),
        (msg.Tauth(1, 5, "glenda", "x"), "<- Tauth tag 1 afid 5 uname glenda aname x"),
        (msg.Rauth(1, Qid(8, 0, 1)), "-> Rauth tag 1 qid (0000000000000001 0 A)"),
        (msg.Tattach(1, 0, NOFID, "glenda", ""), "<- Tattach tag 1 fid 0 afid -1 uname glenda aname "),
        (msg.Rattach(1, Qid(QTDIR, 0, 255)), "-> Rattach tag 1 qid (00000000000000ff 0 d)"),
        (msg.Rerror(1, "permission denied"), "-> Rerror tag 1 ename permission denied"),
        (msg.Tflush(2, 1), "<- Tflush tag 2 oldtag 1"),
        (msg.Rflush(2), "-> Rflush tag 2"),
        (msg.Twalk(1, 0, 2, ("a", "b")), "<- Twalk tag 1 fid 0 newfid 2 nwname 2 0:a 1:b "),
        (msg.Rwalk(1, ()), "-> Rwalk tag 1 nwqid 0 "),
        (msg.Rwalk(1, (Qid(0, 3, 1),)), "-> Rwalk tag 1 nwqid 1 0:(0000000000000001 3 ) "),
        (msg.Topen(1, 2, 16), "<- Topen tag 1 fid 2 mode 16"),
        (
            msg.Ropen(1, Qid(0x60, 0, 1), 0),
            "-> Ropen tag 1 qid (0000000000000001 0 al) iounit 0",
        ),
        (
            msg.Tcreate(1, 2, "d", DMDIR | 0o755, 0),
            "<- Tcreate tag 1 fid 2 name d perm d-rwxr-xr-x mode 0",
        ),
        (msg.Rcreate(1, Qid(0, 0, 1), 8192), "-> Rcreate tag 1 qid (0000000000000001 0 ) iounit 8192 "),
        (msg.Tread(1, 2, 1 << 63, 5), "<- Tread tag 1 fid 2 offset -9223372036854775808 count 5"),
        (msg.Rread(1, b"hello"), "-> Rread tag 1 count 5 'hello'"),
        (msg.Rread(1, b"hello\n"), "-> Rread tag 1 count 6 '68656c6c 6f0a'"),
        (msg.Rread(1, b"a\0b" + b"c" * 100), "-> Rread tag 1 count 103 'a\\0b" + "c" * 61 + "'"),
        (msg.Twrite(1, 2, 3, b""), "<- Twrite tag 1 fid 2 offset 3 count 0 ''"),
        (msg.Rwrite(1, 5), "-> Rwrite tag 1 count 5"),
        (msg.Tclunk(1, NOFID), "<- Tclunk tag 1 fid 4294967295"),
        (msg.Rclunk(1), "-> Rclunk tag 1"),
        (msg.Tremove(1, 2), "<- Tremove tag 1 fid 2"),
        (msg.Rremove(1), "-> Rremove tag 1"),
        (msg.Tstat(1, 2), "<- Tstat tag 1 fid 2"),
        (
            msg.Rstat(1, DIR.pack()),
            "-> Rstat tag 1  stat 'x' 'glenda' 'sys' 'rob' q (0000000000000010 2 d)"
            " m 020000000755 at 1 mt 2 l 0 t 0 d 0",
        ),
        (msg.Rstat(1, b"abc"), "-> Rstat tag 1  stat(3 bytes)"),
        (
            msg.Twstat(1, 2, Dir.dont_touch(mode=0).pack()),
            "<- Twstat tag 1 fid 2 stat '' '' '' '' q (ffffffffffffffff 4294967295 dalA)"
            " m 0 at 4294967295 mt 4294967295 l -1 t 65535 d -1",
        ),
        (msg.Rwstat(1), "-> Rwstat tag 1"),
    ],
)
def test_a_message_is_worded_as_plan9port_words_it(m: Message, words: str) -> None:
    """intro(5), fcall(3): %F."""
    assert line(m) == words


@given(messages)
def test_every_message_is_one_line_that_can_be_printed(m: Message) -> None:
    assert line(m).isprintable()
    assert text(m) in line(m)


def test_what_cannot_be_printed_is_escaped() -> None:
    assert text(msg.Rerror(1, "a\n\x1b[2J\udcff")) == "Rerror tag 1 ename a\\n\\x1b[2J\\udcff"


def test_permissions_look_as_in_ls() -> None:
    """stat(5): the mode bits."""
    assert mode_text(0o644) == "--rw-r--r--"
    assert mode_text(DMAPPEND | DMEXCL | 0o600) == "alrw-------"
    assert mode_text(DMDIR | 0o777) == "d-rwxrwxrwx"
