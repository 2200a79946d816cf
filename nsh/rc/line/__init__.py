"""The line editor: what a person at a terminal has beyond the shell itself.

The parts that know nothing of the screen: `history` keeps what was typed; `place` tells what stands at the
cursor; `offers` says what could stand there, with what `sources` finds and the `manual` knows; `known` tells
whether commands and files exist, `abbr` what abbreviations stand for; `commands` has the builtins.

On them stand those that import prompt_toolkit: `editor` is the screen and the loop that reads a line, `keys`
what the keys do; `colour`, `recall`, `suggest`, `complete` and `search` are each a thing that one sees;
`screen` is about what others write there.
`nsh.rc.repl` puts all of it together for a shell.
"""
