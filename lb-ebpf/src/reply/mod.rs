//! What the program itself answers: echo requests to VIP addresses, and packets that can go no further.
//!
//! An answer leaves by the interface that the request came in by, to the MAC address that sent it, with its VLAN tags:
//! whoever handed us the request knows the way back. It has the hop limit of a new packet.

mod echo;
mod error;

pub use echo::{EchoRequest, echo, echo_request};
pub use error::{Fault, error};
