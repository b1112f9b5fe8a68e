//! QUIC-LB configurations and server ids: what may be wanted together, and in which order it may be changed.

use super::*;
use crate::model::QuicConfig;

const ONE: &str = "10.0.0.11:443";
const TWO: &str = "10.0.0.12:443";

/// `web` over QUIC with two backends, without server ids.
fn quic() -> Desired {
    let mut desired = Desired::default();
    let service = service("web", "192.0.2.10:443/udp", &[ONE, TWO]);
    desired.apply(Change::AddService(service)).unwrap();
    desired
}

/// Configurations, by number and length of their server ids.
fn configs(configs: &[(u32, u32)]) -> Change {
    let config = |&(id, length): &(u32, u32)| {
        let config = QuicConfig {
            server_id_length: length.try_into().unwrap(),
            first_octet_encodes_cid_length: false,
        };
        (id.try_into().unwrap(), config)
    };
    let quic_lb: QuicLb = configs.iter().map(config).collect();
    let mut change = update("web");
    if let Change::UpdateService {
        quic_lb: wanted, ..
    } = &mut change
    {
        *wanted = Some(quic_lb);
    }
    change
}

fn ids(backend: &str, ids: &[&str]) -> Change {
    let ids = ids.iter().map(|id| id.parse().unwrap());
    Change::UpdateBackend {
        role: None,
        service: name("web"),
        address: address(backend),
        weight: None,
        mode: None,
        state: None,
        server_ids: Some(ids.collect()),
    }
}

#[test]
fn a_configuration_needs_a_server_id_of_every_backend() {
    let mut desired = quic();
    desired.apply(ids(ONE, &["0a0b"])).unwrap();
    let words = "backend 10.0.0.12:443 has no server id of 2 bytes, which config 3";
    assert_refused(&desired, configs(&[(3, 2)]), RefusalKind::Invalid, words);
    desired.apply(ids(TWO, &["0a0c"])).unwrap();
    desired.apply(configs(&[(3, 2)])).unwrap();
    let new = add("web", backend("10.0.0.13:443", Mode::Nat));
    assert_refused(
        &desired,
        new,
        RefusalKind::Invalid,
        "10.0.0.13:443 has no server id",
    );
    assert_refused(
        &desired,
        ids(ONE, &[]),
        RefusalKind::Invalid,
        "no server id of 2 bytes",
    );
}

#[test]
fn a_server_id_has_one_backend_in_a_service_and_may_have_others_in_others() {
    let mut desired = quic();
    desired.apply(ids(ONE, &["0a0b", "01"])).unwrap();
    let words = "server id 01 is that of backend 10.0.0.11:443 already";
    assert_refused(&desired, ids(TWO, &["01"]), RefusalKind::Invalid, words);
    let other = service("dns", "192.0.2.10:53/udp", &[ONE]);
    desired.apply(Change::AddService(other)).unwrap();
    let mut same = ids(ONE, &["01"]);
    if let Change::UpdateBackend { service, .. } = &mut same {
        *service = name("dns");
    }
    desired.apply(same).unwrap();
}

#[test]
fn a_longer_server_id_is_rotated_in_while_the_shorter_one_is_still_read() {
    let mut desired = quic();
    for (backend, short) in [(ONE, "0a"), (TWO, "0b")] {
        desired.apply(ids(backend, &[short])).unwrap();
    }
    desired.apply(configs(&[(0, 1)])).unwrap();
    let early = configs(&[(0, 1), (1, 3)]);
    assert_refused(&desired, early.clone(), RefusalKind::Invalid, "of 3 bytes");
    for (backend, short, long) in [(ONE, "0a", "0a0000"), (TWO, "0b", "0b0000")] {
        desired.apply(ids(backend, &[short, long])).unwrap();
    }
    desired.apply(early).unwrap();
    desired.apply(configs(&[(1, 3)])).unwrap();
    desired.apply(ids(ONE, &["0a0000"])).unwrap();
}

#[test]
fn configurations_need_a_udp_vip() {
    let desired = desired();
    let words = "no VIP of the service is UDP";
    let refused = configs(&[(0, 1)]);
    assert_refused(&desired, refused, RefusalKind::Invalid, words);
}
