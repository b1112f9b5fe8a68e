//! The JSON control socket: JSON-RPC 2.0, one object a line, on a Unix stream socket.
//!
//! [`protocol`] is the reference of methods, parameters, answers and errors; [`codec`] cuts the stream
//! into lines; [`access`] decides who may do what; [`feed`] brings events to those who subscribe; [`server`] and
//! [`client`] are the two ends.

pub mod access;
pub mod client;
pub mod codec;
pub mod feed;
pub mod protocol;
pub mod server;
