//! The ICMP header of both versions (RFC 792, RFC 4443 section 2.1): 8 bytes, with what is of one kind only in its
//! second half.

/// The header.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Icmp {
    /// What kind of message it is; numbers differ by version.
    pub kind: u8,
    /// What of that kind.
    pub code: u8,
    /// Over the whole message, in ICMPv6 with the pseudo-header.
    pub check: [u8; 2],
    /// What is of one kind only: an MTU, an echo's number, nothing.
    pub rest: [u8; 4],
}

impl Icmp {
    /// Bytes of the header.
    pub const LEN: usize = size_of::<Self>();
}

/// An error, whose header the quoted packet follows, from its IP header on.
///
/// One view of both: a check of where the second begins tells the verifier nothing about the first.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Error<Header> {
    /// The error's header.
    pub icmp: Icmp,
    /// The quoted packet's.
    pub quoted: Header,
}
