//! Changes are made whole or refused with a reason, and whatever was made is valid.

use std::time::Duration;

use super::*;
use crate::model::Scope;

mod difference;
mod leaving;
mod mode;
mod properties;
mod quic;
mod sources;
mod via;
mod vips;

const NOON: SystemTime = SystemTime::UNIX_EPOCH;

fn name(text: &str) -> ServiceName {
    text.parse().unwrap()
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn vips(texts: &[&str]) -> BTreeSet<Vip> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn backend(text: &str, mode: Mode) -> Backend {
    Backend {
        address: address(text),
        weight: Weight::default(),
        mode,
        state: AdminState::Up,
        role: Role::Ordinary,
        server_ids: BTreeSet::new(),
        remove_at: None,
    }
}

fn service(text: &str, vip: &str, backends: &[&str]) -> Service {
    let backends = backends.iter().map(|text| backend(text, Mode::Nat));
    Service {
        name: name(text),
        vips: vips(&[vip]),
        mode: Mode::Nat,
        table_slots: TableSlots::Auto,
        probe: None,
        thresholds: crate::model::Thresholds::default(),
        moves: crate::model::Moves::default(),
        algorithm: Algorithm::Maglev,
        source_limit: None,
        dynamic_weights: None,
        quic_lb: QuicLb::default(),
        backends: backends.map(|backend| (backend.address, backend)).collect(),
    }
}

/// `web` with a backend that is up, and `dns` without backends.
fn desired() -> Desired {
    let mut desired = Desired::default();
    for service in [
        service("web", "192.0.2.10:80/tcp", &["10.0.0.11:80"]),
        service("dns", "[2001:db8::10]:53/udp", &[]),
    ] {
        desired.apply(Change::AddService(service)).unwrap();
    }
    desired
}

fn update(service: &str) -> Change {
    Change::UpdateService {
        name: name(service),
        vips: None,
        mode: None,
        table_slots: None,
        probe: None,
        source_limit: None,
        dynamic_weights: None,
        quic_lb: None,
        min_healthy: None,
        panic_threshold: None,
        moves: MovesUpdate::default(),
        algorithm: None,
    }
}

fn set_state(service: &str, backend: &str, state: AdminState) -> Change {
    Change::UpdateBackend {
        service: name(service),
        address: address(backend),
        weight: None,
        mode: None,
        state: Some(state),
        role: None,
        server_ids: None,
    }
}

fn remove(service: &str, backend: &str, at: Option<SystemTime>) -> Change {
    Change::RemoveBackend {
        service: name(service),
        address: address(backend),
        at,
    }
}

fn add(to: &str, backend: Backend) -> Change {
    Change::AddBackend {
        service: name(to),
        backend,
    }
}

fn web(desired: &Desired) -> &Backend {
    &desired.services[&name("web")].backends[&address("10.0.0.11:80")]
}

#[track_caller]
fn assert_refused(desired: &Desired, change: Change, kind: RefusalKind, words: &str) {
    let mut after = desired.clone();
    let refusal = after.apply(change).unwrap_err();
    assert_eq!(refusal.kind(), kind, "{refusal}");
    let message = refusal.to_string();
    assert!(message.contains(words), "{message}\nlacks: {words}");
    assert_eq!(&after, desired, "{refusal}");
}

#[test]
fn what_is_not_there_cannot_be_changed() {
    let nope = "there is no service `nope`";
    let force = true;
    for (change, words) in [
        (update("nope"), nope),
        (
            Change::RemoveService {
                name: name("nope"),
                force,
            },
            nope,
        ),
        (add("nope", backend("10.0.0.1:80", Mode::L2)), nope),
        (
            set_state("web", "10.0.0.99:80", AdminState::Up),
            "service `web` has no backend 10.0.0.99:80",
        ),
        (
            remove("web", "10.0.0.99:80", None),
            "service `web` has no backend 10.0.0.99:80",
        ),
    ] {
        assert_refused(&desired(), change, RefusalKind::NotFound, words);
    }
}

#[test]
fn what_stands_in_the_way_is_named() {
    let mut twins = desired();
    twins
        .services
        .insert(name("dns"), service("dns", "192.0.2.10:80/tcp", &[]).into());
    let force = false;
    for (change, words) in [
        (
            Change::AddService(service("web", "192.0.2.11:80/tcp", &[])),
            "service `web` exists already: update it",
        ),
        (
            Change::AddService(service("new", "192.0.2.10:80/tcp", &[])),
            "VIP 192.0.2.10:80/tcp belongs to service `web` already",
        ),
        (
            with_vips("dns", &["192.0.2.10:80/tcp"]),
            "VIP 192.0.2.10:80/tcp belongs to service `web` already",
        ),
        (
            Change::RemoveService {
                name: name("web"),
                force,
            },
            "a backend that is up: drain or disable it first, or force",
        ),
        (
            add("web", backend("10.0.0.11:80", Mode::L2)),
            "service `web` has backend 10.0.0.11:80 already",
        ),
        (
            Change::Replace(twins),
            "VIP 192.0.2.10:80/tcp belongs to service `dns`",
        ),
        (
            with_vips("web", &["203.0.113.0/28:80/tcp", "203.0.113.8/30:443/tcp"]),
            "VIP 203.0.113.8/30:443/tcp of service `web` lies within VIP 203.0.113.0/28:80/tcp of service `web`",
        ),
    ] {
        assert_refused(&desired(), change, RefusalKind::Conflict, words);
    }
}

#[test]
fn what_cannot_be_is_refused_with_what_can() {
    let mut misfiled = Desired::default();
    misfiled
        .services
        .insert(name("web"), service("dns", "192.0.2.10:80/tcp", &[]).into());
    for (change, words) in [
        (
            with_vips("web", &[]),
            "service `web`: a service needs at least one VIP",
        ),
        (
            with_vips("web", &["[2001:db8::1]:80/tcp"]),
            "VIP [2001:db8::1]:80/tcp is IPv6, backend 10.0.0.11:80 is IPv4",
        ),
        (
            add("web", backend("[fd00::1]:80", Mode::Nat)),
            "use mode l2",
        ),
        (
            with_vips("web", &["192.0.2.10:80/sctp"]),
            "use another mode for backend 10.0.0.11:80",
        ),
        (
            with_vips("web", &["192.0.2.0/28:*/tcp"]),
            "VIP 192.0.2.0/28:*/tcp is for every port",
        ),
        (
            Change::Replace(misfiled),
            "service `dns` is filed under `web`",
        ),
    ] {
        assert_refused(&desired(), change, RefusalKind::Invalid, words);
    }
}

#[test]
fn tables_cannot_shrink_below_the_number_of_backends() {
    let mut desired = desired();
    for port in 1..=1_022 {
        let backend = backend(&format!("10.0.0.12:{port}"), Mode::Nat);
        desired.apply(add("web", backend)).unwrap();
    }
    let shrink = Change::UpdateService {
        name: name("web"),
        vips: None,
        mode: None,
        table_slots: Some(TableSlots::Fixed(1_021)),
        probe: None,
        source_limit: None,
        dynamic_weights: None,
        quic_lb: None,
        min_healthy: None,
        panic_threshold: None,
        moves: MovesUpdate::default(),
        algorithm: None,
    };
    let words = "1021 slots is too small for 1023 backends";
    assert_refused(&desired, shrink, RefusalKind::Invalid, words);
}

fn with_vips(service: &str, texts: &[&str]) -> Change {
    Change::UpdateService {
        name: name(service),
        vips: Some(vips(texts)),
        mode: None,
        table_slots: None,
        probe: None,
        source_limit: None,
        dynamic_weights: None,
        quic_lb: None,
        min_healthy: None,
        panic_threshold: None,
        moves: MovesUpdate::default(),
        algorithm: None,
    }
}

#[test]
fn modes_are_held_to_the_ip_version_when_they_change() {
    let mut desired = desired();
    let l2 = backend("[fd00::1]:80", Mode::L2);
    desired.apply(add("web", l2)).unwrap();
    let nat = Change::UpdateBackend {
        service: name("web"),
        address: address("[fd00::1]:80"),
        weight: None,
        mode: Some(Mode::Nat),
        state: None,
        role: None,
        server_ids: None,
    };
    let refusal = desired.apply(nat).unwrap_err();
    assert_eq!(refusal.kind(), RefusalKind::Invalid, "{refusal}");
}

#[test]
fn removed_backends_drain_until_their_time_has_come() {
    let mut desired = desired();
    let later = NOON + Duration::from_secs(30);
    desired
        .apply(remove("web", "10.0.0.11:80", Some(later)))
        .unwrap();
    assert_eq!(web(&desired).state, AdminState::Drain);
    assert_eq!(desired.next_due(&Scope::All, None), Some(later));
    assert_eq!(desired.due(&Scope::All, NOON), []);
    let due = desired.due(&Scope::All, later);
    assert_eq!(due, [remove("web", "10.0.0.11:80", None)]);
    for change in due {
        desired.apply(change).unwrap();
    }
    assert!(desired.services[&name("web")].backends.is_empty());
    assert_eq!(desired.next_due(&Scope::All, None), None);
}

#[test]
fn removals_are_called_off_by_a_new_state_or_by_adding_again() {
    let again = backend("10.0.0.11:80", Mode::L2);
    for revival in [
        set_state("web", "10.0.0.11:80", AdminState::Up),
        add("web", again),
    ] {
        let mut desired = desired();
        desired
            .apply(remove("web", "10.0.0.11:80", Some(NOON)))
            .unwrap();
        desired.apply(revival).unwrap();
        assert_eq!(web(&desired).state, AdminState::Up);
        assert_eq!(desired.next_due(&Scope::All, None), None);
    }
}

#[test]
fn backends_that_are_down_are_removed_at_once() {
    let mut desired = desired();
    for change in [
        set_state("web", "10.0.0.11:80", AdminState::Down),
        remove("web", "10.0.0.11:80", Some(NOON)),
    ] {
        desired.apply(change).unwrap();
    }
    assert!(desired.services[&name("web")].backends.is_empty());
}

#[test]
fn services_go_when_drained_or_by_force() {
    let gentle = |force| Change::RemoveService {
        name: name("web"),
        force,
    };
    let mut forced = desired();
    forced.apply(gentle(true)).unwrap();
    let mut drained = desired();
    for change in [
        set_state("web", "10.0.0.11:80", AdminState::Drain),
        gentle(false),
    ] {
        drained.apply(change).unwrap();
    }
    assert_eq!(forced, drained);
    assert!(!forced.services.contains_key(&name("web")));
}

#[test]
fn removals_that_are_late_put_off_no_others() {
    let mut desired = Desired::default();
    let web = service(
        "web",
        "192.0.2.10:80/tcp",
        &["10.0.0.11:80", "10.0.0.12:80"],
    );
    desired.apply(Change::AddService(web)).unwrap();
    let later = NOON + Duration::from_secs(1);
    let services = desired.services.values_mut().map(Arc::make_mut);
    let backends = services.flat_map(|service| service.backends.values_mut());
    for (backend, at) in backends.zip([NOON, later]) {
        backend.remove_at = Some(at);
    }
    let next = |after| desired.next_due(&Scope::All, Some(after));
    assert_eq!(next(NOON), Some(later));
    assert_eq!(next(later), None);
    assert_eq!(desired.next_due(&Scope::none(), None), None);
}
