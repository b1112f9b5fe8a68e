//! Packets that are made and read.

use super::*;

const GUE: u16 = 6_080;

fn recipe(source: &str, destination: &str, protocol: Protocol) -> Recipe {
    Recipe {
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
        protocol,
        is_first: true,
        hop_limit: 9,
        size: 100,
        destination_mac: [2, 0, 0, 0, 0, 9],
    }
}

/// Both IP versions.
const ENDS: [(&str, &str); 2] = [
    ("198.51.100.7:40000", "192.0.2.10:80"),
    ("[2001:db8:1::7]:40000", "[2001:db8::10]:80"),
];

#[test]
fn what_is_made_is_read_back() {
    for (source, destination) in ENDS {
        for protocol in Protocol::ALL {
            let recipe = recipe(source, destination, protocol);
            let frame = recipe.frame().unwrap();
            let seen = Seen::read(&frame, GUE);
            assert_eq!((frame.len(), seen.bytes), (100, 100));
            assert_eq!(seen.macs, [SENDER, recipe.destination_mac]);
            let flow = Tuple {
                source: recipe.source.ip(),
                destination: recipe.destination.ip(),
                ports: [40_000, 80],
                protocol: protocol.number(),
            };
            assert_eq!(seen.flow(), Some(flow));
            let ip = seen.ip.unwrap();
            assert_eq!((ip.hop_limit, ip.length, ip.fragment), (9, 86, None));
            let flags = (protocol == Protocol::Tcp).then_some(2);
            assert_eq!(seen.tcp_flags, flags);
        }
    }
}

#[test]
fn tunnels_are_looked_into() {
    for (source, destination) in ENDS {
        let inside = recipe(source, destination, Protocol::Udp).frame().unwrap();
        let flow = Seen::read(&inside, GUE).flow();
        let inside = &inside[ETHERNET..];
        let gue = Recipe {
            size: ETHERNET + 28 + inside.len(),
            ..recipe("10.0.0.1:5", "10.0.0.2:6080", Protocol::Udp)
        };
        let mut frame = gue.frame().unwrap();
        frame[ETHERNET + 28..].copy_from_slice(inside);
        let seen = Seen::read(&frame, GUE);
        assert_eq!(seen.inner.unwrap().flow(), flow);
        assert_eq!(Seen::read(&frame, 6_081).inner, None);
    }
}

#[test]
fn an_icmp_error_belongs_to_the_flow_that_it_is_about_seen_from_its_other_end() {
    let about = recipe("192.0.2.10:80", "198.51.100.7:40000", Protocol::Tcp);
    let about = about.frame().unwrap();
    let quoted = &about[ETHERNET..];
    let mut frame = recipe("203.0.113.1:0", "192.0.2.10:0", Protocol::Udp);
    frame.size = 0;
    let mut frame = frame.frame().unwrap();
    frame.truncate(ETHERNET + 20);
    frame[ETHERNET + 9] = ICMP;
    frame[ETHERNET + 3] = u8::try_from(28 + quoted.len()).unwrap();
    frame.extend([3, 1, 0, 0, 0, 0, 0, 0]);
    frame.extend(quoted);
    let seen = Seen::read(&frame, GUE);
    assert_eq!(seen.icmp, Some([3, 1]));
    let client = Tuple {
        source: [198, 51, 100, 7].into(),
        destination: [192, 0, 2, 10].into(),
        ports: [40_000, 80],
        protocol: 6,
    };
    assert_eq!(seen.flow(), Some(client));
}

#[test]
fn later_fragments_tell_their_datagram_and_no_ports() {
    let mut frame = recipe("198.51.100.7:4", "192.0.2.10:8", Protocol::Udp)
        .frame()
        .unwrap();
    for (at, value) in [(4, 0x12), (5, 0x34), (6, 0), (7, 5)] {
        frame[ETHERNET + at] = value;
    }
    let seen = Seen::read(&frame, GUE);
    let datagram = Fragment {
        identification: 0x1234,
        protocol: 17,
    };
    assert_eq!(seen.later_fragment(), Some(datagram));
    assert_eq!(seen.flow(), None);
}

#[test]
fn what_is_no_packet_is_read_as_nothing() {
    for frame in [vec![], vec![0; 5], vec![0; 60]] {
        let seen = Seen::read(&frame, GUE);
        assert_eq!(
            (seen.bytes, seen.ip, seen.flow()),
            (frame.len(), None, None)
        );
    }
}
