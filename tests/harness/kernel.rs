//! What the running kernel has, and the line that tells of a test that it cannot run.

use std::{io::Write as _, thread};

/// Whether this kernel is 5.15 or newer. Older ones take no context for test runs (so every frame seems to come in
/// by loopback), and no generic XDP program with a map of devices whose values have room for a program.
#[must_use]
pub fn is_5_15() -> bool {
    version() >= (5, 15)
}

/// Whether this kernel takes XDP programs for jumbo frames: those from 5.18 on do.
#[must_use]
pub fn takes_jumbo_frames() -> bool {
    version() >= (5, 18)
}

/// The first two numbers of the release.
fn version() -> (u32, u32) {
    let release = rustix::system::uname();
    let release = release.release().to_string_lossy();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let mut number = || -> u32 {
        let number = numbers.next().and_then(|it| it.parse().ok());
        number.expect("a kernel release")
    };
    (number(), number())
}

/// Tells whoever runs the tests that the calling test was skipped.
pub fn skipped(why: &str) {
    let thread = thread::current();
    say(&format!(
        "SKIPPED: {}: {why}",
        thread.name().unwrap_or("a test")
    ));
}

/// Writes a line past libtest's capture: it is read by whoever runs the tests.
pub fn say(line: &str) {
    std::io::stdout()
        .write_all(format!("{line}\n").as_bytes())
        .expect("standard output");
}
