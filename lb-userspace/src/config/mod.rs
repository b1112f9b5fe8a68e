//! What an operator typed, and what is wrong with it.
//!
//! [`spec`] mirrors the text, [`validate`] turns it into [`model`](crate::model) values or a list of
//! faults, each with its place; [`text`] reads TOML and knows lines and columns.

mod daemon;
mod difference;
mod fault;
mod host;
mod locate;
mod snat;
pub mod spec;
pub mod text;
pub mod validate;
mod write;

pub use daemon::{DaemonSettings, Unmatched, XdpMode};
pub use difference::{Difference, differences};
pub use fault::{Fault, Faults};
pub use host::Host;
pub use snat::{PortRange, SnatSettings};
pub use validate::Config;

#[cfg(test)]
mod tests;
