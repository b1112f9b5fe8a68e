//! Datagrams in fragments, among other frames: in order or not, not all of them, and some that lie.

use crate::{
    generate::{Arrival, Datagram, arrival, packet},
    random::Random,
};

/// Few, so that datagrams meet under one; two of them differ where IPv4 has no bits.
const IDENTIFICATIONS: [u32; 4] = [0, 7, 0x0001_0007, 0xffff_ffff];
/// More fragments, as in IPv4.
const MORE: u16 = 0x2000;
/// The next header of destination options.
const OPTIONS: u8 = 60;

/// The identification of a datagram; IPv4 has its second half.
pub(crate) fn identification(random: &mut Random) -> [u8; 4] {
    random.pick(&IDENTIFICATIONS).to_be_bytes()
}

/// Flags and offset in 8 bytes, as in IPv4: of a first fragment, of the next one, of others, of none.
pub(crate) fn fragment_word(random: &mut Random) -> u16 {
    let offset = random.pick(&[0, 0, 0, 1, 2, 3, 0x00ff, 0x0100, 0x1fef, 0x1fff]);
    // Reserved, and "don't fragment".
    let flags = random.pick(&[0, 0, 0, 0x8000, 0x4000, 0xc000]);
    offset | flags | random.pick(&[0, MORE, MORE])
}

/// IPv6's header for what an IPv4 header says by `fragment`; its flags become the reserved bits.
pub(crate) fn fragment_header(next: u8, fragment: u16, identification: [u8; 4]) -> Vec<u8> {
    let [flags, _] = fragment.to_be_bytes();
    let more = u16::from(fragment & MORE != 0);
    let word = fragment << 3 | u16::from(flags >> 6) << 1 | more;
    let mut bytes = vec![next, flags];
    bytes.extend(word.to_be_bytes());
    bytes.extend(identification);
    bytes
}

/// The next `count` frames.
pub(crate) fn arrivals(random: &mut Random, count: usize) -> Vec<Arrival> {
    let mut waiting = Vec::new();
    let next = || {
        if random.once_in(32) {
            let datagram = Datagram::new(random);
            waiting.extend(fragments(random, datagram));
        }
        if random.once_in(96) {
            for datagram in Datagram::exchange(random) {
                waiting.extend(fragments(random, datagram));
            }
        }
        if waiting.is_empty() || random.once_in(2) {
            return arrival(random);
        }
        let place = if random.once_in(4) {
            random.below(waiting.len())
        } else {
            0
        };
        waiting.remove(place)
    };
    std::iter::repeat_with(next).take(count).collect()
}

/// A datagram's fragments, one of which may be missing.
fn fragments(random: &mut Random, mut datagram: Datagram) -> Vec<Arrival> {
    let more = random.below(64);
    datagram.content.extend(random.bytes(more));
    if datagram.family == 1 && random.once_in(4) {
        let mut options = vec![datagram.protocol, 0];
        options.extend(random.bytes(6));
        datagram.content.splice(..0, options);
        datagram.protocol = OPTIONS;
    }
    let identification = identification(random);
    let units = random.pick(&[1, 3, 3, 4, 4, 6, 8, 16]);
    let pieces = datagram.content.chunks(8 * units);
    let last = pieces.len() - 1;
    let places = (0..).step_by(units);
    let mut all: Vec<Arrival> = places
        .zip(pieces)
        .enumerate()
        .map(|(index, (place, piece))| {
            let more = if index < last { MORE } else { 0 };
            fragment(random, &datagram, (place | more, identification), piece)
        })
        .collect();
    if random.once_in(4) {
        all.remove(random.below(all.len()));
    }
    all
}

/// The fragment that holds `piece`, or one that says something else of itself than is true.
fn fragment(
    random: &mut Random,
    datagram: &Datagram,
    (mut fragment, mut identification): (u16, [u8; 4]),
    piece: &[u8],
) -> Arrival {
    let mut piece = piece.to_vec();
    match random.below(32) {
        0 => fragment = fragment_word(random),
        1 => fragment ^= MORE,
        2 => fragment |= random.pick(&[0x4000, 0x8000]),
        3 => identification = self::identification(random),
        // Not the multiple of 8 bytes that all but the last must have.
        4 => piece.truncate(piece.len() - random.below(8).min(piece.len())),
        _ => {}
    }
    let Datagram {
        family,
        ends,
        protocol,
        ..
    } = *datagram;
    let packet = if family == 0 {
        let mut packet = packet(random, family, ends, protocol, piece);
        packet[4..6].copy_from_slice(&identification[2..]);
        packet[6..8].copy_from_slice(&fragment.to_be_bytes());
        packet
    } else {
        let mut behind = fragment_header(protocol, fragment, identification);
        behind.extend(piece);
        packet(random, family, ends, 44, behind)
    };
    datagram.arrival(random, packet)
}
