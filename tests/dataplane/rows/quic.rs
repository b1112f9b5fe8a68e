//! QUIC: packets whose connection id names a server, and what becomes of those whose id names none (QUIC-LB,
//! draft-ietf-quic-load-balancers, sections 4 and 5).
//!
//! The table of the service names [`FIRST`] alone: what goes there has chosen as every other packet does.

mod unroutable;

use lb_common::outcome::Outcome;
use lb_tests::{
    object::Action,
    packet::{CUSTOMER_TAG, Extension, Message, PROVIDER_TAG, Packet, ROUTER_ALERT},
    quic::{Low, connection_id, long_header, short_header},
};

use super::{reply::seen_by_client, tunnel::leaves};
use crate::{
    family::{Family, udp},
    member::{
        FIRST, L2_BACK, LOCAL, Member, NAT_BACK, PORT_L2_FRONT, PORT_QUIC, PORT_QUIC_EMPTY, SECOND,
        Side, TUNNELS, of,
    },
    row::{Row, row},
    world::{QUIC_CONFIGS, World, server_id},
};

/// A connection id of the configuration `config` that names `member`.
fn id(config: u8, member: Member) -> Vec<u8> {
    let (_, length, encodes_length) = QUIC_CONFIGS
        .into_iter()
        .find(|(number, ..)| *number == config)
        .expect("a configuration in use");
    let low = if encodes_length {
        Low::Length
    } else {
        Low::Random(0x1d)
    };
    connection_id(config, low, &server_id(member, length), &[9, 8, 7, 6])
}

/// A client's packet of these bytes to the service.
fn quic(family: Family, bytes: Vec<u8>) -> Packet {
    udp(family, PORT_QUIC).payload(bytes)
}

/// An Initial of a client that has no id from a server yet: unroutable.
fn initial(family: Family) -> Packet {
    quic(family, long_header(&[0xff; 8]))
}

/// The packet from another port of the client.
fn rebound(packet: &Packet) -> Packet {
    let source = packet.source;
    packet.clone().from((source.ip(), source.port() + 1).into())
}

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for family in Family::BOTH {
        rows.extend(routed(family));
        rows.extend(modes(family));
        rows.extend(flows(family));
        rows.extend(unroutable::rows(family));
    }
    rows
}

/// Every configuration, every header, whatever stands before.
fn routed(family: Family) -> Vec<Row> {
    let goes = |name: String, packet: &Packet| {
        row(format!("{family:?} quic: {name}")).transmits(packet, &SECOND.receives(packet))
    };
    let mut rows = Vec::new();
    for (config, ..) in QUIC_CONFIGS {
        let id = id(config, SECOND);
        for (header, bytes) in [("long", long_header(&id)), ("short", short_header(&id))] {
            let name = format!("config {config}, {header} header");
            rows.push(goes(name, &quic(family, bytes)));
        }
        // Bytes of the server's own behind the nonce (section 5.4).
        let longer = [id.as_slice(), &[1, 2, 3]].concat();
        rows.push(goes(
            format!("config {config}, short header, a longer id"),
            &quic(family, short_header(&longer)),
        ));
    }
    let packet = quic(family, short_header(&id(0, SECOND)));
    let extended = match family {
        Family::V4 => packet.clone().options(&ROUTER_ALERT),
        Family::V6 => packet
            .clone()
            .extension(Extension::HopByHop { length: 0 })
            .extension(Extension::DestinationOptions { length: 1 }),
    };
    let tagged = packet.clone().tag(PROVIDER_TAG, 5).tag(CUSTOMER_TAG, 7);
    let last_bytes = &id(0, SECOND);
    let coalesced = [long_header(last_bytes), short_header(&id(0, L2_BACK))].concat();
    let mut future = long_header(last_bytes);
    future[1..5].copy_from_slice(&[0xba, 0xba, 0xba, 0xba]);
    let mut negotiation = long_header(last_bytes);
    negotiation[1..5].copy_from_slice(&[0; 4]);
    rows.extend([
        goes("options or extensions".to_owned(), &extended),
        goes("two tags".to_owned(), &tagged),
        goes(
            "two packets in a datagram go where the first goes".to_owned(),
            &quic(family, coalesced),
        ),
        goes(
            "a version that nobody knows".to_owned(),
            &quic(family, future),
        ),
        goes("version 0".to_owned(), &quic(family, negotiation)),
        goes(
            "nothing behind the nonce".to_owned(),
            &quic(family, [&[0x41], last_bytes.as_slice()].concat()),
        ),
    ]);
    rows
}

/// Named backends of every mode.
fn modes(family: Family) -> Vec<Row> {
    let name = |what: &str| format!("{family:?} quic: a named {what}");
    let to = |member| quic(family, short_header(&id(0, member)));
    let nat = of(family, NAT_BACK);
    let request = to(nat);
    let reply = nat.replies_to(&request);
    let seen = seen_by_client(&reply, &request);
    let other = of(family.other(), NAT_BACK);
    let mut rows = vec![
        row(name("backend behind")).redirects(&to(L2_BACK), &L2_BACK.receives(&to(L2_BACK))),
        row(name("backend is this host")).passes(&to(LOCAL), Outcome::Local),
        row(name("nat backend, and its reply"))
            .redirects(&request, &nat.receives(&request))
            .remembers(1, 1)
            .answers(
                Side::Back,
                &reply,
                Outcome::Replied,
                Action::Redirect,
                Some(&seen),
            ),
        row(name("nat backend on a flow to another, and its reply"))
            .transmits(&initial(family), &FIRST.receives(&initial(family)))
            .remembers(1, 0)
            .redirects(&request, &nat.receives(&request))
            .remembers(1, 1)
            .answers(
                Side::Back,
                &reply,
                Outcome::Replied,
                Action::Redirect,
                Some(&seen),
            ),
        row(name("nat backend of the other IP version"))
            .drops(&to(other), Outcome::UnsupportedMode),
    ];
    for tunnel in TUNNELS {
        let row = row(name(&format!("{tunnel:?}")));
        rows.push(leaves(row, tunnel, &to(tunnel)));
    }
    rows
}

/// The table has forgotten its only backend; the connection id has not.
fn disabled(world: &mut World) {
    world.put(SECOND, 1, lb_common::backend::Backend::INACTIVE);
}

/// Flows, which are remembered for the packets without an id that names a server.
fn flows(family: Family) -> Vec<Row> {
    let name = |what: &str| format!("{family:?} quic: {what}");
    let named = quic(family, short_header(&id(0, SECOND)));
    let unnamed = initial(family);
    let first = FIRST.receives(&unnamed);
    let stateless_reset = quic(family, short_header(&[0xe0; 24]));
    let moved = rebound(&named);
    let no_backend = |packet: &Packet| packet.clone().to((family.vip(), PORT_QUIC_EMPTY).into());
    let quoted = named
        .clone()
        .from(named.destination)
        .to(named.source)
        .ttl(3);
    let error = Packet::icmp(
        family.router(),
        quoted.source.ip(),
        Message::new(if family == Family::V4 { 3 } else { 1 }),
        &quoted.quote(8),
    );
    vec![
        row(name("an id is stronger than the flow, which stays"))
            .transmits(&unnamed, &first)
            .transmits(&named, &SECOND.receives(&named))
            .remembers(1, 0)
            .transmits(&unnamed, &first),
        row(name("a client that moves stays with its server"))
            .transmits(&unnamed, &first)
            .transmits(&named, &SECOND.receives(&named))
            .transmits(&moved, &SECOND.receives(&moved))
            .remembers(2, 0),
        row(name("packets without an id follow the flow"))
            .transmits(&named, &SECOND.receives(&named))
            .remembers(1, 0)
            .transmits(&stateless_reset, &SECOND.receives(&stateless_reset))
            .transmits(&unnamed, &SECOND.receives(&unnamed)),
        row(name("errors follow the flow"))
            .transmits(&named, &SECOND.receives(&named))
            .transmits(&error, &SECOND.receives(&error)),
        row(name(
            "errors about a flow that is not known choose by the table",
        ))
        .transmits(&error, &FIRST.receives(&error)),
        row(name("a flow whose server is gone begins anew with an id"))
            .transmits(&named, &SECOND.receives(&named))
            .then(disabled)
            .transmits(&named, &FIRST.receives(&named))
            .remembers(1, 0)
            .then(|world| world.put(SECOND, 1, 0))
            .transmits(&unnamed, &first)
            .transmits(&named, &SECOND.receives(&named)),
        row(name("a named server needs no table"))
            .drops(&no_backend(&unnamed), Outcome::NoBackend)
            .transmits(&no_backend(&named), &SECOND.receives(&no_backend(&named))),
        row(name("a service without configurations reads no ids")).transmits(
            &named.clone().to((family.vip(), PORT_L2_FRONT).into()),
            &crate::member::L2_FRONT
                .receives(&named.clone().to((family.vip(), PORT_L2_FRONT).into())),
        ),
    ]
}
