//! The daemon: wiring, and one task that owns all state and takes one event at a time.
//!
//! | module | what it owns |
//! |---|---|
//! | [`options`] | the command line |
//! | [`preflight`] | what must hold before anything is touched |
//! | [`exit`] | how it ends |
//! | [`event`] | everything that can happen |
//! | [`core`] | the state, and what each event does to it |
//! | [`interfaces`] | which interfaces the program is attached to |
//! | [`answers`] | what the control socket's calls read and change |

mod answers;
mod core;
mod event;
pub mod exit;
mod interfaces;
mod options;
mod preflight;
mod saved;
mod start;

pub use exit::Failure;
pub use options::{Command, LogFormat, Options, RunOptions};
pub use start::run;
