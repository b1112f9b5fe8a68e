//! What is said between tables and plots.

pub(super) const HEAD: &str = "\
# Benchmarks

Written by `cargo xtask bench report`, which runs what is below and draws the plots; the figures themselves are in
`docs/benchmarks/*.json`. By `--only NAME` one of them is measured anew, by `--render` none. Any one of them by itself:
`cargo xtask bench --help`.

Trust ratios of one run more than times, and no figure of another machine's. Client, balancer and servers share the
machine in all of them.
";

pub(super) const LOAD: &str = "
A load average of more than the benchmark's own share, which is at most two, says that somebody else was at work.
";

pub(super) const PACKET: &str = "
## One packet

`cargo xtask bench packet`: `BPF_PROG_TEST_RUN` of a wrapper that restores the packet, gives it to the next flow, and calls
the loaded program; in turn with it, a floor that does no more than it must (for a tunnel: room for the outer header and
an Ethernet header written, without any look-up; for the rest, `XDP_TX` or `XDP_PASS`). The wrapper's own cost is in both.
A row is `family/kind/mode/flows/services/tracking`; other numbers of backends than 10 and of slots than 65,537 follow.
";

pub(super) const PATH: &str = "
## Packets through real devices

`cargo xtask bench path`: live frames, 256 flows of UDP, into a veth whose peer has the path under test; all paths stand
side by side and take turns. Generator, path and receiver run on one CPU, so that the generator's share is in all of
them. `drop`, `tx` and `redirect` are programs that do nothing else. `ours-l2-same-interface` leaves by the interface it
came in by, as `tx`; the other `ours` by another, as `redirect`. The kernel's own paths begin on a veth without a program.
";

pub(super) const TCP: &str = "
### TCP

One connection that sends, and four clients that connect, ask once and close: through the same hosts and links by the
kernel's forwarding alone (`none`), by ours, by the kernel's DNAT and by a proxy. Offloads that frames sent by XDP cannot
have are off for all; client and server take most of the time. So these figures say what a balancer takes away, and not
what it could carry.
";

pub(super) const INSTRUCTIONS: &str = "
## Instructions

`cargo xtask bench vm`: the same paths in an emulated guest whose clock goes by instructions, as `xtask/instructions.toml`
holds to it. The same to a per cent in every run, whatever else the machine does; but an instruction is not a time: nothing
is said of memory.
";

pub(super) const TABLES: &str = "
## Lookup tables

`cargo xtask bench control`. *Build*: the base of pinned Maglev, from nothing. *Pin*: from the base to the table without one
backend. *Change*: a call on the socket that disables a backend or enables it, until its answer: checked, saved, planned,
written and published. What of that grows with backends is the state that is saved.
";

pub(super) const SOCKET: &str = "
## The control socket

With ten services of ten backends. `version` is the least, `status` tells of all, `backend.enable` changes nothing but goes
all the way of a change.
";

pub(super) const SIZES: &str = "
## Size

A daemon without probes and with `local` backends, so that nothing is waited for. *Apply*: the whole configuration to a daemon
that has none. *Add*: one backend more, over the socket; once more with the state
in memory, where no disk is waited for. *Start*: from the process to its first answer, with nothing in the
kernel; *restart*: over what the process before has left there. Of both, seconds are the kernel's verifier. The maps are
sized for the largest fleet in all rows: by its defaults the daemon has room for 4,095 backends, 2,048 VIPs of addresses of
their own and 2^21 slots, and `max_backends`, `max_vips` and `max_slots` of `[daemon]` give it more.
";

pub(super) const REACTION: &str = "
## Failure

`cargo xtask bench reaction`: from the end of the third failed probe of a backend to the new table in the kernel, as the
daemon tells it with each publication. ";

pub(super) const PROGRAMS: &str = "
## Programs

`cargo xtask bench verify`: what the verifier and the JIT make of each program, with the settings of a plain configuration
(`least`) and with every feature (`all`), on the machine above.

";

pub(super) const KERNELS: &str = "
The budgets of `xtask/budgets.toml`, as they were measured on each kernel; but for the machine's own, in emulated guests.
A kernel that does not tell a figure has 0 there.

";

pub(super) const STEPS: &str = "
## Steps

What made packets cheaper, each step with its before and after.
";
