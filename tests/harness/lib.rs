//! What the tests of the built product share.
//!
//! | module | what it owns |
//! |---|---|
//! | [`packet`] | whole Ethernet frames, built and read by etherparse |
//! | [`object`] | the built eBPF object, loaded on its own and run packet by packet |
//! | [`netns`] | network namespaces, links between them, their clean-up |
//! | [`bed`] | the network that a balancer stands in: a client, the balancer, backends |
//! | [`bpffs`] | a BPF file system of a test's own |
//! | [`daemon`] | `lbd` as a child process in a namespace |
//! | [`setup`] | a backend's host, set up by what `lbctl backend-setup` prints |
//! | [`control`] | its control socket, as a foreign client sees it: lines of JSON |
//! | [`traffic`] | servers and clients inside namespaces |
//! | [`meter`] | traffic that never pauses, with every loss and move counted |
//! | [`site`] | a balancer at work: services, servers, traffic |
//! | [`tap`] | frames as they come by in a namespace |
//! | [`event`] | what happens to it in its life |
//! | [`published`] | what a daemon has in the kernel, read without its help |
//! | [`random`] | numbers that a seed determines |
//! | [`icmp`] | pings, and hops as traceroute finds them |
//! | [`quic`] | connection ids as servers make them, and packets that bear them |
//! | [`random`] | numbers that a seed determines |
//! | [`input`] | what must hold for whatever bytes reach the daemon |
//! | [`cost`] | what one packet costs the program |
//! | [`wait`] | waiting for a condition, with a deadline |
//!
//! Nothing here is shared with the product but the map types of `lb-common` and the protocol's types: a
//! mistake in the product cannot hide in the test that looks for it.
#![allow(
    clippy::missing_panics_doc,
    reason = "test support: every failure is a panic that says what failed"
)]

pub mod bed;
pub mod bpffs;
pub mod control;
pub mod cost;
pub mod daemon;
pub mod event;
pub mod icmp;
pub mod input;
pub mod kernel;
pub mod meter;
pub mod netns;
pub mod object;
pub mod packet;
pub mod published;
pub mod quic;
pub mod random;
pub mod setup;
pub mod site;
pub mod tap;
pub mod traffic;
pub mod wait;
