"""The devices, one file each. A device knows the kernel and the protocol, and no other device.

`TABLE` says where the devices of a fresh system are found; a module is imported when its device is
first attached.
"""

TABLE = {
    "/": "nsh.dev.root:RootDevice",
    "c": "nsh.dev.cons:ConsDevice",
    "e": "nsh.dev.env:EnvDevice",
    "d": "nsh.dev.fd:FdDevice",
    "|": "nsh.dev.pipe:PipeDevice",
    "s": "nsh.dev.srv:SrvDevice",
    "m": "nsh.dev.mntgen:MntgenDevice",
    "R": "nsh.dev.ram:RamDevice",
    "U": "nsh.dev.hostnative:NativeHostDevice",
    "M": "nsh.dev.mnt:MntDevice",
    "I": "nsh.net.ip:NetDevice",
    "p": "nsh.dev.prog:ProgDevice",
    "B": "nsh.dev.bin:BinDevice",
    "f": "nsh.dev.hostfd:HostFdDevice",
    "C": "nsh.dev.cmd:CmdDevice",
    "*": "nsh.dev.indir:IndirDevice",
}
