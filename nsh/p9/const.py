"""The numbers of 9P2000: message types, qid types, mode bits and sizes.

Every name is the one that Plan 9's <fcall.h> and <libc.h> give it; intro(5), open(5) and stat(5) say
what the bits mean. Only numbers live here: no function, no policy of this implementation but its
default and greatest message size.
"""

from typing import Final

VERSION: Final = "9P2000"

# Message types (intro(5)). A reply is its request's number plus one; 106 would be Terror, which is illegal.
TVERSION: Final = 100
RVERSION: Final = 101
TAUTH: Final = 102
RAUTH: Final = 103
TATTACH: Final = 104
RATTACH: Final = 105
RERROR: Final = 107
TFLUSH: Final = 108
RFLUSH: Final = 109
TWALK: Final = 110
RWALK: Final = 111
TOPEN: Final = 112
ROPEN: Final = 113
TCREATE: Final = 114
RCREATE: Final = 115
TREAD: Final = 116
RREAD: Final = 117
TWRITE: Final = 118
RWRITE: Final = 119
TCLUNK: Final = 120
RCLUNK: Final = 121
TREMOVE: Final = 122
RREMOVE: Final = 123
TSTAT: Final = 124
RSTAT: Final = 125
TWSTAT: Final = 126
RWSTAT: Final = 127

NOTAG: Final = 0xFFFF
"""The tag of Tversion."""
NOFID: Final = 0xFFFFFFFF
"""No fid: the afid of a Tattach that needs no authentication."""

# Qid.type: the high eight bits of the file's mode.
QTDIR: Final = 0x80
QTAPPEND: Final = 0x40
QTEXCL: Final = 0x20
QTMOUNT: Final = 0x10
QTAUTH: Final = 0x08
QTTMP: Final = 0x04
QTFILE: Final = 0x00

# Dir.mode, and perm of Tcreate (stat(5)).
DMDIR: Final = 0x80000000
DMAPPEND: Final = 0x40000000
DMEXCL: Final = 0x20000000
DMMOUNT: Final = 0x10000000
DMAUTH: Final = 0x08000000
DMTMP: Final = 0x04000000
DMREAD: Final = 4
DMWRITE: Final = 2
DMEXEC: Final = 1

# Open modes (open(5)). OCEXEC and OEXCL are for the system call and never travel in a message.
OREAD: Final = 0
OWRITE: Final = 1
ORDWR: Final = 2
OEXEC: Final = 3
OTRUNC: Final = 0x10
OCEXEC: Final = 0x20
ORCLOSE: Final = 0x40
OEXCL: Final = 0x1000

MAXWELEM: Final = 16
"""Names in one Twalk, qids in one Rwalk."""
QIDSZ: Final = 13
HDRSZ: Final = 7
"""size[4] type[1] tag[2]: the shortest message."""
IOHDRSZ: Final = 24
"""What msize is larger than the data of one Tread or Twrite: room for the header of either."""
STATFIXLEN: Final = 49
"""A directory entry with four empty strings, its own size[2] included."""
STATMAX: Final = 65535
"""A directory entry travels as n[2] bytes."""

DEFMSIZE: Final = 8192 + IOHDRSZ
"""The limit before Tversion was answered, and what a plain client proposes."""
MAXMSIZE: Final = (1 << 20) + IOHDRSZ
"""The largest message that this implementation agrees to: a MiB of data."""
MINMSIZE: Final = 64
"""The smallest message size that a server can work with, as Inferno's does."""

DIRMAX = 1 << 25
"""Bytes of entries that are taken of one directory: some hundred thousands. A server might go on for ever."""
