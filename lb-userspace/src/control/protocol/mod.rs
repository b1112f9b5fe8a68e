//! The reference of the control socket: methods, parameters, answers, errors.
//!
//! A request is one line, a JSON-RPC 2.0 request object or a batch (an array of them); the answer is one
//! line. Unknown fields are refused by name. A request that changes state answers when the change is in the
//! kernel, with the generation that carries it; or with an error, and nothing has changed.

mod about;
mod answer;
mod call;
mod configuration;
mod error;
mod event;
mod explain;
mod flows;
mod params;
pub mod schema;
pub mod wire;

use about::About;

pub use answer::*;
pub use call::{Call, METHODS, Method};
pub use configuration::*;
pub use error::{ErrorCode, RpcError};
pub use event::*;
pub use explain::*;
pub use flows::*;
pub use params::*;

/// What `backend.setup` answers is made by [`setup`](crate::setup).
pub use crate::setup::{Receiver, Room, Setup, Step, TunnelKind};

/// The version of this protocol: raised when a method, field or meaning is taken away or changed.
pub const API_VERSION: u32 = 1;

/// The longest line that a client may send, in bytes, the newline included.
pub const MAX_LINE_BYTES: usize = 1 << 20;

/// The same for one that may change things: whole configurations are long.
pub const MAX_CHANGE_LINE_BYTES: usize = 1 << 25;
