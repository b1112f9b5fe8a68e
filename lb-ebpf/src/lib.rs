//! The data plane: a pipeline of stages from a received frame to its outcome.
//!
//! ```text
//! parse -> classify -> guard -> select (-> translate) -> rewrite -> emit
//!              |          |         |
//!              +----------+---------+--> reply
//! ```
//!
//! Each stage is a module that knows no other stage; [`forward`] alone knows the order. The edges are
//! three modules, the only ones with `unsafe`: [`frame`] (packet bytes), [`maps`] (every map) and
//! [`route`] (the kernel's routing table). The binary beside this library holds the entry points only.
//!
//! [`decap`] is the other end: the pipeline of a program for backends, which takes tunnels off. [`probe`] is that of a
//! program for the interface of probes: the later stages, for one backend.
//!
//! Whatever takes the frame is `inline(always)`: the verifier refuses packet pointers across calls
//! (`pointer arithmetic on pkt_end prohibited`). Small functions of values and map values are, too, where
//! they would else be called once per packet.
#![cfg_attr(not(test), no_std)]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]
#![expect(
    clippy::inline_always,
    reason = "see the crate's documentation: the verifier wants one function"
)]

pub mod classify;
pub mod decap;
pub mod emit;
pub mod forward;
pub mod frame;
pub mod guard;
pub mod ip;
pub mod maps;
pub mod packet;
pub mod parse;
pub mod probe;
pub mod reply;
pub mod rewrite;
pub mod route;
pub mod select;
pub mod translate;
pub mod wire;
