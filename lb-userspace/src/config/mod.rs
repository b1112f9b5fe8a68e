//! What an operator typed, and what is wrong with it.
//!
//! [`spec`] mirrors the text, [`validate`] turns it into [`model`](crate::model) values or a list of
//! faults, each with its place; [`text`] reads TOML and knows lines and columns.

mod fault;
pub mod spec;
pub mod text;
pub mod validate;

pub use fault::{Fault, Faults};
