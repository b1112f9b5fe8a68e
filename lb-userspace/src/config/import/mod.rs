//! Configurations of other balancers, read as ours as far as they go.

use std::fmt;

use super::{Fault, Faults, Host, spec::ConfigSpec, validate};

mod keepalived;
mod statements;

pub use keepalived::keepalived;

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// What could be carried over.
    pub config: ConfigSpec,
    /// What could not, in the order of lines.
    pub left_out: Vec<LeftOut>,
}

impl Imported {
    /// What of the configuration would be refused, and has to be mended by hand.
    #[must_use]
    pub fn faults(&self) -> Vec<Fault> {
        match validate::config(&self.config, &Host::default()) {
            Ok(_) => Vec::new(),
            Err(Faults(faults)) => faults,
        }
    }
}

/// Something that could not be carried over.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeftOut {
    /// Where it stands, from 1.
    pub line: u32,
    /// What stands there.
    pub what: String,
    /// Why, and what to do about it.
    pub why: String,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: `{}`: {}", self.line, self.what, self.why)
    }
}
