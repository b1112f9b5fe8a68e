//! How `lbd` ends: exit codes, the same as `lbctl`'s.

use std::process;

/// Exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// It did not work.
    Failed = 1,
    /// The configuration has faults.
    InvalidConfig = 3,
    /// Not allowed, or the kernel is too old.
    NotAllowed = 5,
}

/// An error that ends the daemon, with the code to end with.
#[derive(Debug)]
pub struct Failure {
    code: ExitCode,
    error: anyhow::Error,
}

impl Failure {
    /// `error` ends the daemon with `code`.
    #[must_use]
    pub const fn new(code: ExitCode, error: anyhow::Error) -> Self {
        Self { code, error }
    }

    /// Says on standard error what was wrong, and gives the code.
    #[must_use]
    pub fn report(&self) -> process::ExitCode {
        // A configuration has a line for each of its faults.
        for line in format!("{:#}", self.error).lines() {
            eprintln!("lbd: {line}");
        }
        process::ExitCode::from(self.code as u8)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::new(ExitCode::Failed, error)
    }
}
