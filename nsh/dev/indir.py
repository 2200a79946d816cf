"""`#*`, indir(3): devices by name. `#*pipe` is `#|`, and `#*ram!scratch` is `#Rscratch`."""

from __future__ import annotations

from nsh import errors
from nsh.kern.chan import Chan, Maybe
from nsh.kern.dev import Device, up


class IndirDevice(Device):
    """`#*name` and `#*name!spec`; what comes back is a file of the device itself."""

    letter, name = "*", "indir"
    harmless = True  # the device that is named is asked for its own rights

    def attach(self, spec: str) -> Maybe[Chan]:
        """Errors: `Ebadspec` without a name, `Enodev` "unknown device: NAME", those of the device."""
        if not spec:
            raise errors.Ebadspec()
        name, _, rest = spec.partition("!")
        for letter in self.system.letters():
            if letter != self.letter and self.system.device(letter).name == name:
                return self.system.attach(letter, rest, up().pgrp.nodevs)
        raise errors.Enodev(f"unknown device: {name}")
