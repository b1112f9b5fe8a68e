//! That places are words as the program reads them.

use std::mem::offset_of;

use proptest::prelude::*;

use super::*;

#[test]
fn words_stand_where_the_program_reads_them() {
    assert_eq!(offset_of!(Place<V4>, ticket), 8 * TICKET);
    assert_eq!(offset_of!(Place<V6>, ticket), 8 * TICKET);
    assert_eq!(offset_of!(Place<V4>, vip), 4 * VIP);
    assert_eq!(offset_of!(Place<V6>, vip), 4 * VIP);
    let place = Place::<V4> {
        key: VipKey {
            address: Address([Be32::from_bytes([192, 0, 2, 1])]),
            port: Be16::new(0x1234),
            protocol: 6,
            prefix: 28,
        },
        reserved: [0; 4],
        ticket: 0x0102_0304_0506_0708,
        vip: Vip {
            table_offset: 1,
            source_burst: 8,
            ..Vip::default()
        },
    };
    let bytes: Vec<u8> = encode(&place)
        .iter()
        .flat_map(|it| it.to_le_bytes())
        .collect();
    assert_eq!(bytes[..8], [192, 0, 2, 1, 0x12, 0x34, 6, 28]);
    assert_eq!(bytes[24..36], [8, 7, 6, 5, 4, 3, 2, 1, 1, 0, 0, 0]);
    assert_eq!(bytes[60..], [8, 0, 0, 0]);
}

fn survives<F: Placed>(long: [u64; LONG_WORDS], reserved: usize) {
    let mut long = long;
    for (number, word) in long.iter_mut().enumerate() {
        // What is reserved is not kept.
        if (reserved..TICKET).contains(&number) {
            *word = 0;
        }
    }
    assert_eq!(encode(&decode::<F>(long)), long);
}

proptest! {
    #[test]
    fn places_survive_the_way_into_words_and_back(long: [u64; LONG_WORDS]) {
        survives::<V4>(long, 1);
        let [a, b, c, rest @ ..] = long;
        let [d, e, f, g, h] = rest;
        survives::<V6>([a, b, c & 0xffff_ffff, d, e, f, g, h], TICKET);
    }
}
