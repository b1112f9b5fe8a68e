//! Regions of the arena, and what is said when the maps are too small.

use super::{
    super::{NotServing, Serving, Shortage},
    lab::{Lab, backend, service, serving, target, words},
};
use crate::{
    dataplane::{Capacity, Region},
    model::{AdminState, TableSlots},
};

const VIP: &str = "192.0.2.1:80/tcp";
const OTHER: &str = "192.0.2.2:80/tcp";
const ONE: &str = "10.0.0.1:80";
const TWO: &str = "10.0.0.2:80";

/// The room that one small table takes.
const TABLE: u32 = 1_024;

fn sized(slots: u32, backends: u32, vips: u32) -> Lab {
    Lab::sized(Capacity {
        slots,
        backends,
        vips,
        ..Capacity::default()
    })
}

#[test]
fn a_table_of_another_size_goes_to_another_region() {
    let mut lab = Lab::published([service("web", &[VIP], &[ONE])]);
    lab.service_mut("web").table_slots = TableSlots::Fixed(4_093);
    let plan = lab.settle();
    let publish = [
        "write a table of 4093 slots at 1024",
        "publish 192.0.2.1:80/tcp with 4093 slots",
    ];
    assert_eq!(words(&plan.publish), publish);
}

#[test]
fn a_replaced_region_is_not_written_again_before_a_grace_period() {
    let mut lab = sized(2 * TABLE, 16, 16);
    lab.want(service("web", &[VIP], &[ONE, TWO]));
    lab.settle();
    lab.backend_mut("web", ONE).state = AdminState::Drain;
    lab.settle();
    assert_eq!(lab.vip(VIP).region.offset, TABLE);
    lab.backend_mut("web", ONE).state = AdminState::Up;
    let plan = lab.settle();
    let publish = [
        "wait for packets under way",
        "write a table of 1021 slots at 0",
        "publish 192.0.2.1:80/tcp with 1021 slots",
    ];
    assert_eq!(words(&plan.publish), publish);
}

#[test]
fn a_full_arena_is_a_shortage_and_the_old_table_stays() {
    let mut lab = sized(TABLE, 16, 16);
    lab.want(service("web", &[VIP], &[ONE, TWO]));
    lab.settle();
    lab.backend_mut("web", ONE).state = AdminState::Drain;
    let plan = lab.plan();
    let shortage = Shortage::Slots {
        service: "web".to_owned(),
        slots: 1_021,
        capacity: TABLE,
    };
    assert_eq!(plan.shortages, [shortage]);
    assert_eq!(
        plan.shortages[0].to_string(),
        "no room for a table of 1021 slots for service web among 1024: raise max_slots or choose smaller tables"
    );
    assert_eq!(plan.publish, []);
    assert_eq!(lab.served_by(VIP), [ONE, TWO]);
}

#[test]
fn a_service_that_finds_no_room_leaves_room_for_smaller_ones() {
    let mut lab = sized(TABLE, 16, 16);
    let mut large = service("a", &[VIP], &[ONE]);
    large.table_slots = TableSlots::Fixed(4_093);
    lab.want(large);
    lab.want(service("b", &[OTHER], &[TWO]));
    let plan = lab.plan();
    assert_eq!(plan.shortages.len(), 1);
    lab.run(&plan.publish).unwrap();
    assert_eq!(
        lab.vip(OTHER).region,
        Region {
            offset: 0,
            slots: 1_021
        }
    );
    assert_eq!(lab.memory.actual.vips.len(), 1);
}

#[test]
fn too_few_backend_numbers_are_a_shortage_for_those_who_got_none() {
    let mut lab = sized(4 * TABLE, 2, 16);
    lab.want(service("web", &[VIP], &[ONE, TWO]));
    let plan = lab.plan();
    let shortage = Shortage::Backends {
        target: target("web", TWO),
        capacity: 2,
    };
    assert_eq!(plan.shortages, [shortage]);
    assert_eq!(
        plan.shortages[0].to_string(),
        "no number left for backend 10.0.0.2:80 of service web: there are 2, raise max_backends"
    );
    assert_eq!(*serving(&plan, "web", TWO), Serving::No(NotServing::NoRoom));
    lab.run(&plan.publish).unwrap();
    assert_eq!(lab.served_by(VIP), [ONE]);
}

#[test]
fn a_backend_takes_the_number_of_another_only_after_the_clean_up() {
    let mut lab = sized(4 * TABLE, 2, 16);
    lab.want(service("web", &[VIP], &[ONE]));
    lab.settle();
    lab.want(service("web", &[VIP], &[TWO]));
    let plan = lab.plan();
    assert_eq!(plan.shortages.len(), 1);
    lab.run(&plan.publish).unwrap();
    lab.run(&plan.clean).unwrap();
    lab.settle();
    assert_eq!(lab.served_by(VIP), [TWO]);
}

#[test]
fn vips_and_their_addresses_count_by_ip_version() {
    let full = ["192.0.2.1:80/tcp", "192.0.2.1:443/tcp", "192.0.2.1:443/udp"];
    let mut lab = sized(4 * TABLE, 16, 4);
    lab.want(service("web", &full, &[ONE]));
    let v6 = [
        "[2001:db8::1]:80/tcp",
        "[2001:db8::1]:443/tcp",
        "[2001:db8::1]:443/udp",
    ];
    lab.want(service("web6", &v6, &[TWO]));
    lab.settle();
    lab.want(service("more", &["192.0.2.1:53/udp"], &[TWO]));
    let plan = lab.plan();
    let shortage = Shortage::Vips {
        wanted: 5,
        capacity: 4,
    };
    assert_eq!(plan.shortages, [shortage]);
    assert_eq!(
        plan.shortages[0].to_string(),
        "5 VIPs and addresses of one IP version are wanted, 4 fit: raise max_vips"
    );
}

#[test]
fn a_prefix_takes_no_room_among_the_addresses() {
    let full = [
        "203.0.113.0/28:80/tcp",
        "203.0.113.0/28:443/tcp",
        "203.0.113.64/28:80/tcp",
        "203.0.113.0/28:443/udp",
    ];
    let mut lab = sized(4 * TABLE, 16, 4);
    lab.want(service("web", &full, &[ONE]));
    lab.settle();
    lab.want(service("more", &["203.0.113.128/28:80/tcp"], &[TWO]));
    let shortage = Shortage::Vips {
        wanted: 5,
        capacity: 4,
    };
    assert_eq!(lab.plan().shortages, [shortage]);
}

#[test]
fn vips_that_do_not_fit_are_left_out_and_those_that_are_there_stay() {
    let mut lab = sized(4 * TABLE, 16, 4);
    lab.want(service("web", &[VIP], &[ONE]));
    lab.settle();
    let more = ["192.0.2.3:80/tcp", "192.0.2.4:80/tcp"];
    lab.want(service("more", &more, &[TWO]));
    let plan = lab.plan();
    assert_eq!(plan.shortages.len(), 1);
    lab.run(&plan.publish).unwrap();
    lab.run(&plan.clean).unwrap();
    assert_eq!(lab.served_by(VIP), [ONE]);
    assert_eq!(lab.served_by("192.0.2.3:80/tcp"), [TWO]);
    assert_eq!(lab.plan().publish, []);
}

#[test]
fn vips_that_fit_only_in_place_of_others_come_after_those_are_gone() {
    let mut lab = sized(4 * TABLE, 16, 4);
    lab.want(service("web", &[VIP, OTHER], &[ONE]));
    lab.settle();
    let (third, fourth) = ("192.0.2.3:80/tcp", "192.0.2.4:80/tcp");
    lab.want(service("web", &[third, fourth], &[ONE]));
    let plan = lab.settle();
    let publish = [
        "write a table of 1021 slots at 1024",
        "take 192.0.2.1:80/tcp away",
        "take 192.0.2.2:80/tcp away",
        "publish 192.0.2.3:80/tcp with 1021 slots",
        "publish 192.0.2.4:80/tcp with 1021 slots",
    ];
    assert_eq!(words(&plan.publish), publish);
    assert_eq!(lab.served_by(third), [ONE]);
    assert_eq!(lab.served_by(fourth), [ONE]);
    assert_eq!(lab.memory.actual.vips.len(), 2);
}

#[test]
fn backends_without_a_next_hop_count_for_the_room_they_will_need() {
    let mut lab = sized(4 * TABLE, 2, 16);
    lab.want(service("web", &[VIP], &[ONE]));
    let two = backend(TWO);
    lab.service_mut("web").backends.insert(two.address, two);
    assert_eq!(
        lab.plan().shortages,
        [Shortage::TooManyBackends {
            wanted: 2,
            capacity: 2
        }]
    );
}

#[test]
fn more_services_than_there_are_numbers_are_a_shortage() {
    let mut lab = sized(TABLE, 16, 1 << 18);
    let wanted = usize::from(u16::MAX) + 1;
    for number in 0..wanted {
        let vip = format!("10.{}.{}.1:80/tcp", number >> 8, number & 0xff);
        lab.want(service(&format!("s{number}"), &[&vip], &[]));
    }
    let plan = lab.plan();
    assert_eq!(plan.shortages, [Shortage::Services { wanted }]);
    let said = plan.shortages[0].to_string();
    assert!(
        said.contains("65536 services") && said.contains("65535"),
        "{said}"
    );
    lab.drop_service("s0");
    assert_eq!(lab.plan().shortages, []);
}
