//! Packets of ever new flows, and what becomes of the flows that are remembered meanwhile.

use lb_common::settings::Settings;
use lb_tests::{
    kernel,
    object::{Action, Form},
    packet::Flags,
};

use crate::{
    family::{Family, tcp, udp},
    member::{FIRST, PORT_CHANGING, SECOND, Side},
    world::{World, in_world},
};

/// Flows that have gone on: half of what the tables of the tests hold.
const LIVE: u16 = 500;
/// New flows, of one packet each: many times what the tables hold.
const FLOOD: u16 = 30_000;

/// The packet of a flow from `port`.
fn frame(family: Family, port: u16, flags: Flags, is_tcp: bool) -> Vec<u8> {
    let packet = if is_tcp {
        tcp(family, PORT_CHANGING).flags(flags)
    } else {
        udp(family, PORT_CHANGING)
    };
    let source = packet.source.ip();
    packet.from((source, port).into()).frame()
}

/// Where the segment of a flow from `port` goes.
fn goes_to(world: &mut World, family: Family, port: u16, flags: Flags) -> u32 {
    let ingress = world.index(Side::Front);
    let ran = world.object.run(&frame(family, port, flags, true), ingress);
    ran.backend.expect("a backend").0
}

#[test]
fn flows_that_go_on_stay_in_memory_under_a_flood_of_new_ones() {
    if !kernel::is_5_15() {
        kernel::skipped(
            "this kernel lets nobody choose a test frame's ingress interface (5.15 does)",
        );
        return;
    }
    for family in Family::BOTH {
        in_world(Settings::DEFAULT, Form::Plain, |world| {
            world.renew();
            let live = 1_000..1_000 + LIVE;
            for port in live.clone() {
                for flags in [Flags::SYN, Flags::ACK] {
                    assert_eq!(goes_to(world, family, port, flags), FIRST.id);
                }
            }
            assert_eq!(world.object.fresh_flows(), 0, "all have gone on");
            let before = world.object.flows();
            assert_eq!(before, usize::from(LIVE));
            let (ingress, mut out) = (world.index(Side::Front), Vec::new());
            for (number, port) in (30_000..30_000 + FLOOD).enumerate() {
                let frame = frame(family, port, Flags::SYN, number % 2 == 0);
                let action = world.object.answer(&frame, ingress, &mut out);
                assert_eq!(action, Action::Transmit);
            }
            let fresh = world.object.fresh_flows();
            assert!((1..=1_024).contains(&fresh), "{fresh} of {FLOOD}: bounded");
            assert_eq!(world.object.flows() - fresh, before, "none was pushed out");
            world.serve(family, PORT_CHANGING, SECOND.id);
            for port in live {
                assert_eq!(goes_to(world, family, port, Flags::ACK), FIRST.id);
            }
        });
    }
}
