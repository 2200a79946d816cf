"""What a client may expect after what it has sent: the rules of flush(5) and version(5), kept by an outsider.

A `Ledger` is told every request that was sent and every reply that came, and raises `Broken` at the first
one that no rule allows. It knows no file and no fid, so it can judge any conversation, senseless ones too.

Where one tag was given to two requests at a time, either may be the one that failed; that is decided when
the other has its reply. A Tflush under a tag that is in use is beyond all rules: about that `_loose` tag
nothing is claimed any more, only that nothing else suffers.
"""

from __future__ import annotations

from nsh.p9 import msg
from nsh.p9.const import NOTAG, VERSION
from nsh.p9.msg import Message

REPLY: dict[type[Message], type[Message]] = {
    kind: getattr(msg, "R" + kind.__name__[1:]) for kind in msg.NUMBER if kind.__name__.startswith("T")
}
"""The reply to each request when it succeeds."""


class Broken(AssertionError):
    """The server did what no server may do."""


class _Request:
    """A request that has gone out, as number ``when`` of its connection."""

    def __init__(self, message: Message, when: int) -> None:
        self.message = message
        self.when = when


class Ledger:
    """The requests of one connection that have no reply yet."""

    def __init__(self) -> None:
        self._open: dict[int, list[_Request]] = {}  # by tag
        self._errors: dict[int, int] = {}  # how many of those have failed, where it may be any of them
        self._loose: set[int] = set()
        self._blind = False
        self.requests = 0
        self.replies = 0

    def sent(self, message: Message) -> None:
        """A request has gone out."""
        self.requests += 1
        tag = message.tag
        if type(message) is msg.Tflush and tag in self._open:
            self._loose.add(tag)
            self._strike(tag, [])
        if tag not in self._loose:
            self._open.setdefault(tag, []).append(_Request(message, self.requests))

    def came(self, reply: Message) -> None:
        """A reply has come. Raises `Broken` unless a request waits for one like it."""
        self.replies += 1
        tag = reply.tag
        if tag in self._loose or self._blind:
            self._blind |= type(reply) is msg.Rversion  # who knows what it has ended
            return
        waiting = self._open.get(tag, [])
        if type(reply) is msg.Rerror and any(type(r.message) is not msg.Tflush for r in waiting):
            self._errors[tag] = self._errors.get(tag, 0) + 1
            self._strike(tag, waiting)
            return
        for request in waiting:
            if type(reply) is REPLY[type(request.message)]:
                self._strike(tag, [r for r in waiting if r is not request])
                self._happened(request, reply)
                return
        names = [type(r.message).__name__ for r in waiting]
        raise Broken(f"{type(reply).__name__} under tag {tag}, where {names or 'nothing'} waits")

    def _happened(self, request: _Request, reply: Message) -> None:
        """See to the requests that will have no reply any more."""
        if isinstance(request.message, msg.Tflush):
            tag = request.message.oldtag
            if tag in self._errors:
                self._loose.add(tag)
                self._strike(tag, [])
            self._forget(tag, request.when)
        elif isinstance(reply, msg.Rversion) and reply.version == VERSION:
            self._errors.clear()  # of requests before it
            for tag in list(self._open):
                self._forget(tag, request.when)

    def _forget(self, tag: int, before: int) -> None:
        """No reply will come to what was sent under ``tag`` before that."""
        self._strike(tag, [r for r in self._open.get(tag, []) if r.when > before])

    def _strike(self, tag: int, left: list[_Request]) -> None:
        """Only ``left`` is still open under ``tag``; nothing, if as many have failed."""
        if left and self._errors.get(tag, 0) < len(left):
            self._open[tag] = left
        else:
            self._open.pop(tag, None)
            self._errors.pop(tag, None)

    @property
    def waiting(self) -> bool:
        """Is there a request without a reply?"""
        return bool(self._open) and not self._blind

    def farewell(self) -> list[Message]:
        """Flushes for all that waits: when they are answered, nothing may be left (`settled`)."""
        free = (tag for tag in range(NOTAG) if tag not in self._open and tag not in self._loose)
        return [msg.Tflush(next(free), tag) for tag in self._open]

    def settled(self) -> None:
        """Raise `Broken` if a request is left without a reply that was due."""
        if self.waiting:
            raise Broken(f"no reply to {[r.message for each in self._open.values() for r in each]}")
