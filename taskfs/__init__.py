"""taskfs: the device `#T`, which runs commands on this host and on others, and shows them as files.

What is where: `dev` is the device and its table of sessions; `about` what only the owner of the host sees of
it, `hosttree` the host's files among that, `journal` what has happened; `session` one session and its life;
`files` the files in it; `ctl` the words that its ctl file takes, and `signs` what stands for a task's place
in them; `run` a task, that is a process of this host; `spool` what lies between a task's pipes and their
readers, and `watch` who knows when there is something in them; `hosts` where resources come from and how
they are reserved; `child` one resource, wherever it is, `near` one of this process, `cmdhost` one on a host
that has but cmd(3), and `lost` what is seen of a resource while its host is lost; `many` how many are asked
at a time; `gather` many children made to look like one, `deal` the lines of their input, `merge` their
output; `status` the lines that report on them; `owner` which sessions end together, and how many there may
be; `guard` how tasks are started, by a helper (`keeper`) that ends them if nsh dies; `space` the name space
that a task may have as its file tree; `descriptors` how many of these there may be.

And for tasks that see each other: `post` what a task is told, and its way to its session; `door` the socket
at which it calls; `back` how a call comes from another host; `peers` what a task may do with the session;
`neighbours` the input that tasks give each other, `rest` how its end is found; `room` the mount name space in
which they have it as files.

nsh does not import this package. It finds the device by the entry point group ``nsh.devices``, as it
would find anybody's. taskfs(3) is the manual.
"""
