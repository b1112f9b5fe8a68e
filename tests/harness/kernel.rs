//! What the running kernel has, and the line that tells of a test that it cannot run.

use std::{fs, io::Write as _, path::Path, process::Command, thread};

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

/// Loads kernel modules; whether all are there. If not, the calling test has said that it is skipped.
#[must_use]
pub fn has_modules(names: &[&str]) -> bool {
    let missing = names.iter().find_map(|name| missing(name));
    if let Some(why) = &missing {
        skipped(why);
    }
    missing.is_none()
}

/// Why a module cannot be had; `None` if it is there.
#[must_use]
pub fn missing(module: &str) -> Option<String> {
    if Path::new("/sys/module").join(module).exists() || is_built_in(module) {
        return None;
    }
    let why = match Command::new("modprobe").arg(module).output() {
        Ok(output) if output.status.success() => return None,
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => format!("modprobe: {error}"),
    };
    Some(format!("this kernel has no module {module} ({why})"))
}

fn is_built_in(module: &str) -> bool {
    let release = rustix::system::uname();
    let directory = Path::new("/lib/modules").join(&*release.release().to_string_lossy());
    let list = fs::read_to_string(directory.join("modules.builtin")).unwrap_or_default();
    let file = format!("/{module}.ko");
    list.lines().any(|line| line.ends_with(&file))
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
