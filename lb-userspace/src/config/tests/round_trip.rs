//! What is written is read back alike.

use std::{net::SocketAddr, time::Duration};

use proptest::prelude::*;

use super::sized;
use crate::{
    config::{
        spec::ConfigSpec,
        text,
        validate::{self, config, config_spec_of, spec_of},
    },
    desired::Desired,
    model::*,
};

fn any_service() -> impl Strategy<Value = Service> {
    let addresses = prop::sample::select(vec![
        "192.0.2.1",
        "2001:db8::1",
        "203.0.113.0/28",
        "2001:db8:1::/64",
    ]);
    let protocol = prop::sample::select(Protocol::ALL.to_vec());
    let vip = (addresses, 1..u16::MAX, protocol).prop_map(|(addresses, port, protocol)| Vip {
        addresses: addresses.parse().unwrap(),
        port,
        protocol,
    });
    let state = prop::sample::select(vec![AdminState::Up, AdminState::Drain, AdminState::Down]);
    let backend = (
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
            remove_at: None,
        });
    let kind = prop_oneof![
        Just(ProbeKind::Tcp),
        (
            "/[a-z?=%]{0,9}",
            prop::option::of("[a-z.]{1,9}"),
            100..=599_u16,
            0..100_u16
        )
            .prop_map(|(path, host, from, more)| {
                let status = StatusRange {
                    from,
                    to: (from + more).min(599),
                };
                ProbeKind::Http { path, host, status }
            }),
    ];
    let timing = (
        10_000..3_600_000_u64,
        1_000..3_600_000_u64,
        1..=100_u32,
        1..=100_u32,
        0..=50_u32,
    );
    let probe = (kind, prop::option::of(1..u16::MAX), timing).prop_map(
        |(kind, port, (interval, timeout, rise, fall, jitter_percent))| Probe {
            kind,
            port,
            interval: Duration::from_micros(interval),
            timeout: Duration::from_micros(timeout.min(interval)),
            rise,
            fall,
            jitter_percent,
        },
    );
    let table_slots = prop_oneof![
        Just(TableSlots::Auto),
        prop::sample::select(TableSlots::SIZES.to_vec()).prop_map(TableSlots::Fixed),
    ];
    (
        "[a-zA-Z0-9][a-z0-9._-]{0,62}",
        prop::collection::btree_set(vip, 1..5),
        any::<bool>(),
        table_slots,
        prop::option::of(probe),
        prop::collection::vec(backend, 0..8),
    )
        .prop_map(|(name, vips, nat, table_slots, probe, backends)| {
            let v4 = |vip: &Vip| vip.addresses.is_ipv4() && vip.protocol != Protocol::Sctp;
            let translatable = vips.iter().all(v4);
            let l2 = |backend: Backend| Backend {
                mode: if translatable { backend.mode } else { Mode::L2 },
                ..backend
            };
            let is_tcp = vips.iter().any(|vip| vip.protocol != Protocol::Sctp);
            let probe = probe.map(|probe| Probe {
                port: probe.port.or((!is_tcp).then_some(80)),
                ..probe
            });
            Service {
                name: name.parse().unwrap(),
                vips,
                mode: if nat && translatable {
                    Mode::Nat
                } else {
                    Mode::L2
                },
                table_slots,
                probe,
                backends: backends.into_iter().map(|b| (b.address, l2(b))).collect(),
            }
        })
}

#[test]
fn backends_in_removal_are_written_as_draining() {
    let spec: ConfigSpec = toml::from_str(&sized("", 1, 1)).unwrap();
    let mut desired = config(&spec).unwrap().desired;
    let service = desired.services.values_mut().next().unwrap();
    for backend in service.backends.values_mut() {
        backend.state = AdminState::Drain;
        backend.remove_at = Some(std::time::SystemTime::UNIX_EPOCH);
    }
    let state = spec_of(service).backends[0].state.clone();
    assert_eq!(state.as_deref(), Some("drain"));
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_alike(service in any_service()) {
        let spec = spec_of(&service);
        prop_assert_eq!(validate::service(&spec, "").unwrap(), service.clone());
        let desired = Desired { services: [(service.name.clone(), service)].into() };
        let spec = config_spec_of(&desired);
        let text = toml::to_string(&spec).unwrap();
        prop_assert_eq!(text::read(&text).unwrap(), spec);
        prop_assert_eq!(text::load(&text).unwrap().desired, desired);
    }
}
