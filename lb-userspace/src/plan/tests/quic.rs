//! QUIC server ids: who has which, and when the map is told.

use super::{
    super::Shortage,
    lab::{Lab, service, words},
};
use crate::{
    dataplane::{Capacity, ServerEntry},
    model::{AdminState, Health, Mode, QuicConfig, QuicLb, ServerId, Service},
};

const VIP: &str = "192.0.2.1:443/udp";
const TCP: &str = "192.0.2.1:443/tcp";
const ONE: &str = "10.0.0.1:443";
const TWO: &str = "10.0.0.2:443";

fn quic_lb(configs: &[(u32, u32)]) -> QuicLb {
    let config = |&(id, length): &(u32, u32)| {
        let config = QuicConfig {
            server_id_length: length.try_into().unwrap(),
            first_octet_encodes_cid_length: id % 2 == 1,
        };
        (id.try_into().unwrap(), config)
    };
    configs.iter().map(config).collect()
}

/// Two backends with server ids of one byte, which are read, and of two, which are not.
fn web() -> Service {
    let mut web = service("web", &[VIP, TCP], &[ONE, TWO]);
    web.quic_lb = quic_lb(&[(0, 1)]);
    for (number, backend) in (1..).zip(web.backends.values_mut()) {
        let ids = [format!("0{number}"), format!("0{number}ff")];
        backend.server_ids = ids.iter().map(|id| id.parse().unwrap()).collect();
    }
    web
}

/// Server ids in the map, with the address of the backend that has them.
fn named(lab: &Lab) -> Vec<(String, String)> {
    let actual = &lab.memory.actual;
    let servers = actual.servers.iter();
    let named = servers.map(
        |(
            key,
            ServerEntry {
                backend,
                generation,
            },
        )| {
            let entry = actual.backends[backend];
            assert_eq!(
                (key.service, *generation),
                (entry.service, entry.generation)
            );
            (key.id.to_string(), entry.address.to_string())
        },
    );
    named.collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = |(id, address): &(&str, &str)| ((*id).to_owned(), (*address).to_owned());
    expected.iter().map(own).collect()
}

#[test]
fn server_ids_come_after_backends_and_before_the_vips_that_read_them() {
    let plan = Lab::new([web()]).plan();
    let publish = [
        "allow redirects to interface 3",
        "write backend 10.0.0.1:443 as number 1",
        "write backend 10.0.0.2:443 as number 2",
        "give server id 01 to backend number 1",
        "give server id 02 to backend number 2",
        "write a table of 1021 slots at 0",
        "publish 192.0.2.1:443/tcp with 1021 slots",
        "publish 192.0.2.1:443/udp with 1021 slots",
    ];
    assert_eq!(words(&plan.publish), publish);
}

#[test]
fn only_udp_vips_read_connection_ids() {
    let lab = Lab::published([web()]);
    assert_eq!(lab.vip(VIP).quic_lb, quic_lb(&[(0, 1)]));
    assert!(lab.vip(TCP).quic_lb.is_empty());
}

#[test]
fn a_rotation_to_longer_server_ids_takes_the_old_ones_away_last() {
    let mut lab = Lab::published([web()]);
    lab.service_mut("web").quic_lb = quic_lb(&[(0, 1), (1, 2)]);
    let publish = [
        "give server id 01ff to backend number 1",
        "give server id 02ff to backend number 2",
        "publish 192.0.2.1:443/udp with 1021 slots",
    ];
    assert_eq!(words(&lab.settle().publish), publish);
    lab.service_mut("web").quic_lb = quic_lb(&[(1, 2)]);
    let publish = [
        "publish 192.0.2.1:443/udp with 1021 slots",
        "take server id 01 away",
        "take server id 02 away",
    ];
    assert_eq!(words(&lab.settle().publish), publish);
    assert_eq!(named(&lab), pairs(&[("01ff", ONE), ("02ff", TWO)]));
    assert!(lab.plan().is_empty());
}

#[test]
fn backends_that_take_no_new_flows_keep_their_server_ids() {
    let mut lab = Lab::published([web()]);
    lab.backend_mut("web", ONE).state = AdminState::Drain;
    lab.set_health("web", TWO, Health::Down);
    lab.settle();
    assert_eq!(named(&lab), pairs(&[("01", ONE), ("02", TWO)]));
}

#[test]
fn a_server_id_follows_its_backend_to_another_number() {
    let mut lab = Lab::published([web()]);
    lab.backend_mut("web", ONE).mode = Mode::Gue;
    lab.sources.tunnel.v4 = Some("10.99.0.0/16".parse().unwrap());
    lab.settle();
    assert_eq!(named(&lab), pairs(&[("01", ONE), ("02", TWO)]));
}

#[test]
fn a_server_id_moves_in_one_step_and_goes_with_its_backend() {
    let mut lab = Lab::published([web()]);
    let id = "01".parse().unwrap();
    lab.backend_mut("web", ONE).server_ids.remove(&id);
    lab.backend_mut("web", TWO).server_ids.insert(id);
    let publish = ["give server id 01 to backend number 2"];
    assert_eq!(words(&lab.settle().publish), publish);
    let address = TWO.parse().unwrap();
    lab.service_mut("web").backends.remove(&address);
    lab.settle();
    assert_eq!(named(&lab), []);
}

#[test]
fn a_new_process_finds_the_server_ids_and_has_nothing_to_do() {
    let mut lab = Lab::published([web()]);
    lab.memory = std::mem::take(&mut lab.memory).restarted();
    assert!(lab.plan().is_empty());
}

#[test]
fn server_ids_that_do_not_fit_are_a_shortage_and_those_that_are_there_stay() {
    let mut lab = Lab::sized(Capacity {
        backends: 3,
        ..Capacity::default()
    });
    lab.want(web());
    lab.settle();
    let ids = (0x10..0x15_u8).map(|byte| ServerId::new(&[byte]).unwrap());
    lab.backend_mut("web", ONE).server_ids.extend(ids);
    let plan = lab.plan();
    let shortage = Shortage::ServerIds {
        wanted: 7,
        capacity: 6,
    };
    assert_eq!(plan.shortages, [shortage]);
    lab.run(&plan.publish).unwrap();
    assert_eq!(named(&lab).len(), 6);
    assert!(named(&lab).contains(&("02".to_owned(), TWO.to_owned())));
}

#[test]
fn server_ids_that_are_all_replaced_make_room_for_each_other() {
    let mut lab = Lab::sized(Capacity {
        backends: 2,
        ..Capacity::default()
    });
    let mut one = service("web", &[VIP], &[ONE]);
    one.quic_lb = quic_lb(&[(0, 1)]);
    lab.want(one);
    for ids in [["01", "02", "03", "04"], ["11", "12", "13", "14"]] {
        let ids = ids.iter().map(|id| id.parse().unwrap());
        lab.backend_mut("web", ONE).server_ids = ids.collect();
        lab.settle();
        assert_eq!(named(&lab).len(), 4);
    }
}
