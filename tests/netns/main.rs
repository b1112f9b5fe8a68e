//! The real daemon in namespaces: real clients, real servers, everything over the control socket.
#![expect(
    clippy::indexing_slicing,
    reason = "indexing JSON gives null for what is not there, and a test may panic"
)]

mod algorithms;
mod bad_input;
mod bad_link;
mod bad_start;
mod bed;
mod changes;
mod check;
mod configuration;
mod events;
mod explain;
mod features;
mod forwarding;
mod fragments;
mod guard;
mod heal;
mod health;
mod hostile;
mod icmp;
mod jumbo;
mod kernel_tunnel;
mod ledger;
mod lifecycle;
mod manager;
mod path_mtu;
mod prefix;
mod probe_via_vip;
mod probes;
mod quic;
mod reload;
mod restart;
mod routes;
mod saved;
mod scene;
mod sctp;
mod security;
mod selftest;
mod setup;
mod snat;
mod state_disk;
mod tracking;
mod tunnel;
mod vlan_device;
mod vlan_scene;
mod weights;
