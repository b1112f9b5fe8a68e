//! VLANs (IEEE 802.1Q, 802.1ad): which tag a frame leaves with.

/// The one tag of a frame on its way out, or none. An open number: the low 12 bits are the VLAN's, the highest
/// says 802.1ad; 0 is no tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Vlan(pub u16);

impl Vlan {
    /// No tag.
    pub const NONE: Self = Self(0);
    /// The bits of the VLAN's number.
    pub const ID: u16 = 0x0fff;
    /// A provider's tag (802.1ad), not a customer's (802.1Q).
    const PROVIDER: u16 = 0x8000;

    /// The tag of the VLAN with this number, 1 to 4,094; a provider's or a customer's.
    #[must_use]
    pub const fn new(id: u16, is_provider: bool) -> Self {
        let kind = if is_provider { Self::PROVIDER } else { 0 };
        Self(id & Self::ID | kind)
    }

    /// The VLAN's number.
    #[must_use]
    #[inline]
    pub const fn id(self) -> u16 {
        self.0 & Self::ID
    }

    /// Whether it is a provider's tag.
    #[must_use]
    #[inline]
    pub const fn is_provider(self) -> bool {
        self.0 & Self::PROVIDER != 0
    }
}

/// How frames for an interface leave that cannot transmit by itself. 8 bytes.
///
/// Written by the daemon, read by the program; a hash map indexed by the interface's index. A VLAN device stands
/// there, and so does its parent, which is its own parent without a tag: on such an interface a frame belongs to
/// no VLAN but by its tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct VlanDevice {
    /// Index of the interface that transmits.
    pub parent: u32,
    /// The tag.
    pub vlan: Vlan,
    /// Always 0.
    pub reserved: u16,
}

impl VlanDevice {
    /// Elements of the map.
    pub const ELEMENTS: u32 = 4_096;
}
