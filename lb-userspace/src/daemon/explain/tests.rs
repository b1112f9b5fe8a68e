//! Parameters of `explain`, and the frames that they mean.

use super::*;

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];

fn refused(asked: &Explain, words: &str) {
    let message = frame(asked, MAC).unwrap_err();
    assert!(message.contains(words), "`{message}` lacks `{words}`");
}

fn tuple(source: &str, destination: &str) -> Explain {
    Explain {
        source: Some(source.to_owned()),
        destination: Some(destination.to_owned()),
        ..Explain::default()
    }
}

#[test]
fn a_packet_is_asked_for_in_one_way_or_the_other() {
    let whole = |packet: &str| Explain {
        packet: Some(packet.to_owned()),
        ..Explain::default()
    };
    let good = tuple("198.51.100.7:40000", "192.0.2.10:80");
    assert_eq!(frame(&good, MAC).unwrap()[..6], MAC);
    assert_eq!(
        frame(&whole(&"0a:0B ".repeat(10)), MAC).unwrap(),
        [10, 11].repeat(10)
    );
    refused(
        &Explain::default(),
        "give either `source` and `destination`",
    );
    refused(
        &tuple("198.51.100.7", "192.0.2.10:80"),
        "source `198.51.100.7`",
    );
    refused(
        &tuple("198.51.100.7:1", "[2001:db8::1]:80"),
        "not of one IP version",
    );
    refused(&whole("0a0"), "hexadecimal digits");
    refused(&whole("0x0a"), "hexadecimal digits");
    refused(&whole("0a"), "1 bytes cannot be tried");
    let both = Explain {
        hop_limit: Some(1),
        ..whole(&"0a".repeat(20))
    };
    refused(&both, "only `interface`");
    let flags = Explain {
        protocol: Some(Protocol::Udp),
        flags: Some(TcpFlags::Ack),
        ..good.clone()
    };
    refused(&flags, "udp has none");
    let long = Explain {
        size: Some(9_000),
        ..good
    };
    refused(&long, "9000 bytes cannot be tried");
}
