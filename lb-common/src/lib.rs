//! The ABI between the XDP programs and the daemon.
//!
//! Both sides compile this crate: the keys and values of every map, the hash that both compute, the
//! numbers of the outcomes, the names of maps and programs. It has no dependencies (aya's `Pod` marker
//! only under the feature `aya`) and allocates nothing.
//!
//! | module | what it holds |
//! |---|---|
//! | [`budget`] | [`Budget`](budget::Budget): the token bucket of ICMP errors and of sources |
//! | [`be`] | integers in network byte order |
//! | [`family`] | IPv4 and IPv6 as one trait: the address type |
//! | [`vip`] | [`VipKey`](vip::VipKey) and [`Vip`](vip::Vip) |
//! | [`placement`] | [`Place`](placement::Place): where VIPs stand, and how they are found |
//! | [`path`] | [`Path`](path::Path): the VIP and backend that an alias stands for |
//! | [`prefix`] | [`Prefix`](prefix::Prefix): a range of addresses |
//! | [`table`] | the arena, slot encoding, [`slot_of`](table::slot_of) |
//! | [`backend`] | [`BackendId`](backend::BackendId), [`Backend`](backend::Backend), [`Mode`](backend::Mode) |
//! | [`flow`] | [`FlowKey`](flow::FlowKey), [`Flow`](flow::Flow), [`Reply`](flow::Reply) |
//! | [`progress`] | [`Progress`](progress::Progress) of a flow's ends, for source NAT |
//! | [`quic`] | [`ServerIdKey`](quic::ServerIdKey), [`Server`](quic::Server) |
//! | [`fragment`] | [`FragmentKey`](fragment::FragmentKey), [`FragmentPorts`](fragment::FragmentPorts) |
//! | [`interface`] | [`Interface`](interface::Interface): whose ledger a packet is counted in |
//! | [`source`] | [`SourceKey`](source::SourceKey) |
//! | [`decap`] | outcomes and settings of the program that strips tunnels |
//! | [`hash`] | the flow hash |
//! | [`load`] | [`Load`](load::Load): how many flows each backend has |
//! | [`heritage`] | what is taken over from maps of an older version |
//! | [`outcome`] | what can become of a packet; the index of the ledger |
//! | [`translation`] | [`Translation`](translation::Translation): where a CPU works out NAT |
//! | [`vlan`] | [`Vlan`](vlan::Vlan) and [`VlanDevice`](vlan::VlanDevice): the tag a frame leaves with |
//! | [`traffic`] | counters per backend |
//! | [`settings`] | constants set when the program is loaded |
//! | [`names`] | names of maps, programs and globals, and the ABI's version |
//!
//! # Rules for shared types
//! `#[repr(C)]`, no padding (asserted in `pod`), only integers and byte arrays: every bit pattern is
//! valid, so neither side can make the other's memory undefined.
#![no_std]

pub mod backend;
pub mod be;
pub mod budget;
pub mod decap;
pub mod family;
pub mod flow;
pub mod fragment;
pub mod hash;
pub mod heritage;
pub mod interface;
pub mod load;
pub mod names;
pub mod outcome;
pub mod path;
pub mod placement;
mod pod;
pub mod prefix;
pub mod progress;
pub mod quic;
pub mod settings;
pub mod source;
pub mod table;
pub mod traffic;
pub mod translation;
pub mod vip;
pub mod vlan;
