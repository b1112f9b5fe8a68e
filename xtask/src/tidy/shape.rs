//! What a source file may look like.

use lb_common::names;

use super::{Violation, source::Source};

/// Lines above which a file is noted, and above which it is refused.
const LINES_NOTED: usize = 400;
const LINES_REFUSED: usize = 500;

/// Names that say nothing about what a module owns.
const NAMELESS: [&str; 6] = ["common", "helper", "helpers", "misc", "types", "util"];

/// Where `unsafe` may stand; beginnings of paths.
const UNSAFE_PLACES: [&str; 9] = [
    "lb-common/src/pod.rs",
    "lb-ebpf/src/frame",
    "lb-ebpf/src/main.rs",
    "lb-ebpf/src/maps",
    "lb-ebpf/src/route.rs",
    "lb-userspace/src/dataplane/mapped",
    "tests/bench/ebpf/src/frame.rs",
    "tests/bench/ebpf/src/main.rs",
    "tests/bench/ebpf/src/state.rs",
];

/// The one file with the names of maps and globals as strings.
const NAMES: &str = "lb-common/src/names.rs";

/// Cannot reach a map by the import rules; its capitals are headings of tables.
const HEADINGS: &str = "lb-userspace/src/cli/";

/// Every breach.
pub(super) fn check(source: &Source) -> Vec<Violation> {
    let mut violations = Vec::new();
    violations.extend(opening(source));
    violations.extend(length(source));
    violations.extend(name(source));
    violations.extend(unsafety(source));
    violations.extend(map_names(source));
    violations
}

fn opening(source: &Source) -> Option<Violation> {
    let first = source.text.lines().next().unwrap_or_default();
    let says = first
        .strip_prefix("//! ")
        .is_some_and(|text| !text.trim().is_empty());
    (!says).then(|| Violation::new(&source.file, 1, "a file begins with `//!` and what it owns"))
}

fn length(source: &Source) -> Option<Violation> {
    let lines = source.text.lines().count();
    if lines > LINES_NOTED && lines <= LINES_REFUSED {
        println!(
            "note: {}: {lines} lines; above {LINES_NOTED}, look for the seam",
            source.file
        );
    }
    (lines > LINES_REFUSED).then(|| {
        Violation::new(
            &source.file,
            lines,
            format!("{lines} lines; at most {LINES_REFUSED}"),
        )
    })
}

fn name(source: &Source) -> Option<Violation> {
    let nameless = source
        .module
        .iter()
        .find(|name| NAMELESS.contains(&name.as_str()))?;
    let message = format!("a module is named after what it owns, not `{nameless}`");
    Some(Violation::new(&source.file, 1, message))
}

fn unsafety(source: &Source) -> impl Iterator<Item = Violation> {
    let allowed = UNSAFE_PLACES
        .iter()
        .any(|place| source.file.starts_with(place));
    let lines = source.unsafe_lines.iter().filter(move |_| !allowed);
    lines.map(|line| Violation::new(&source.file, *line, "`unsafe` outside the modules that may"))
}

fn map_names(source: &Source) -> impl Iterator<Item = Violation> {
    let globals = [names::SETTINGS, names::DECAP_SETTINGS];
    let is_name = move |text: &str| {
        let mut names = names::MAPS.iter().chain(&names::DECAP_MAPS).chain(&globals);
        names.any(|name| *name == text)
    };
    source
        .strings
        .iter()
        .filter(|_| source.file != NAMES && !source.file.starts_with(HEADINGS))
        .filter(move |(_, text)| is_name(text))
        .map(|(line, text)| {
            let message = format!("\"{text}\" as a string: use `lb_common::names::{text}`");
            Violation::new(&source.file, *line, message)
        })
}
