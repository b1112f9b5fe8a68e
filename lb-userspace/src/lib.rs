//! `lbd`, the daemon, and `lbctl`, its client, as one library.
//!
//! A pure middle with thin edges: configuration, planning, health and tables are functions of values;
//! sockets, netlink, files and BPF are touched where the table says so and nowhere else.
//!
//! | module | what it owns | edge |
//! |---|---|---|
//! | [`model`] | services, VIPs, backends, probes, health: values | |
//! | [`config`] | what an operator typed, and what is wrong with it | |
//! | [`desired`] | what the operator wants, and the changes one may make to it | |
//! | [`maglev`] | lookup tables | |
//! | [`plan`] | desired, health, next hops and actual -> ordered steps | |
//! | [`dataplane`] | the kernel's side: load, attach, pin, publish, count | BPF |
//! | [`reconcile`] | plan and apply | |
//! | [`explain`] | what the program does with a packet, in words | |
//! | [`health`] | the state machine (pure), and the tasks that probe | sockets |
//! | [`setup`] | what a backend's host needs, as steps | |
//! | [`neighbor`] | next hops from routes and neighbours | netlink |
//! | [`cable`] | the interface of probes that go the way of clients' packets | tap |
//! | [`control`] | the JSON control socket: protocol, server, client | Unix socket |
//! | [`state`] | what must survive a restart, on disk | files |
//! | [`daemon`] | wiring: one task owns all state and takes one event at a time | |
//! | [`cli`] | the commands of `lbctl` | |
//! | [`manual`] | man pages and completions of both programs | |

pub mod cable;
pub mod cli;
pub mod config;
pub mod control;
pub mod daemon;
pub mod dataplane;
pub mod desired;
pub mod explain;
pub mod health;
pub mod maglev;
pub mod manual;
pub mod model;
pub mod neighbor;
pub mod plan;
pub mod reconcile;
pub mod setup;
pub mod state;
