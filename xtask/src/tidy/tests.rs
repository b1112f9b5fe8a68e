//! Each rule fires on a bad snippet and is silent on a good one.

use super::{imports, shape, source::Source};

/// The messages that a file's code gets.
fn breaches(file: &str, code: &str) -> Vec<String> {
    let source = Source::parse(file, code).unwrap();
    let violations = shape::check(&source)
        .into_iter()
        .chain(imports::check(&source));
    violations.map(|violation| violation.message).collect()
}

#[track_caller]
fn good(file: &str, code: &str) {
    let code = format!("//! A file.\n{code}");
    assert_eq!(
        breaches(file, &code),
        Vec::<String>::new(),
        "{file}: {code}"
    );
}

#[track_caller]
fn bad(file: &str, code: &str, message: &str) {
    let code = format!("//! A file.\n{code}");
    let breaches = breaches(file, &code);
    assert!(
        matches!(breaches.as_slice(), [only] if only.contains(message)),
        "{file}: {code}: {breaches:?}"
    );
}

#[test]
fn a_module_names_only_the_layers_below_it() {
    good(
        "lb-userspace/src/plan/mod.rs",
        "use crate::{model::Vip, dataplane::{Actual, Step}};",
    );
    bad(
        "lb-userspace/src/plan/mod.rs",
        "use crate::{model::Vip, control::{server}};",
        "`plan` may name",
    );
    bad(
        "lb-userspace/src/model/vip.rs",
        "use super::super::config::spec;",
        "`model` may name no other",
    );
    good(
        "lb-userspace/src/model/vip.rs",
        "use super::service::Service;",
    );
    good(
        "lb-userspace/src/cli/status.rs",
        "use crate::control::protocol::Status;",
    );
    bad(
        "lb-userspace/src/cli/status.rs",
        "use crate::control::server::Server;",
        "`cli` may name",
    );
}

#[test]
fn a_path_in_an_expression_or_a_macro_counts_as_well() {
    let code = "fn f() { assert!(matches!(1, crate::control::server::ONE)); }";
    bad(
        "lb-userspace/src/maglev/mod.rs",
        code,
        "`maglev` may name model",
    );
}

#[test]
fn comments_and_strings_name_nothing() {
    let code = "/// See [`crate::daemon`].\nconst S: &str = \"crate::daemon::X\"; // aya::Ebpf";
    good("lb-userspace/src/model/vip.rs", code);
}

#[test]
fn nothing_but_a_program_names_the_wiring() {
    bad(
        "lb-userspace/src/stats/mod.rs",
        "use crate::daemon::Event;",
        "`daemon` ties",
    );
    good(
        "lb-userspace/src/daemon/event.rs",
        "use crate::daemon::Event;",
    );
}

#[test]
fn a_wrapped_crate_is_named_by_its_wrapper_only() {
    bad(
        "lb-userspace/src/reconcile.rs",
        "use aya::Ebpf;",
        "only `dataplane`",
    );
    bad(
        "lb-userspace/src/daemon/mod.rs",
        "fn f() { rtnetlink::new_connection(); }",
        "only `neighbor`",
    );
    good("lb-userspace/src/dataplane/load.rs", "use aya::Ebpf;");
    good(
        "lb-userspace/src/neighbor/mod.rs",
        "use {rtnetlink::Handle, std::io};",
    );
}

#[test]
fn a_pure_module_has_no_clock_and_no_runtime() {
    bad(
        "lb-userspace/src/plan/mod.rs",
        "use tokio::time;",
        "function of values",
    );
    let clock = "fn f() { std::time::Instant::now(); }";
    bad(
        "lb-userspace/src/health/machine.rs",
        clock,
        "function of values",
    );
    good("lb-userspace/src/health/task.rs", clock);
    good(
        "lb-userspace/src/health/machine.rs",
        "use std::time::Instant; fn f(now: Instant) {}",
    );
}

#[test]
fn tests_of_a_pure_module_may_read_the_clock() {
    let code = "#[cfg(test)] mod tests { fn f() { Instant::now(); } }";
    good("lb-userspace/src/health/machine.rs", code);
    good(
        "lb-userspace/src/maglev/tests.rs",
        "fn f() { Instant::now(); }",
    );
}

#[test]
fn stages_do_not_know_each_other() {
    bad(
        "lb-ebpf/src/select.rs",
        "use crate::parse::Packet;",
        "stage `select` may not name stage `parse`",
    );
    good("lb-ebpf/src/forward.rs", "use crate::{parse, select};");
    good(
        "lb-ebpf/src/parse/icmp.rs",
        "use crate::{parse::network, wire::icmp};",
    );
}

#[test]
fn tests_do_not_read_packets_with_the_code_under_test() {
    bad(
        "tests/dataplane/main.rs",
        "use lb_ebpf::wire;",
        "independent library",
    );
    good("tests/dataplane/main.rs", "use etherparse::PacketBuilder;");
}

#[test]
fn a_file_begins_with_what_it_owns() {
    assert_eq!(breaches("xtask/src/ci.rs", "use std::fs;\n").len(), 1);
    assert_eq!(breaches("xtask/src/ci.rs", "//!\n").len(), 1);
    assert_eq!(breaches("xtask/src/ci.rs", "").len(), 1);
}

#[test]
fn a_file_has_at_most_five_hundred_lines() {
    good("xtask/src/ci.rs", &"\n".repeat(499));
    bad("xtask/src/ci.rs", &"\n".repeat(500), "501 lines");
}

#[test]
fn a_module_is_named_after_what_it_owns() {
    bad("lb-userspace/src/stats/util.rs", "", "not `util`");
    bad("xtask/src/helpers/mod.rs", "", "not `helpers`");
    good("lb-common/src/names.rs", "");
}

#[test]
fn unsafe_stands_only_where_it_may() {
    bad(
        "lb-ebpf/src/parse/mod.rs",
        "fn f() { unsafe { g() } }",
        "`unsafe` outside",
    );
    good("lb-ebpf/src/frame.rs", "fn f() { unsafe { g() } }");
    good(
        "lb-ebpf/src/parse/mod.rs",
        "#![deny(unsafe_code)] // unsafe",
    );
}

#[test]
fn the_names_of_maps_stand_in_one_file() {
    let code = "const LEDGER: &str = \"LEDGER\";";
    bad("tests/abi/main.rs", code, "use `lb_common::names::LEDGER`");
    good("lb-common/src/names.rs", code);
    good(
        "lb-userspace/src/cli/output.rs",
        "const HEADING: &str = \"BACKENDS\";",
    );
    good("tests/abi/main.rs", "const TEXT: &str = \"LEDGER of all\";");
}
