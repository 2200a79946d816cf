"""What the benches compare nsh with: programs that are started as ``python -m tests.bench.peers.NAME``.

Each serves until it is ended; none needs anything but its arguments. Those that need a package which
is not installed are not started (see `tests.bench.ninep`).
"""
