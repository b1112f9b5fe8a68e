//! Damaged configurations, requests, saved states and journals: whatever they hold, they are read or refused in words.
//!
//! `LB_FUZZ_SEED` and `LB_FUZZ_SECONDS` choose another run than the one that is always the same.
#![expect(
    clippy::indexing_slicing,
    reason = "what is out of bounds in a test fails it"
)]

mod damage;

use std::{
    env,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use lb_tests::{input, random::Random};
use lb_userspace::{
    config::{Host, text},
    state::{Saved, journal::Difference},
};

use damage::damaged;

/// Inputs of a run without a time of its own.
const INPUTS: u64 = 20_000;
const SEED: u64 = 0x6c62_0002;
const README: &str = include_str!("../../README.md");

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{variable} must be a number, not `{text}`")))
}

/// Feeds damaged examples to `target`, which says whether it took them, until time or number is used up. Some must be
/// taken and most refused, or the damage is not of the kind that finds anything.
fn feed(examples: &[Vec<u8>], target: fn(&[u8]) -> bool) {
    for example in examples {
        assert!(
            target(example),
            "an example is refused: {}",
            String::from_utf8_lossy(example)
        );
    }
    let seed = number("LB_FUZZ_SEED").unwrap_or(SEED);
    let deadline =
        number("LB_FUZZ_SECONDS").map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut random = Random::new(seed);
    let (mut fed, mut taken) = (0, 0);
    while deadline.map_or(fed < INPUTS, |deadline| Instant::now() < deadline) {
        let input = damaged(examples, &mut random);
        let outcome = catch_unwind(AssertUnwindSafe(|| target(&input)));
        let Ok(was_taken) = outcome else {
            panic!(
                "input {fed} of seed {seed}: {}",
                String::from_utf8_lossy(&input)
            );
        };
        taken += u64::from(was_taken);
        fed += 1;
    }
    println!("inputs: {fed}, taken: {taken}");
    assert!(
        taken > fed / 100 && taken < fed * 9 / 10,
        "{taken} of {fed} were taken"
    );
}

/// The blocks of the README that are written in `language`.
fn blocks(language: &str) -> Vec<String> {
    let mut lines = README.lines();
    let mut blocks = Vec::new();
    while let Some(line) = lines.next() {
        if line.trim() == format!("```{language}") {
            let block = lines.by_ref().take_while(|line| line.trim() != "```");
            blocks.push(block.collect::<Vec<_>>().join("\n") + "\n");
        }
    }
    blocks
}

/// Its examples of configurations that are whole.
fn configurations() -> Vec<Vec<u8>> {
    let blocks = blocks("toml").into_iter();
    let whole: Vec<_> = blocks
        .filter(|block| text::load(block, &Host::default()).is_ok())
        .map(String::into_bytes)
        .collect();
    assert!(
        whole.len() >= 3,
        "{} of the README's configurations are whole",
        whole.len()
    );
    whole
}

#[test]
fn damaged_configurations_are_read_or_refused_with_the_place_of_each_fault() {
    feed(&configurations(), input::config);
}

#[test]
fn damaged_requests_are_calls_or_refused_in_words() {
    let exchange = blocks("text").into_iter().find(|it| it.starts_with("> {"));
    let exchange = exchange.expect("the README's exchange");
    let requests = exchange.lines().filter_map(|line| line.strip_prefix("> "));
    let good = requests.filter(|request| !request.contains("wieght"));
    let mut examples: Vec<Vec<u8>> = good.map(|it| it.as_bytes().to_vec()).collect();
    assert!(examples.len() > 20, "{}", examples.len());
    let batch = examples.join(&b", "[..]);
    examples.push([b"[".as_slice(), &batch, b"]"].concat());
    feed(&examples, input::protocol);
}

#[test]
fn damaged_states_are_read_or_refused_in_words() {
    let saved = configurations().into_iter().map(|toml| {
        let toml = String::from_utf8(toml).expect("text");
        let config = text::load(&toml, &Host::default()).expect("an example");
        let saved = Saved::new(7, Some("0123456789abcdef".to_owned()), config.desired);
        serde_json::to_vec(&saved).expect("a state")
    });
    feed(&saved.collect::<Vec<_>>(), input::state);
}

#[test]
fn damaged_journals_are_read_or_refused_in_words() {
    let journals = configurations().into_iter().map(|toml| {
        let toml = String::from_utf8(toml).expect("text");
        let config = text::load(&toml, &Host::default()).expect("an example");
        let [one, other] = ["203.0.113.0/24", "2001:db8:bad::/48"].map(str::parse);
        let begun = Difference {
            sequence: 1,
            generation: 7,
            file_digest: Some("0123456789abcdef".to_owned()),
            gone: config.desired.services.keys().cloned().collect(),
            services: config.desired.services,
            blocked: [one.expect("a prefix")].into(),
            unblocked: [other.expect("a prefix")].into(),
        };
        let ended = Difference {
            sequence: 2,
            file_digest: None,
            ..begun.clone()
        };
        let lines = [begun, ended].map(|it| serde_json::to_string(&it).expect("a change") + "\n");
        lines.concat().into_bytes()
    });
    feed(&journals.collect::<Vec<_>>(), input::journal);
}
