//! Where the program does not do what the packet table says, and is known not to: set to `false` once it does.

/// Protocols that are not balanced go to this host's stack even if the frame is shorter than the packet says;
/// the table has such a packet dropped as malformed.
pub(super) const OTHERS_KEEP_BAD_LENGTHS: bool = true;
