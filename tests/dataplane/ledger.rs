//! Every packet is counted in the ledger of the interface that it came in by, and in no other.

use lb_common::{interface::Interface, outcome::Outcome};
use lb_tests::{kernel, object::Form, packet::Packet};

use crate::{
    SETTINGS,
    family::{Family, tcp, udp},
    member::{PORT_EMPTY, PORT_L2_FRONT, Side},
    world::{World, in_world},
};

/// Packets by outcome, in the ledger with this number.
fn counted(world: &World, ledger: u32, outcome: Outcome) -> u64 {
    world.object.ledger_of(ledger)[outcome as usize]
}

fn total(world: &World, ledger: u32) -> u64 {
    world.object.ledger_of(ledger).iter().sum()
}

fn answer(world: &World, packet: &Packet, ingress: u32) {
    let _ = world
        .object
        .answer(&packet.frame(), ingress, &mut Vec::new());
}

#[test]
fn packets_are_counted_for_the_interface_they_came_in_by() {
    if !kernel::is_5_15() {
        kernel::skipped("this kernel lets nobody choose a test frame's ingress interface");
        return;
    }
    in_world(SETTINGS, Form::Plain, |world| {
        world.renew();
        let [front, back, aside] =
            [Side::Front, Side::Back, Side::Aside].map(|side| world.index(side));
        world.object.give_ledger(front, 1);
        world.object.give_ledger(back, Interface::LEDGERS - 1);
        for family in Family::BOTH {
            for ingress in [front, back, aside, back] {
                answer(world, &tcp(family, PORT_L2_FRONT), ingress);
                answer(world, &udp(family, PORT_EMPTY), ingress);
            }
        }
        for (ledger, twice) in [
            (1, 1),
            (Interface::LEDGERS - 1, 2),
            (Interface::OTHER, 1),
            (2, 0),
        ] {
            assert_eq!(total(world, ledger), 4 * twice, "ledger {ledger}");
            let dropped = counted(world, ledger, Outcome::NoBackend);
            assert_eq!(dropped, 2 * twice, "ledger {ledger}");
        }
    });
}

#[test]
fn an_interface_that_shares_an_element_is_not_taken_for_its_owner() {
    if !kernel::is_5_15() {
        kernel::skipped("this kernel lets nobody choose a test frame's ingress interface");
        return;
    }
    in_world(SETTINGS, Form::Plain, |world| {
        world.renew();
        let front = world.index(Side::Front);
        world.object.give_ledger(front + Interface::ELEMENTS, 1);
        answer(world, &tcp(Family::V4, PORT_L2_FRONT), front);
        assert_eq!((total(world, 1), total(world, Interface::OTHER)), (0, 1));
    });
}
