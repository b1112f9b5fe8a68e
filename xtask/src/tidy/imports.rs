//! Who may name whom.

use super::{
    Violation,
    source::{Reference, Source},
};

/// A module of the library and what else of the library it may name, itself apart. Modules that are not
/// listed may name what they like, except [`WIRING`].
const LAYERS: [(&str, &[&str]); 13] = [
    ("model", &[]),
    ("maglev", &["model"]),
    ("desired", &["model"]),
    ("config", &["desired", "model"]),
    ("neighbor", &["model"]),
    ("health", &["model"]),
    ("cable", &["model", "neighbor"]),
    ("dataplane", &["maglev", "model", "neighbor"]),
    (
        "plan",
        &[
            "dataplane",
            "desired",
            "health",
            "maglev",
            "model",
            "neighbor",
        ],
    ),
    ("setup", &["desired", "model", "neighbor"]),
    ("explain", &["control::protocol", "dataplane", "model"]),
    ("control", &["config", "desired", "model", "setup"]),
    (
        "cli",
        &[
            "config::Fault",
            "config::import",
            "config::spec",
            "control::client",
            "control::protocol",
            "manual",
            "model",
        ],
    ),
];

/// The module that ties all others together: only a program's `main` may name it.
const WIRING: &str = "daemon";

/// Crates that one module of the library wraps for all others.
const WRAPPED: [(&str, &str); 7] = [
    ("aya", "dataplane"),
    ("aya_log", "dataplane"),
    ("aya_obj", "dataplane"),
    ("netlink_packet_core", "neighbor"),
    ("netlink_packet_route", "neighbor"),
    ("rtnetlink", "neighbor"),
    ("tokio_tun", "cable"),
];

/// Modules that are functions of values.
const PURE: [&str; 9] = [
    "config",
    "desired",
    "explain",
    "health::machine",
    "health::weight",
    "maglev",
    "model",
    "plan",
    "setup",
];

/// What would make a function depend on more than its arguments.
const IMPURE: [&str; 3] = ["tokio", "rand", "futures"];
const CLOCKS: [&str; 2] = ["Instant::now", "SystemTime::now"];

/// The stages of the packet pipeline; `forward` alone knows their order.
const STAGES: [&str; 8] = [
    "classify",
    "emit",
    "guard",
    "parse",
    "reply",
    "rewrite",
    "select",
    "translate",
];

/// Every breach of the import rules.
pub(super) fn check(source: &Source) -> Vec<Violation> {
    let rule = match source.package.as_str() {
        "lb-userspace" => library,
        "lb-ebpf" => pipeline,
        "tests" => suites,
        _ => return Vec::new(),
    };
    let breach = |reference: &Reference| {
        let message = rule(source, reference)?;
        Some(Violation::new(&source.file, reference.line, message))
    };
    source.references.iter().filter_map(breach).collect()
}

fn library(source: &Source, reference: &Reference) -> Option<String> {
    wiring(source, reference)
        .or_else(|| layer(source, reference))
        .or_else(|| wrapped(source, reference))
        .or_else(|| pure(source, reference))
}

fn wiring(source: &Source, reference: &Reference) -> Option<String> {
    let is_program = matches!(source.top_module(), "bin" | "" | WIRING);
    (!is_program && reference.starts_with(&format!("crate::{WIRING}")))
        .then(|| format!("`{WIRING}` ties all others together: no other module may name it"))
}

fn layer(source: &Source, reference: &Reference) -> Option<String> {
    let module = source.top_module();
    let (_, allowed) = LAYERS.iter().find(|(name, _)| *name == module)?;
    let inside = reference.starts_with("crate") && reference.path.len() > 1;
    let permitted = || {
        allowed
            .iter()
            .chain([&module])
            .any(|it| reference.starts_with(&format!("crate::{it}")))
    };
    (inside && !reference.in_tests && !permitted()).then(|| {
        let allowed = if allowed.is_empty() {
            "no other module".to_owned()
        } else {
            allowed.join(", ")
        };
        format!("`{module}` may name {allowed}, not `{}`", reference.text())
    })
}

fn wrapped(source: &Source, reference: &Reference) -> Option<String> {
    let (name, owner) = WRAPPED
        .iter()
        .find(|(name, _)| reference.starts_with(name))?;
    (source.top_module() != *owner).then(|| format!("only `{owner}` may name the crate `{name}`"))
}

/// Tests of a pure function may make the values it takes, by a clock if need be.
fn pure(source: &Source, reference: &Reference) -> Option<String> {
    let module = source.module.join("::");
    let is_pure = PURE
        .iter()
        .any(|it| module == *it || module.starts_with(&format!("{it}::")));
    let depends = IMPURE.iter().any(|it| reference.starts_with(it))
        || CLOCKS.iter().any(|it| reference.ends_with(it));
    (is_pure && depends && !reference.in_tests).then(|| {
        format!(
            "`{module}` is a function of values: no `{}`",
            reference.text()
        )
    })
}

fn pipeline(source: &Source, reference: &Reference) -> Option<String> {
    let own = STAGES.iter().find(|stage| source.top_module() == **stage)?;
    let root = if reference.starts_with("lb_ebpf") {
        "lb_ebpf"
    } else {
        "crate"
    };
    let other = STAGES
        .iter()
        .filter(|stage| *stage != own)
        .find(|stage| reference.starts_with(&format!("{root}::{stage}")))?;
    Some(format!(
        "stage `{own}` may not name stage `{other}`: only `forward` knows the order"
    ))
}

fn suites(_: &Source, reference: &Reference) -> Option<String> {
    reference.starts_with("lb_ebpf").then(|| {
        "tests build and read packets with an independent library, never with the code under test".to_owned()
    })
}
