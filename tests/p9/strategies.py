"""Random messages and directory entries for hypothesis; every value that the wire can carry."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from nsh.p9 import msg
from nsh.p9.msg import Message
from nsh.p9.stat import Dir, Qid

u8, u16 = st.integers(0, 0xFF), st.integers(0, 0xFFFF)
u32, u64 = st.integers(0, 0xFFFFFFFF), st.integers(0, (1 << 64) - 1)

plain = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
"""Strings that C can hold."""
any_string = st.binary(max_size=20).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
"""Any bytes at all, as strings."""

qids = st.builds(Qid, u8, u32, u64)


def dirs(strings: st.SearchStrategy[str]) -> st.SearchStrategy[Dir]:
    return st.builds(Dir, u16, u32, qids, u32, u32, u32, u64, strings, strings, strings, strings)


def _field(name: str, strings: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    """The values of a field; in 9P a name says the width."""
    if name in ("tag", "oldtag"):
        return u16
    if name in ("qid", "aqid"):
        return qids
    if name == "wname":
        return st.lists(strings, max_size=16).map(tuple)
    if name == "wqid":
        return st.lists(qids, max_size=16).map(tuple)
    if name == "data":
        return st.binary(max_size=300)
    if name == "stat":
        return dirs(strings).map(Dir.pack)
    if name == "offset":
        return u64
    if name == "mode":
        return u8
    if name in ("version", "uname", "aname", "ename", "name"):
        return strings
    return u32


def message(kind: type[Message], strings: st.SearchStrategy[str] = any_string) -> st.SearchStrategy[Message]:
    return st.builds(kind, *(_field(name, strings) for name in kind._fields))


messages = st.one_of([message(kind) for kind in msg.NUMBER])
