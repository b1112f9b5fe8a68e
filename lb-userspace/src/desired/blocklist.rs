//! What must hold of the blocklist, and the words for what does not: the same for the file, the socket and the saved
//! state.

use std::collections::BTreeSet;

use crate::model::Prefix;

/// The most prefixes on the blocklist. The kernel's tries hold twice as many, so that all can be replaced at once.
pub const MAX_PREFIXES: usize = 65_536;

/// A broken rule: what is wrong, and what would be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum BlocklistBreach {
    #[error("{inner} lies in {outer}: leave one of them out")]
    Overlap { outer: Prefix, inner: Prefix },
    #[error("{0} stands for IPv4 within IPv6, which no packet comes from: write it as IPv4")]
    Mapped(Prefix),
    #[error("{0} prefixes are too many: write at most {MAX_PREFIXES}, or wider ones")]
    TooMany(usize),
}

/// Every rule that `blocklist` breaks.
#[must_use]
pub fn blocklist_breaches(blocklist: &BTreeSet<Prefix>) -> Vec<BlocklistBreach> {
    let mut found = Vec::new();
    if blocklist.len() > MAX_PREFIXES {
        found.push(BlocklistBreach::TooMany(blocklist.len()));
    }
    let mapped = blocklist.iter().filter(|prefix| prefix.is_ipv4_mapped());
    found.extend(mapped.copied().map(BlocklistBreach::Mapped));
    // In order, those that a prefix contains follow it directly.
    let mut outer: Option<Prefix> = None;
    for &inner in blocklist {
        match outer {
            Some(outer) if outer.contains(inner) => {
                found.push(BlocklistBreach::Overlap { outer, inner });
            }
            _ => outer = Some(inner),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaches(prefixes: &[&str]) -> Vec<String> {
        let prefixes = prefixes.iter().map(|text| text.parse().unwrap()).collect();
        let found = blocklist_breaches(&prefixes);
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn prefixes_beside_each_other_break_no_rule() {
        let none: [String; 0] = [];
        assert_eq!(breaches(&[]), none);
        let beside = ["10.0.0.0/25", "10.0.0.128/25", "0.0.0.0/8", "::/0"];
        assert_eq!(breaches(&beside), none);
    }

    #[test]
    fn every_prefix_in_another_is_told_with_the_widest_that_contains_it() {
        assert_eq!(
            breaches(&[
                "10.0.0.0/8",
                "10.1.0.0/16",
                "10.1.2.0/24",
                "10.9.0.1/32",
                "11.0.0.0/8"
            ]),
            [
                "10.1.0.0/16 lies in 10.0.0.0/8: leave one of them out",
                "10.1.2.0/24 lies in 10.0.0.0/8: leave one of them out",
                "10.9.0.1 lies in 10.0.0.0/8: leave one of them out",
            ]
        );
    }

    #[test]
    fn what_cannot_be_a_source_is_told() {
        let [breach] = &breaches(&["::ffff:10.0.0.1"])[..] else {
            panic!("one rule is broken");
        };
        assert!(breach.contains("write it as IPv4"), "{breach}");
    }

    #[test]
    fn there_may_be_so_many_and_no_more() {
        let address = |number: usize| {
            let number = u32::try_from(number).unwrap();
            Prefix::of(std::net::Ipv4Addr::from(number).into(), 32).unwrap()
        };
        let most: BTreeSet<Prefix> = (0..MAX_PREFIXES).map(address).collect();
        assert_eq!(blocklist_breaches(&most), []);
        let more: BTreeSet<Prefix> = (0..=MAX_PREFIXES).map(address).collect();
        let told = blocklist_breaches(&more);
        assert_eq!(told, [BlocklistBreach::TooMany(MAX_PREFIXES + 1)]);
    }
}
