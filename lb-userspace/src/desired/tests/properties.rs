//! Whatever changes are made, in whatever order: what is desired is valid, and a refusal changes nothing.

use proptest::prelude::*;

use super::*;

fn any_change() -> impl Strategy<Value = Change> {
    let name = || prop::sample::select(vec!["web", "dns", "nope"]).prop_map(name);
    let address = || {
        let texts = vec!["10.0.0.11:80", "10.0.0.12:80", "[fd00::11]:80"];
        prop::sample::select(texts).prop_map(address)
    };
    let vips = || {
        let all = vec![
            "192.0.2.10:80/tcp",
            "192.0.2.11:80/tcp",
            "[2001:db8::10]:80/tcp",
        ];
        prop::sample::subsequence(all, 0..=3).prop_map(|texts| vips(&texts))
    };
    let mode = || prop::sample::select(vec![Mode::L2, Mode::Nat]);
    let state = || prop::sample::select(vec![AdminState::Up, AdminState::Drain, AdminState::Down]);
    let at = || prop::option::of((0..100_u64).prop_map(|s| NOON + Duration::from_secs(s)));
    let backend =
        (address(), mode(), state(), at()).prop_map(|(address, mode, state, at)| Backend {
            address,
            weight: Weight::default(),
            mode,
            state,
            role: Role::Ordinary,
            server_ids: BTreeSet::new(),
            remove_at: at,
        });
    let backends = prop::collection::btree_map(address(), backend.clone(), 0..3);
    let service =
        (name(), vips(), mode(), backends).prop_map(|(name, vips, mode, backends)| Service {
            name,
            vips,
            mode,
            table_slots: TableSlots::Auto,
            probe: None,
            thresholds: crate::model::Thresholds::default(),
            moves: crate::model::Moves::default(),
            algorithm: Algorithm::Maglev,
            source_limit: None,
            dynamic_weights: None,
            quic_lb: QuicLb::default(),
            backends,
        });
    let services = prop::collection::btree_map(name(), service.clone().prop_map(Arc::new), 0..3);
    prop_oneof![
        service.prop_map(Change::AddService),
        (name(), prop::option::of(vips()), prop::option::of(mode())).prop_map(
            |(name, vips, mode)| {
                Change::UpdateService {
                    name,
                    vips,
                    mode,
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
        ),
        (name(), any::<bool>()).prop_map(|(name, force)| Change::RemoveService { name, force }),
        (name(), backend).prop_map(|(service, backend)| Change::AddBackend { service, backend }),
        (
            name(),
            address(),
            prop::option::of(mode()),
            prop::option::of(state())
        )
            .prop_map(|(service, address, mode, state)| Change::UpdateBackend {
                service,
                address,
                weight: None,
                mode,
                state,
                role: None,
                server_ids: None,
            }),
        (name(), address(), at()).prop_map(|(service, address, at)| {
            Change::RemoveBackend {
                service,
                address,
                at,
            }
        }),
        prefixes().prop_map(Change::Block),
        prefixes().prop_map(Change::Unblock),
        (services, prefixes()).prop_map(|(services, blocklist)| {
            Change::Replace(Desired {
                services,
                blocklist,
            })
        }),
    ]
}

fn prefixes() -> impl Strategy<Value = BTreeSet<Prefix>> {
    let texts = [
        "203.0.113.0/24",
        "203.0.113.0/25",
        "203.0.113.7/32",
        "198.51.100.0/24",
        "2001:db8::/32",
        "2001:db8:1::/48",
        "::ffff:10.0.0.1/128",
    ];
    let prefixes = texts.map(|text| text.parse().unwrap()).to_vec();
    prop::collection::btree_set(prop::sample::select(prefixes), 0..3)
}

proptest! {
    #[test]
    fn no_change_leaves_anything_invalid_and_refused_ones_change_nothing(
        changes in prop::collection::vec(any_change(), 1..30),
    ) {
        let mut desired = desired();
        for change in changes {
            let before = desired.clone();
            if let Err(refusal) = desired.apply(change) {
                prop_assert_eq!(&desired, &before, "refused with: {}", refusal);
            }
            prop_assert_eq!(desired.check(), []);
        }
    }
}
