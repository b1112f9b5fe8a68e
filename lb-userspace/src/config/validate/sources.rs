//! Sources: the blocklist, and the limit of each.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    config::{
        fault::{Found, part},
        spec::ServiceSpec,
    },
    desired::{
        blocklist::{BlocklistBreach, blocklist_breaches},
        rules::{Part, limit_breaches, repeated},
    },
    model::{Prefix, SourceLimit},
};

/// The prefixes that could be read; `place` is where the list stands.
pub(super) fn blocklist(texts: &[String], place: &str, found: &mut Found) -> BTreeSet<Prefix> {
    let mut claims: Vec<(Prefix, usize)> = Vec::with_capacity(texts.len());
    let at = |index: usize| format!("{place}[{index}]");
    for (index, text) in texts.iter().enumerate() {
        let prefix = found.keep(at(index), text.parse());
        claims.extend(prefix.map(|prefix| (prefix, index)));
    }
    for (prefix, first, again) in repeated(claims.iter().copied()) {
        let message = format!("{prefix} stands already at {}", at(first));
        found.add(at(again), message);
    }
    // The first of equal prefixes is the one that others are held against.
    let places: BTreeMap<Prefix, usize> = claims.into_iter().rev().collect();
    let prefixes: BTreeSet<Prefix> = places.keys().copied().collect();
    let index = |prefix: Prefix| places.get(&prefix).copied().unwrap_or_default();
    for breach in blocklist_breaches(&prefixes) {
        match breach {
            BlocklistBreach::Overlap { outer, inner } => {
                let (first, again) = (index(outer), index(inner));
                let message = if first < again {
                    format!(
                        "{inner} lies in {outer} at {}: leave one of them out",
                        at(first)
                    )
                } else {
                    format!(
                        "{outer} contains {inner} at {}: leave one of them out",
                        at(again)
                    )
                };
                found.add(at(first.max(again)), message);
            }
            BlocklistBreach::Mapped(prefix) => found.add(at(index(prefix)), breach.to_string()),
            BlocklistBreach::TooMany(_) => found.add(place, breach.to_string()),
        }
    }
    prefixes
}

/// The limit that a service has; `place` is where the service stands.
pub(super) fn limit(
    rate: Option<u32>,
    burst: Option<u32>,
    place: &str,
    found: &mut Found,
) -> Option<SourceLimit> {
    let Some(rate) = rate else {
        if burst.is_some() {
            let message = "a burst needs a rate that it exceeds for a while: write source_rate too, in packets per second";
            found.add(part(place, SOURCE_BURST), message);
        }
        return None;
    };
    let limit = SourceLimit::new(rate, burst);
    for (broken, breach) in limit_breaches(&limit) {
        let field = if broken == Part::SourceBurst {
            SOURCE_BURST
        } else {
            SOURCE_RATE
        };
        found.add(part(place, field), breach.to_string());
    }
    Some(limit)
}

pub(super) fn limit_of(spec: &ServiceSpec, place: &str, found: &mut Found) -> Option<SourceLimit> {
    limit(spec.source_rate, spec.source_burst, place, found)
}

/// The fields, by their names in a file.
const SOURCE_RATE: &str = "source_rate";
const SOURCE_BURST: &str = "source_burst";
