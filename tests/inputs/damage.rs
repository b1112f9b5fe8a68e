//! Examples, damaged: by bytes, by words of other examples, by numbers at the ends of their ranges.

use lb_tests::random::Random;

/// Where things go wrong: ends of ranges, what is no number, what opens and closes.
const WORDS: [&str; 24] = [
    "0",
    "-1",
    "1",
    "65535",
    "65536",
    "4294967296",
    "18446744073709551616",
    "1e308",
    "0.5",
    "null",
    "true",
    "\"\"",
    "[]",
    "{}",
    "[[",
    "]]",
    "{\"",
    "\\u0000",
    "\u{fffd}",
    "999999999999d",
    "::",
    "/33",
    "\"web\"",
    "\n",
];

/// One of `examples` with one to four damages.
pub(crate) fn damaged(examples: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut input = examples[random.below(examples.len())].clone();
    for _ in 0..=random.below(4) {
        let other = &examples[random.below(examples.len())];
        damage(&mut input, other, random);
    }
    input
}

fn damage(input: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let at = random.below(input.len() + 1);
    match random.below(7) {
        // A bit is flipped.
        0 if at < input.len() => input[at] ^= 1 << random.below(8),
        // A byte comes, or some go.
        1 => input.insert(at, random.byte()),
        2 => {
            let end = (at + random.below(16)).min(input.len());
            input.drain(at..end);
        }
        // The end is cut off.
        3 if random.once_in(4) => input.truncate(at),
        // A word in place of another, of a list or of another example.
        4 => replace_word(input, at, random.pick(&WORDS).as_bytes()),
        5 => {
            let word = word(other, random.below(other.len()));
            replace_word(input, at, &other[word]);
        }
        // A part stands there twice.
        _ => {
            let end = (at + random.below(64)).min(input.len());
            let part = input[at..end].to_vec();
            input.splice(at..at, part);
        }
    }
}

fn replace_word(input: &mut Vec<u8>, at: usize, by: &[u8]) {
    let word = word(input, at);
    input.splice(word, by.iter().copied());
}

/// The word at `at`: letters, digits and what stands inside addresses and numbers.
fn word(text: &[u8], at: usize) -> std::ops::Range<usize> {
    let inside = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-:/".contains(byte);
    let at = at.min(text.len());
    let before = text[..at]
        .iter()
        .rev()
        .take_while(|byte| inside(byte))
        .count();
    let after = text[at..].iter().take_while(|byte| inside(byte)).count();
    at - before..at + after
}
