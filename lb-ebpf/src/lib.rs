//! The data plane: a pipeline of stages from a received frame to its outcome.
//!
//! ```text
//! parse -> classify -> guard -> select -> rewrite -> emit
//! ```
//!
//! Each stage is a module that knows no other stage; [`forward`] alone knows the order. The edges are
//! three modules, the only ones with `unsafe`: [`frame`] (packet bytes), [`maps`] (every map) and
//! [`route`] (the kernel's routing table). The binary beside this library holds the entry points only.
#![cfg_attr(not(test), no_std)]

pub mod classify;
pub mod emit;
pub mod forward;
pub mod frame;
pub mod guard;
pub mod ip;
pub mod maps;
pub mod packet;
pub mod parse;
pub mod rewrite;
pub mod route;
pub mod select;
pub mod wire;
