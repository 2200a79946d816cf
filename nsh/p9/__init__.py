"""9P2000 without input or output: messages, and both ends of a conversation as state machines.

Bytes go in and come out; who carries them (a socket, a pipe, a test) is the business of `nsh.net`.
The parts: `const` the numbers, `stat` the directory entry, `msg` the messages, `frame` the cutting of a
stream, `files` what a server needs of its files, `server` the rules that it keeps, `client` the other
side, `trace` messages as text.
Nothing in this package knows sockets, asyncio, or what a file is.
"""
