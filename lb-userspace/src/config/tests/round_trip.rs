//! What is written is read back alike.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use proptest::prelude::*;

use super::sized;
use crate::{
    config::{
        Host,
        spec::ConfigSpec,
        text,
        validate::{self, config, config_spec_of, spec_of},
    },
    desired::{Desired, rules::via_breaches},
    model::*,
};

fn any_vip() -> impl Strategy<Value = Vip> {
    let addresses = prop::sample::select(vec![
        "192.0.2.1",
        "2001:db8::1",
        "203.0.113.0/28",
        "2001:db8:1::/64",
    ]);
    let protocol = prop::sample::select(Protocol::ALL.to_vec());
    (addresses, 1..u16::MAX, protocol).prop_map(|(addresses, port, protocol)| Vip {
        addresses: addresses.parse().unwrap(),
        port,
        protocol,
    })
}

fn any_backend() -> impl Strategy<Value = Backend> {
    let state = prop::sample::select(vec![AdminState::Up, AdminState::Drain, AdminState::Down]);
    (
        "10\\.[0-9]\\.[1-9]\\.[1-9]:[1-9][0-9]{2}",
        1..=1_000_u32,
        any::<bool>(),
        state,
    )
        .prop_map(|(address, weight, nat, state)| Backend {
            address: address.parse::<SocketAddr>().unwrap(),
            weight: weight.try_into().unwrap(),
            mode: if nat { Mode::Nat } else { Mode::L2 },
            state,
            role: if nat { Role::Fallback } else { Role::Ordinary },
            server_ids: BTreeSet::new(),
            remove_at: None,
        })
}

fn any_probe() -> impl Strategy<Value = Probe> {
    let kind = super::probes::any_kind();
    let timing = (
        10_000..3_600_000_u64,
        1_000..3_600_000_u64,
        1..=100_u32,
        1..=100_u32,
        0..=50_u32,
        (0..400_u64, 400..86_400_u64),
    );
    let via = prop::sample::select(Via::ALL.to_vec());
    (kind, prop::option::of(1..u16::MAX), via, timing).prop_map(
        |(kind, port, via, (interval, timeout, rise, fall, jitter_percent, hold_down))| Probe {
            port: port.filter(|_| kind.has_port() || matches!(kind, ProbeKind::Exec(_))),
            kind,
            via,
            interval: Duration::from_micros(interval),
            timeout: Duration::from_micros(timeout.min(interval)),
            rise,
            fall,
            jitter_percent,
            hold_down: Duration::from_secs(hold_down.0),
            hold_down_max: Duration::from_secs(hold_down.1),
        },
    )
}

fn any_service() -> impl Strategy<Value = Service> {
    let table_slots = prop_oneof![
        Just(TableSlots::Auto),
        prop::sample::select(TableSlots::SIZES.to_vec()).prop_map(TableSlots::Fixed),
    ];
    (
        "[a-zA-Z0-9][a-z0-9._-]{0,62}",
        prop::collection::btree_set(any_vip(), 1..5),
        any::<bool>(),
        table_slots,
        prop::option::of(any_probe()),
        (
            prop::option::of((SourceLimit::RANGE, SourceLimit::RANGE)),
            (0..=10_000_u32, 0..=100_u32),
            any_moves(),
            prop::sample::select(Algorithm::ALL.to_vec()),
            prop::option::of(any_weights()),
        ),
        prop::collection::vec(any_backend(), 0..8),
        quic_lb(),
    )
        .prop_map(
            |(
                name,
                vips,
                nat,
                table_slots,
                probe,
                (limit, thresholds, mut moves, algorithm, weights),
                backends,
                quic_lb,
            )| {
                let v4 = |vip: &Vip| vip.addresses.is_ipv4() && vip.protocol != Protocol::Sctp;
                let translatable = vips.iter().all(v4);
                let l2 = |backend: Backend| Backend {
                    mode: if translatable { backend.mode } else { Mode::L2 },
                    ..backend
                };
                let is_tcp = vips.iter().any(|vip| vip.protocol != Protocol::Sctp);
                let probe = probe.map(|probe| Probe {
                    port: probe
                        .port
                        .or((!is_tcp && probe.kind.has_port()).then_some(80)),
                    ..probe
                });
                let is_probed = probe.is_some();
                let is_udp = vips.iter().any(|vip| vip.protocol == Protocol::Udp);
                let lengths = quic_lb
                    .configs()
                    .map(|(_, config)| config.server_id_length.get());
                let lengths: BTreeSet<u8> = lengths.collect();
                let named = |(number, backend): (u8, Backend)| {
                    let id =
                        |length: &u8| ServerId::new(&vec![number; usize::from(*length)]).unwrap();
                    Backend {
                        server_ids: lengths.iter().map(id).collect(),
                        ..backend
                    }
                };
                let backends = (0xa0..).zip(backends).map(named);
                if algorithm.draws_slots() {
                    moves.tracking = Tracking::Always;
                }
                let mut service = Service {
                    name: name.parse().unwrap(),
                    vips,
                    thresholds: Thresholds {
                        min_healthy: thresholds.0,
                        panic_threshold: thresholds.1,
                    },
                    moves,
                    algorithm,
                    mode: if nat && translatable {
                        Mode::Nat
                    } else {
                        Mode::L2
                    },
                    table_slots,
                    probe,
                    source_limit: limit.map(|(rate, burst)| SourceLimit { rate, burst }),
                    // Who has no probe has no response times.
                    dynamic_weights: weights.filter(|it| is_probed || !it.response_time),
                    quic_lb: if is_udp { quic_lb } else { QuicLb::default() },
                    backends: backends.map(|b| (b.address, l2(b))).collect(),
                };
                let Service {
                    vips,
                    mode,
                    backends,
                    probe,
                    ..
                } = &service;
                if !via_breaches(vips, *mode, backends, probe.as_ref()).is_empty()
                    && let Some(probe) = &mut service.probe
                {
                    probe.via = Via::Direct;
                }
                service
            },
        )
}

fn any_moves() -> impl Strategy<Value = Moves> {
    let seconds = || (0..=3_600_u64).prop_map(Duration::from_secs);
    let tracking = prop::sample::select(Tracking::ALL.to_vec());
    (tracking, seconds(), 1..=100_u32, seconds()).prop_map(
        |(tracking, learn_for, max_step, slow_start)| Moves {
            tracking,
            learn_for,
            max_step,
            slow_start,
        },
    )
}

fn any_weights() -> impl Strategy<Value = DynamicWeights> {
    let follows = (any::<bool>(), prop::option::of(1..u16::MAX));
    let bounds = (100..3_600_000_u64, 1..=100_u32, 100..=1_000_u32, 0..=50_u32);
    (follows, bounds).prop_map(|(follows, (interval, step, ceiling, dead_band))| {
        let (response_time, agent_port) = follows;
        DynamicWeights {
            response_time: response_time || agent_port.is_none(),
            agent_port,
            interval: Duration::from_millis(interval),
            step,
            ceiling,
            dead_band,
        }
    })
}

/// Prefixes of one length do not contain each other.
fn any_blocklist() -> impl Strategy<Value = BTreeSet<Prefix>> {
    let v4 = (any::<[u8; 4]>(), Just(24)).prop_map(|(it, bits)| (IpAddr::from(it), bits));
    let v6 = (any::<[u8; 16]>(), Just(48)).prop_map(|(it, bits)| (IpAddr::from(it), bits));
    let prefix = prop_oneof![v4, v6].prop_map(|(it, bits)| Prefix::of(it, bits).unwrap());
    prop::collection::btree_set(prefix, 0..6)
}

fn quic_lb() -> impl Strategy<Value = QuicLb> {
    let config = (0..7_u32, 1..=15_u32, any::<bool>()).prop_map(|(id, length, encodes)| {
        let config = QuicConfig {
            server_id_length: length.try_into().unwrap(),
            first_octet_encodes_cid_length: encodes,
        };
        (id.try_into().unwrap(), config)
    });
    prop::collection::vec(config, 0..3).prop_map(|configs| configs.into_iter().collect())
}

#[test]
fn backends_in_removal_are_written_as_draining_and_are_no_part_of_the_configuration() {
    let spec: ConfigSpec = toml::from_str(&sized("", 1, 1)).unwrap();
    let mut desired = config(&spec, &Host::default()).unwrap().desired;
    let service = Arc::make_mut(desired.services.values_mut().next().unwrap());
    for backend in service.backends.values_mut() {
        backend.state = AdminState::Drain;
        backend.remove_at = Some(std::time::SystemTime::UNIX_EPOCH);
    }
    let state = spec_of(service).backends[0].state.clone();
    assert_eq!(state.as_deref(), Some("drain"));
    assert_eq!(config_spec_of(&desired).services[0].backends, []);
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_alike(service in any_service(), blocklist in any_blocklist()) {
        let spec = spec_of(&service);
        prop_assert_eq!(validate::service(&spec, "").unwrap(), service.clone());
        let services = [(service.name.clone(), Arc::new(service))].into();
        let desired = Desired { services, blocklist };
        let spec = config_spec_of(&desired);
        let text = toml::to_string(&spec).unwrap();
        prop_assert_eq!(text::read(&text).unwrap(), spec);
        prop_assert_eq!(text::load(&text, &Host::default()).unwrap().desired, desired);
    }
}
