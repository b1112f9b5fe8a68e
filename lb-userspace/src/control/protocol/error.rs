//! Errors as JSON-RPC 2.0 (section 5.1) has them, and ours.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// From rows `/// meaning`, `Name = number;` to [`ErrorCode`] and its table.
macro_rules! codes {
    ($(#[doc = $meaning:literal] $name:ident = $number:literal;)*) => {
        /// The kinds of error, with their numbers on the wire.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(i32)]
        pub enum ErrorCode {
            $(#[doc = $meaning] $name = $number,)*
        }

        impl ErrorCode {
            /// All of them, each with what it means.
            pub const ALL: &[(Self, &str)] = &[$((Self::$name, $meaning),)*];
        }
    };
}

codes! {
    /// The line is not JSON.
    Parse = -32700;
    /// The JSON is not a request.
    InvalidRequest = -32600;
    /// There is no such method.
    MethodNotFound = -32601;
    /// The parameters are not those of the method, or a value is bad.
    InvalidParams = -32602;
    /// A fault of the daemon.
    Internal = -32603;
    /// The peer may not do this.
    NotAllowed = -32001;
    /// There is no such service or backend.
    NotFound = -32002;
    /// It is there already, or belongs to another service, or stands in the way.
    Conflict = -32003;
    /// The configuration has faults; `data.faults` lists every one.
    InvalidConfig = -32004;
    /// The kernel refused; nothing has changed.
    Kernel = -32005;
    /// The line is longer than 1 MiB.
    TooLong = -32006;
    /// Too many clients or requests at once, or the daemon is stopping.
    Busy = -32007;
    /// It would move more than its budget allows; nothing has changed, `data` is what `config.plan` answers.
    OverBudget = -32008;
}

impl ErrorCode {
    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> i32 {
        self as i32
    }
}

/// An error as it stands in an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[error("{message}")]
pub struct RpcError {
    /// See [`ErrorCode`].
    pub code: i32,
    /// One sentence: what was wrong, with what, and what to do.
    pub message: String,
    /// More for machines: `{"faults": [...]}` with [`ErrorCode::InvalidConfig`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

impl RpcError {
    /// An error without data.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code: code.number(),
            message: message.into(),
            data: None,
        }
    }
}
