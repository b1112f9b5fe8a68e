//! VIPs that are prefixes: every address of one is a VIP address.

use lb_common::outcome::Outcome;
use lb_tests::{object::Action, packet::Packet};

use super::{cut, echo, fragment::pieces, icmp_error, reply::seen_by_client};
use crate::{
    family::{Family, sctp, tcp, udp},
    member::{
        FIRST, L2_BACK, L2_FRONT, Member, NAT_BACK, PORT_L2_BACK, PORT_L2_FRONT, PORT_LOCAL,
        PORT_NAT_BACK, PORT_UNMATCHED, SECOND, Side, of,
    },
    row::{Row, row},
    world::{OWN_ANY_PORT, OWN_PORT},
};

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for family in Family::BOTH {
        rows.extend(edges(family));
        rows.extend(precedence(family));
        rows.extend(both_ways(family));
        rows.extend(not_balanced(family));
    }
    rows
}

/// `packet` to the first address of a part of the prefix, the port as it is.
fn to(packet: &Packet, (family, part): (Family, u8)) -> Packet {
    let mut packet = packet.clone();
    packet.destination.set_ip(family.in_prefix(part));
    packet
}

fn edges(family: Family) -> Vec<Row> {
    let last = (family.last_in_prefix(), PORT_L2_FRONT).into();
    let mut rows = Vec::new();
    for (name, packet) in [
        ("tcp", tcp(family, PORT_L2_FRONT)),
        ("udp", udp(family, PORT_L2_FRONT)),
        ("sctp", sctp(family, PORT_L2_FRONT)),
    ] {
        let within = [0, 3, 7, 14].map(|part| to(&packet, (family, part)));
        let first = row(format!("{family:?}: {name} to addresses of a prefix"));
        rows.push(
            within
                .into_iter()
                .chain([packet.clone().to(last)])
                .fold(first, |row, packet| {
                    row.transmits(&packet, &L2_FRONT.receives(&packet))
                })
                .remembers(5, 0),
        );
        let around = family.around_prefix();
        rows.push(around.into_iter().fold(
            row(format!("{family:?}: {name} to addresses around a prefix")),
            |row, address| {
                let packet = packet.clone().to((address, PORT_L2_FRONT).into());
                row.passes(&packet, Outcome::NotVip)
            },
        ));
    }
    rows
}

/// Which of several VIPs of an address takes a packet.
fn precedence(family: Family) -> Vec<Row> {
    let reaches = |name: &str, packet: Packet, member: Member| {
        let row = row(format!("{family:?}: {name}"));
        let out = member.receives(&packet);
        if member.side == Side::Front {
            row.transmits(&packet, &out)
        } else {
            row.redirects(&packet, &out)
        }
    };
    let tcp = |port, part| to(&tcp(family, port), (family, part));
    let udp = |port, part| to(&udp(family, port), (family, part));
    let nat = of(family, NAT_BACK);
    vec![
        reaches(
            "a prefix of every port takes what no port of it takes",
            udp(PORT_UNMATCHED, 3),
            L2_BACK,
        ),
        reaches(
            "a port of a prefix comes before every port of it",
            udp(PORT_NAT_BACK, 3),
            nat,
        ),
        reaches(
            "a vip of one address comes before the prefix",
            tcp(PORT_L2_FRONT, OWN_PORT),
            FIRST,
        ),
        reaches(
            "a vip of one address leaves other ports to the prefix",
            tcp(PORT_NAT_BACK, OWN_PORT),
            nat,
        ),
        reaches(
            "a vip of one address and every port leaves none to the prefix",
            tcp(PORT_NAT_BACK, OWN_ANY_PORT),
            SECOND,
        ),
        reaches("a prefix in a prefix", tcp(PORT_L2_BACK, 9), L2_BACK),
        row(format!("{family:?}: the longest prefix rules alone"))
            .passes(&tcp(PORT_L2_FRONT, 9), Outcome::Unmatched)
            .passes(&udp(PORT_UNMATCHED, 9), Outcome::Unmatched),
        row(format!("{family:?}: a prefix that a longer one is in"))
            .passes(&tcp(PORT_L2_BACK, 3), Outcome::Unmatched),
    ]
}

/// Replies, errors and fragments have the very address that the client used.
fn both_ways(family: Family) -> Vec<Row> {
    let nat = of(family, NAT_BACK);
    let requests = [3, 15].map(|part| {
        let packet = to(&tcp(family, PORT_NAT_BACK), (family, part));
        let source = (family.client(), 40_000 + u16::from(part)).into();
        packet.from(source)
    });
    let asked = requests.iter().fold(
        row(format!(
            "{family:?}: nat replies come from each address of a prefix"
        )),
        |row, request| row.redirects(request, &nat.receives(request)),
    );
    let replied = requests.iter().fold(asked, |row, request| {
        let reply = nat.replies_to(request);
        let seen = seen_by_client(&reply, request);
        row.answers(
            Side::Back,
            &reply,
            Outcome::Replied,
            Action::Redirect,
            Some(&seen),
        )
    });
    let l2 = to(&tcp(family, PORT_L2_FRONT), (family, 5));
    let error = icmp_error::about(family.router(), &l2);
    let whole = to(&udp(family, PORT_L2_FRONT), (family, 6)).payload(vec![0x5a; 200]);
    let fragments = pieces(&whole, 64).into_iter().fold(
        row(format!("{family:?}: fragments to an address of a prefix")),
        |row, piece| row.transmits_bytes(&piece, L2_FRONT.receives(&piece).frame()),
    );
    vec![
        replied.remembers(2, 2),
        row(format!("{family:?}: an error to an address of a prefix"))
            .transmits(&error, &L2_FRONT.receives(&error)),
        fragments,
        row(format!(
            "{family:?}: local delivery to an address of a prefix"
        ))
        .passes(&to(&tcp(family, PORT_LOCAL), (family, 4)), Outcome::Local),
    ]
}

/// What becomes of the rest is what becomes of it at any VIP address.
fn not_balanced(family: Family) -> Vec<Row> {
    let echo = echo::request(family, b"0123456789abcdef");
    let echo = echo::checked(&to(&echo, (family, 7)));
    let segment = to(&tcp(family, PORT_L2_FRONT), (family, 7));
    let within = |part| (family.in_prefix(part), 40_000).into();
    let from_another = segment.clone().from(within(5));
    let transport = segment.layers().transport;
    vec![
        row(format!("{family:?}: a free port of a prefix")).passes(
            &to(&tcp(family, PORT_UNMATCHED), (family, 7)),
            Outcome::Unmatched,
        ),
        echo::answered(
            format!("{family:?}: echo to an address of a prefix"),
            family,
            &echo,
        ),
        row(format!("{family:?}: an address of a prefix to itself"))
            .drops(&segment.clone().from(within(7)), Outcome::BadSource),
        row(format!("{family:?}: an address of a prefix to another"))
            .transmits(&from_another, &L2_FRONT.receives(&from_another)),
        row(format!(
            "{family:?}: a cut segment to an address of a prefix"
        ))
        .drops(&cut(segment.frame(), transport + 3), Outcome::Truncated),
        row(format!(
            "{family:?}: the last hop to an address of a prefix"
        ))
        .drops(&segment.clone().ttl(1), Outcome::TtlExceeded),
    ]
}

/// With `drop_unmatched` set.
pub(crate) fn dropped() -> Vec<Row> {
    Family::BOTH
        .map(|family| {
            let packet = to(&tcp(family, PORT_UNMATCHED), (family, 7));
            row(format!("{family:?}: a free port of a prefix, dropped"))
                .drops(&packet, Outcome::UnmatchedDropped)
        })
        .into()
}
