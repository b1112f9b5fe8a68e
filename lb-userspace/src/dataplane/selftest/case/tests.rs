//! Right answers pass, and each difference is found.

use super::*;

fn right(case: &Case, frame: Vec<u8>) -> Answer {
    Answer {
        action: case.action as u32,
        frame,
        counted: vec![case.outcome as u32],
    }
}

/// What a right program makes of the request, by mode.
fn sent(addresses: &Addresses, mode: Mode) -> Vec<u8> {
    let [source_mac, destination_mac] = EGRESS_MACS;
    let sent = Packet {
        source_mac,
        destination_mac,
        hop_limit: HOP_LIMIT - 1,
        ..addresses.request()
    };
    let translated = |source| Packet {
        source,
        destination: addresses.backend,
        ..sent
    };
    match mode {
        Mode::Local => addresses.request().frame(),
        Mode::L2 => sent.frame(),
        Mode::Nat => translated(addresses.client).frame(),
        Mode::Snat => translated((addresses.source, 33_333).into()).frame(),
        Mode::Ipip | Mode::Gue => {
            let inner = sent.ip();
            let port = (mode == Mode::Gue).then_some(6_080);
            [outer(addresses, inner.len(), port), inner].concat()
        }
    }
}

fn outer(addresses: &Addresses, inner: usize, port: Option<u16>) -> Vec<u8> {
    let udp = port.map_or(Vec::new(), |port| {
        [[0xc0, 0], port.to_be_bytes(), [0, 0], [0, 0]].concat()
    });
    let protocol = if port.is_some() { 17 } else { 4 };
    let (from, to) = (addresses.source, addresses.backend.ip());
    let [source_mac, destination_mac] = EGRESS_MACS;
    let mut outer = [destination_mac, source_mac].concat();
    outer.extend(ethertype(to));
    outer.extend(super::super::packet::header(
        from,
        to,
        protocol,
        HOP_LIMIT,
        udp.len() + inner,
    ));
    outer.extend(udp);
    outer
}

#[test]
fn a_right_answer_passes_and_a_changed_byte_does_not() {
    for (addresses, mode) in Addresses::all()
        .iter()
        .flat_map(|addresses| Mode::ALL.map(|mode| (addresses, mode)))
    {
        let case = forwarded(addresses, mode, 6_080);
        let frame = sent(addresses, mode);
        case.judge(&right(&case, frame.clone())).unwrap();
        // The last byte, the hop limit's neighbour, and the destination's MAC address.
        for at in [0, frame.len() - 1, frame.len() / 2] {
            let mut other = frame.clone();
            other[at] ^= 1;
            let fault = case.judge(&right(&case, other)).unwrap_err().to_string();
            assert!(fault.contains(&format!("in mode {mode}")), "{fault}");
        }
        let shorter = frame[..frame.len() - 1].to_vec();
        assert!(case.judge(&right(&case, shorter)).is_err(), "{mode}");
    }
}

#[test]
fn another_action_or_another_count_is_a_fault() {
    let [addresses, _] = Addresses::all();
    for case in strangers(&addresses)
        .into_iter()
        .chain([truncated(&addresses)])
    {
        let answer = right(&case, case.frame.clone());
        case.judge(&answer).unwrap();
        let aborted = Answer {
            action: 0,
            ..answer.clone()
        };
        let fault = case.judge(&aborted).unwrap_err().to_string();
        assert!(fault.contains("answered 0"), "{fault}");
        for counted in [vec![], vec![63], vec![case.outcome as u32; 2]] {
            let miscounted = Answer {
                counted,
                ..answer.clone()
            };
            let fault = case.judge(&miscounted).unwrap_err().to_string();
            assert!(fault.contains(case.outcome.label()), "{fault}");
        }
    }
}
