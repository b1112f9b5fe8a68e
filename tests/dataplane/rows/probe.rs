//! Probes that go the way of clients' packets: out by every mode that leaves packets the VIP's, and back.

use lb_common::{backend::Mode, outcome::Outcome, path};
use lb_tests::{
    object::Action,
    packet::{CUSTOMER_TAG, Flags, Packet},
};

use super::{cut, fragment::pieces, icmp_error::error, tunnel::encapsulated};
use crate::{
    family::{Family, sctp, tcp, udp},
    member::{FIRST, GONE, L2_BACK, L2_FRONT, Member, NO_DEVICE, Side, TAGGED, TUNNELS},
    row::{Frame, Row, row},
};

const PORT: u16 = 8_443;
const OWN_PORT: u16 = 41_000;

/// `packet` as a probe's socket sends it to the alias of `member`.
fn probe(family: Family, member: Member, packet: Packet) -> Packet {
    packet
        .from((family.prober(), OWN_PORT).into())
        .to((family.alias(member), PORT).into())
        .macs(path::MAC, path::MAC)
}

/// The same as the client's packet that it becomes.
fn translated(family: Family, probe: &Packet) -> Packet {
    probe
        .clone()
        .from((family.own(), OWN_PORT).into())
        .to((family.vip(), PORT).into())
}

/// What the backend answers to it, with the MAC addresses of its link.
fn answer(family: Family, member: Member, packet: Packet) -> Packet {
    packet
        .from((family.vip(), PORT).into())
        .to((family.own(), OWN_PORT).into())
        .macs(member.mac(), member.egress_mac())
}

/// The answer as it reaches the interface of probes.
fn returned(family: Family, member: Member, answer: &Packet) -> Packet {
    let mut back = answer
        .clone()
        .from((family.alias(member), PORT).into())
        .to((family.prober(), OWN_PORT).into())
        .macs(path::MAC, path::MAC)
        .ttl(answer.ttl - 1);
    back.tags.clear();
    back
}

impl Row {
    /// `frame` goes from the interface of probes to `member`.
    fn probes(self, family: Family, member: Member, probe: &Packet) -> Self {
        let inside = translated(family, probe);
        let out = match member.mode {
            Mode::L2 => member.receives(&inside).frame(),
            _ => encapsulated(member, &inside, &inside.frame()),
        };
        let (outcome, action) = (Outcome::Forwarded, Action::Redirect);
        self.becomes(Side::Probes, probe, outcome, action, out)
    }

    /// `answer`, which comes from `member`, goes to the interface of probes, and from there to the stack.
    fn returns(self, family: Family, member: Member, answer: &Packet) -> Self {
        self.returns_as(member.side, answer, &returned(family, member, answer))
    }

    /// `answer`, which comes in on `side`, goes to the interface of probes as `shown`, and from there to the stack.
    fn returns_as(self, side: Side, answer: &Packet, shown: &Packet) -> Self {
        let (outcome, action) = (Outcome::ProbeReplied, Action::Redirect);
        self.answers(side, answer, outcome, action, Some(shown))
            .becomes(
                Side::Probes,
                shown,
                Outcome::ProbeReply,
                Action::Pass,
                shown.frame(),
            )
    }

    /// `frame` ends on the interface of probes.
    fn refuses(self, frame: &impl Frame, outcome: Outcome) -> Self {
        self.answers(Side::Probes, frame, outcome, Action::Drop, None)
    }
}

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for family in Family::BOTH {
        rows.extend(ways(family));
        rows.extend(flows(family));
        rows.extend(refused(family));
    }
    rows
}

/// There and back by every mode, way out and tag.
fn ways(family: Family) -> Vec<Row> {
    let direct = |member: &Member| matches!(member.mode, Mode::L2 | Mode::IPIP | Mode::GUE);
    let members = [L2_FRONT, L2_BACK].into_iter().chain(TUNNELS).chain(TAGGED);
    let members = members.filter(|member| direct(member) && member.side != Side::Aside);
    let mut rows = Vec::new();
    for member in members {
        let segment = tcp(family, PORT);
        let datagram = udp(family, PORT).payload(vec![0x5a; 300]);
        for (name, asked, answered) in [
            (
                "a segment",
                &segment,
                segment.clone().flags(Flags::SYN | Flags::ACK),
            ),
            ("a datagram", &datagram, datagram.clone()),
        ] {
            let there = probe(family, member, asked.clone());
            let back = answer(family, member, answered);
            let tagged = back.clone().tag(CUSTOMER_TAG, 12);
            rows.push(
                row(format!("{family:?}: {name} of a probe of {member:?}"))
                    .probes(family, member, &there)
                    .remembers(0, 1)
                    .probes(family, member, &there)
                    .remembers(0, 1)
                    .returns(family, member, &back)
                    .returns(family, member, &tagged)
                    .remembers(0, 1),
            );
        }
    }
    rows
}

/// What else a probe's flow consists of.
fn flows(family: Family) -> Vec<Row> {
    let first = probe(family, L2_FRONT, tcp(family, PORT));
    let other = probe(family, L2_BACK, tcp(family, PORT));
    let asked = probe(family, L2_BACK, udp(family, PORT));
    let received = L2_BACK.receives(&translated(family, &asked));
    let unreachable = error(family.vip(), &received, 600).macs(L2_BACK.mac(), L2_BACK.egress_mac());
    let quoted = asked.clone().ttl(asked.ttl - 1);
    let told = error(family.alias(L2_BACK), &quoted, 600).macs(path::MAC, path::MAC);
    let told = told.clone().ttl(told.ttl - 1);
    let long = answer(family, L2_BACK, udp(family, PORT).payload(vec![0x5a; 400]));
    let shown = returned(family, L2_BACK, &long);
    let fragments = pieces(&long, 64).into_iter().zip(pieces(&shown, 64)).fold(
        row(format!("{family:?}: an answer in fragments")).probes(family, L2_BACK, &asked),
        |row, (piece, shown)| row.returns_as(Side::Back, &piece, &shown),
    );
    vec![
        fragments,
        row(format!(
            "{family:?}: a backend that takes no flows is probed"
        ))
        .then(|world| world.put(FIRST, 1, lb_common::backend::Backend::INACTIVE))
        .probes(family, FIRST, &probe(family, FIRST, tcp(family, PORT))),
        row(format!(
            "{family:?}: of two probes with one port the last is answered"
        ))
        .probes(family, L2_FRONT, &first)
        .probes(family, L2_BACK, &other)
        .remembers(0, 1)
        .returns(family, L2_BACK, &answer(family, L2_BACK, tcp(family, PORT))),
        row(format!("{family:?}: an error about a probe"))
            .probes(family, L2_BACK, &asked)
            .returns_as(Side::Back, &unreachable, &told),
        row(format!("{family:?}: an answer whose alias is gone"))
            .probes(family, L2_FRONT, &first)
            .then(|world| world.object.forget_paths())
            .drops(
                &answer(family, L2_FRONT, tcp(family, PORT)),
                Outcome::NotAProbe,
            ),
        row(format!("{family:?}: an answer that nobody has asked for")).passes(
            &answer(family, L2_FRONT, tcp(family, PORT)),
            Outcome::NotVip,
        ),
    ]
}

/// What ends on the interface of probes.
fn refused(family: Family) -> Vec<Row> {
    let whole = probe(family, L2_FRONT, tcp(family, PORT));
    let layers = whole.layers();
    let stranger = whole.clone().to((family.elsewhere(), PORT).into());
    let group = whole.clone().macs(path::MAC, [1, 0, 0x5e, 0, 0, 1]);
    let mut rows = vec![
        row(format!("{family:?}: no alias")).refuses(&stranger, Outcome::NotAProbe),
        row(format!("{family:?}: a VIP is no alias")).refuses(
            &whole.clone().to((family.vip(), PORT).into()),
            Outcome::NotAProbe,
        ),
        row(format!("{family:?}: a group")).refuses(&group, Outcome::NotAProbe),
        row(format!("{family:?}: a probe by sctp")).refuses(
            &probe(family, L2_FRONT, sctp(family, PORT)),
            Outcome::NotAProbe,
        ),
        row(format!("{family:?}: a probe of a backend that is gone"))
            .refuses(&probe(family, GONE, tcp(family, PORT)), Outcome::StaleTable),
        row(format!(
            "{family:?}: a probe of a number that is another's now"
        ))
        .then(|world| world.put(FIRST, 2, 0))
        .refuses(
            &probe(family, FIRST, tcp(family, PORT)),
            Outcome::StaleTable,
        ),
        row(format!("{family:?}: a probe by a way that is closed")).refuses(
            &probe(family, NO_DEVICE, tcp(family, PORT)),
            Outcome::NoDevice,
        ),
        row(format!("{family:?}: a probe that does not fit the way"))
            .then(|world| world.narrow(L2_FRONT, 100))
            .refuses(
                &probe(family, L2_FRONT, udp(family, PORT).payload(vec![0; 400])),
                Outcome::TooBig,
            ),
    ];
    for (name, length) in [
        ("nothing but a link header", layers.ip),
        ("the IP header", layers.ip + 12),
        ("the TCP header", layers.transport + 12),
    ] {
        let frame = cut(whole.frame(), length);
        rows.push(
            row(format!("{family:?}: a probe that ends in {name}"))
                .refuses(&frame, Outcome::NotAProbe),
        );
    }
    rows
}
