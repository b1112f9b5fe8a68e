//! The daemon: wiring, and one task that owns all state and takes one event at a time.
//!
//! | module | what it owns |
//! |---|---|
//! | `options` | the command line |
//! | `preflight` | what must hold before anything is touched |
//! | `prepare` | what is done while there is one thread |
//! | `privileges`, `sandbox` | what the process may still do |
//! | `priority` | which thread comes first |
//! | `notify` | what the service manager is told |
//! | `exit` | how it ends |
//! | `event` | everything that can happen |
//! | `core` | the state, and what each event does to it |
//! | `announce` | what is said of it: to the log, and to who has subscribed to events |
//! | `commit` | changes, whole or not at all; retries |
//! | `wait` | packets under way, waited for beside the core |
//! | `watch` | whose health and next hops are followed |
//! | `learning`, `strays` | slots that move, in time; a look at the flow tables |
//! | `restless` | services in which something is due without anybody asking |
//! | `removal` | backends that go when they have drained |
//! | `interfaces` | which interfaces the program is attached to |
//! | `paths` | the interface of probes that go the way of clients' packets |
//! | `detach` | the end of the data plane, by a client's call |
//! | `check` | a configuration file, looked at without a daemon |
//! | `decap` | the other thing `lbd` does: takes tunnels off, on a backend |
//! | `answers`, `change`, `report` | the control socket's calls: dispatch, changes, status and counters |
//! | `configuration`, `forecast` | configurations as a whole; what one would do |
//! | `reading` | what is answered beside the core: the flow tables |
//! | `explain` | what becomes of a packet, tried beside the core |
//! | `setup` | what a backend's host needs, from what is known of the way to it |
//! | `snat` | what of a change contradicts the settings of full NAT |
//! | `host` | this host, asked for what a configuration must agree with |
//! | `saved` | what to start with, and what is kept for the next start |
//! | `start` | wiring and shutdown |

mod announce;
mod answers;
mod change;
mod check;
mod commit;
mod configuration;
mod core;
mod decap;
mod detach;
mod event;
pub mod exit;
mod explain;
mod forecast;
mod host;
mod interfaces;
mod learning;
mod notify;
mod options;
mod paths;
mod patience;
mod preflight;
mod prepare;
mod priority;
mod privileges;
mod reading;
mod removal;
mod report;
mod restless;
mod sandbox;
mod saved;
mod saving;
mod setup;
mod snat;
mod start;
mod strays;
mod wait;
mod watch;
mod weights;

pub use exit::Failure;
pub use options::{Command, DecapOptions, LogFormat, Options, RunOptions};
pub use start::run;
