//! What can go wrong with a command, and the exit codes.

use std::{error::Error as _, io, path::PathBuf};

use crate::control::{
    client::ClientError,
    protocol::{ErrorCode, RpcError},
};

/// The exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    InvalidConfig = 3,
    Unreachable = 4,
    NotAllowed = 5,
}

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot write what was asked for")]
    Write(#[source] io::Error),
    #[error("cannot print the answer")]
    Print(#[source] io::Error),
    #[error("the daemon's answer is not understood (are lbctl and lbd of the same version?)")]
    Answer(#[source] serde_json::Error),
    #[error("if lbd does not run, `lbd detach` takes off what it has left")]
    NobodyToDetach(#[source] ClientError),
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl Failure {
    pub(super) fn exit(&self) -> Exit {
        match self {
            // The reader of a pipe had enough, as in `lbctl status | head`.
            Self::Print(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
            Self::Read { .. } | Self::Write(_) | Self::Print(_) | Self::Answer(_) => Exit::Failed,
            Self::NobodyToDetach(error) | Self::Client(error) => match error {
                ClientError::Unreachable { .. } => Exit::Unreachable,
                ClientError::NotAllowed(_) => Exit::NotAllowed,
                ClientError::Protocol { .. } => Exit::Failed,
                ClientError::Refused(error) => exit_of(error),
            },
        }
    }

    /// Prints the failure in a sentence with its causes, or a line for each fault; with `json`, a refusal as the
    /// protocol has it.
    pub(super) fn print(&self, errors: &mut dyn io::Write, json: bool) -> io::Result<()> {
        match self {
            Self::Print(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Self::Client(ClientError::Refused(error)) if json => {
                writeln!(errors, "{}", serde_json::to_string(error)?)
            }
            Self::Client(error) if !error.faults().is_empty() => {
                for fault in error.faults() {
                    writeln!(errors, "lbctl: {fault}")?;
                }
                Ok(())
            }
            Self::Read { .. }
            | Self::Write(_)
            | Self::Print(_)
            | Self::Answer(_)
            | Self::NobodyToDetach(_)
            | Self::Client(_) => {
                write!(errors, "lbctl: {self}")?;
                let mut cause = self.source();
                while let Some(error) = cause {
                    write!(errors, ": {error}")?;
                    cause = error.source();
                }
                writeln!(errors)
            }
        }
    }
}

fn exit_of(error: &RpcError) -> Exit {
    if error.code == ErrorCode::InvalidConfig.number() {
        Exit::InvalidConfig
    } else if error.code == ErrorCode::InvalidParams.number() {
        Exit::Usage
    } else {
        Exit::Failed
    }
}
