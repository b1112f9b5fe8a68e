//! XDP programs that measure XDP programs.
//!
//! `BPF_PROG_TEST_RUN` gives a program its own output when it repeats: what has encapsulated once would see the tunnel
//! the second time. [`wrapper`] takes back what the program under test has done, by the frame's length and first bytes,
//! gives the packet to the next flow and calls the program. What the wrapper itself costs is in every figure, and so is
//! a [`floor`]'s, which is measured in its place: only the two together say something.
#![cfg_attr(not(test), no_std)]
#![expect(
    clippy::inline_always,
    reason = "the verifier refuses packet pointers across calls"
)]

pub mod floor;
pub mod frame;
pub mod names;
pub mod state;
pub mod wrapper;
