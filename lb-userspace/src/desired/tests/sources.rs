//! Who is not let in, and how much each may send.

use super::*;

fn set(texts: &[&str]) -> BTreeSet<Prefix> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn prefixes_come_onto_the_blocklist_and_off_it() {
    let mut desired = desired();
    let all = ["198.51.100.7", "203.0.113.0/24", "2001:db8::/32"];
    desired.apply(Change::Block(set(&all[..2]))).unwrap();
    desired.apply(Change::Block(set(&all[2..]))).unwrap();
    assert_eq!(desired.blocklist, set(&all));
    desired.apply(Change::Unblock(set(&all[1..]))).unwrap();
    assert_eq!(desired.blocklist, set(&all[..1]));
}

#[test]
fn the_blocklist_says_what_stands_in_the_way() {
    let mut desired = desired();
    let there = ["198.51.100.7", "203.0.113.0/24"];
    desired.apply(Change::Block(set(&there))).unwrap();
    let (block, unblock) = (Change::Block, Change::Unblock);
    for (change, kind, words) in [
        (
            block(set(&["192.0.2.0/24", "203.0.113.0/24"])),
            RefusalKind::Conflict,
            "203.0.113.0/24 is on the blocklist already",
        ),
        (
            block(set(&["203.0.113.128/25"])),
            RefusalKind::Conflict,
            "203.0.113.128/25 lies in 203.0.113.0/24",
        ),
        (
            block(set(&["198.51.0.0/16"])),
            RefusalKind::Conflict,
            "198.51.100.7 lies in 198.51.0.0/16",
        ),
        (
            block(set(&["::ffff:10.0.0.1"])),
            RefusalKind::Invalid,
            "write it as IPv4",
        ),
        (
            unblock(set(&["198.51.100.7", "192.0.2.0/24"])),
            RefusalKind::NotFound,
            "192.0.2.0/24 is not on the blocklist; `lbctl blocklist list`",
        ),
        (
            unblock(set(&["203.0.113.9"])),
            RefusalKind::NotFound,
            "203.0.113.9 is not on the blocklist, though it lies in 203.0.113.0/24",
        ),
    ] {
        assert_refused(&desired, change, kind, words);
    }
}

#[test]
fn limits_of_sources_are_set_kept_and_taken_away() {
    let mut desired = desired();
    let limited = |limit| Change::UpdateService {
        name: name("web"),
        vips: None,
        mode: None,
        table_slots: None,
        probe: None,
        quic_lb: None,
        dynamic_weights: None,
        min_healthy: None,
        panic_threshold: None,
        moves: MovesUpdate::default(),
        algorithm: None,
        source_limit: Some(limit),
    };
    let limit = Some(SourceLimit::new(100, None));
    desired.apply(limited(limit)).unwrap();
    desired.apply(update("web")).unwrap();
    assert_eq!(desired.services[&name("web")].source_limit, limit);
    for (rate, burst, words) in [
        (0, None, "0 packets in a second are out of range"),
        (10_000_001, None, "10000001 packets in a second"),
        (1, Some(0), "0 packets at once are out of range"),
        (1, Some(10_000_001), "10000001 packets at once"),
    ] {
        let change = limited(Some(SourceLimit::new(rate, burst)));
        assert_refused(&desired, change, RefusalKind::Invalid, words);
    }
    desired.apply(limited(None)).unwrap();
    assert_eq!(desired.services[&name("web")].source_limit, None);
}
