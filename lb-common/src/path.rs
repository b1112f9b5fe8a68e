//! Probes that go the way of clients' packets: which alias stands for which VIP on which backend.
//!
//! Written by the daemon, read by the programs; one hash map per family ([`names::PATHS_V4`], [`names::PATHS_V6`]),
//! by alias: the address that a probe's socket connects to. The family is that of alias and VIP, which may not be the
//! backend's.
//!
//! [`names::PATHS_V4`]: crate::names::PATHS_V4
//! [`names::PATHS_V6`]: crate::names::PATHS_V6

/// What an alias stands for. 20 bytes for IPv4, 44 for IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Path<Address> {
    /// The VIP's address.
    pub vip: Address,
    /// Our own address, to which the backend answers.
    pub source: Address,
    /// The backend's number. It is probed also while its entry is
    /// [`INACTIVE`](crate::backend::Backend::INACTIVE).
    pub backend: u32,
    /// The backend's generation: the path counts only while the backend still has it.
    pub generation: u32,
    /// Index of the interface of probes, which answers are sent to; also its key in the devices map.
    pub interface: u32,
}

/// The MAC address of the interface of probes, locally administered (IEEE 802): the only one on its link, which frames
/// leave from and come to.
pub const MAC: [u8; 6] = [0x02, 0x6c, 0x62, 0x70, 0x00, 0x01];
