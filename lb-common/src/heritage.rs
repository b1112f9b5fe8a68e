//! What a daemon takes over from the maps of an older version of the ABI.
//!
//! Read by the daemon alone. What the daemon itself publishes is read as values and written into new maps. What the
//! program has learned and counted stays where it is: those maps serve the old program and the new one at once, so that
//! no flow and no count is lost between the two. Numbers of backends, services and ledgers, and generations, stay the
//! same, or what is kept would mean something else.

use crate::names;

/// The oldest version whose published maps this one reads, VIPs of versions before 6 in hash maps. To be raised when their
/// layout changes, unless the daemon learns to read both.
pub const OLDEST_READABLE: u32 = 3;

/// The maps that are kept, each with the version since which its layout and meaning are what they are now: from an
/// older one it is made anew, and empty. To be raised with a change of either.
pub const KEPT: [(&str, u32); 15] = [
    (names::FRESH_V4, 4),
    (names::FRESH_V6, 4),
    (names::FLOWS_V4, 4),
    (names::FLOWS_V6, 4),
    (names::REPLIES_V4, 3),
    (names::REPLIES_V6, 3),
    (names::FRAGMENTS_V4, 3),
    (names::FRAGMENTS_V6, 3),
    (names::SOURCES_V4, 3),
    (names::SOURCES_V6, 3),
    (names::ERROR_BUDGET, 3),
    (names::TRAFFIC, 3),
    (names::LOADS, 6),
    (names::LEDGER, 3),
    (names::INTERFACES, 3),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_a_map_of_no_later_version_than_this() {
        for (name, since) in KEPT {
            assert!(names::MAPS.contains(&name), "{name}");
            assert!(since <= names::ABI_VERSION, "{name}");
        }
        const { assert!(OLDEST_READABLE <= names::ABI_VERSION) };
    }
}
