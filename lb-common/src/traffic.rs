//! Counters per backend, one set per CPU.
//!
//! Written by the program, read and summed by the daemon; indexed by
//! [`BackendId`](crate::backend::BackendId). The daemon sets them to 0
//! before it gives a number out.

/// What has been forwarded to a backend, on one CPU. 24 bytes; free-running, wrapping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Traffic {
    /// Packets forwarded.
    pub packets: u64,
    /// Bytes of those frames as received, from the Ethernet header on.
    pub bytes: u64,
    /// TCP connections begun, and flows of other protocols that were newly remembered.
    pub flows: u64,
}
