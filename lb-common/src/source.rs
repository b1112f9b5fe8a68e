//! Who sends: how much each source may send.

/// One client of one service: the key of its [`Budget`](crate::budget::Budget) of packets. 8 bytes for IPv4,
/// 12 for IPv6.
///
/// Written and read by the program, in tables that forget the least recently seen client first
/// ([`names::SOURCES_V4`], [`names::SOURCES_V6`]).
///
/// [`names::SOURCES_V4`]: crate::names::SOURCES_V4
/// [`names::SOURCES_V6`]: crate::names::SOURCES_V6
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct SourceKey<Client> {
    /// The service's number.
    pub service: u32,
    /// What its source address tells of it: [`Family::client`](crate::family::Family::client).
    pub client: Client,
}
