//! What each kind of packet gets: rows of frame in, outcome and frame out, through the loaded program.
//!
//! Each module of `rows` is a part of the packet table. A row is given to the real program by
//! `BPF_PROG_TEST_RUN` in a world of two interfaces (`world`), and everything that can be told of the
//! result is compared (`row`).
#![expect(
    clippy::indexing_slicing,
    reason = "rows are written for frames of known length, and a test may panic"
)]

mod decap;
mod family;
mod flood;
mod ledger;
mod member;
mod row;
mod rows;
mod world;

use std::collections::BTreeSet;

use lb_common::{
    outcome::Outcome,
    settings::{Settings, SourceNat},
};
use lb_tests::{kernel, object::Form};
use rustix::thread::{CpuSet, sched_getcpu, sched_setaffinity};

use member::{LAST_PORT, PORTS};
use row::Row;
use world::in_world;

/// Outcomes that no row can reach, and why.
const UNREACHABLE: &[(Outcome, &str)] = &[(
    Outcome::NoRoom,
    "a frame that holds an IP header has room to lose its VLAN tags",
)];

fn check(rows: &[Row]) {
    check_with(SETTINGS, rows);
}

fn check_with(settings: Settings, rows: &[Row]) {
    check_in(Form::all(), settings, rows);
}

fn check_in(forms: &[Form], settings: Settings, rows: &[Row]) {
    if !kernel::is_5_15() {
        kernel::skipped(
            "this kernel lets nobody choose a test frame's ingress interface (5.15 does)",
        );
        return;
    }
    for form in forms {
        let failures: Vec<String> = in_world(settings, *form, |world| {
            rows.iter().filter_map(|row| row.failure(world)).collect()
        });
        assert!(
            failures.is_empty(),
            "{} of {} rows failed with the program {form:?}:\n\n{}",
            failures.len(),
            rows.len(),
            failures.join("\n\n")
        );
    }
}

const SETTINGS: Settings = Settings {
    hash_seed: 0,
    drop_unmatched: 0,
    icmp_errors_per_second: 0,
    gue_port: GUE_PORT as u32,
    ..Settings::DEFAULT
};

/// Nothing is in use that costs a look-up.
const NO_FEATURES: Settings = Settings {
    features: 0,
    ..SETTINGS
};

/// After how many ticks a source port may be given to another flow.
const TIMEOUTS: SourceNat = SourceNat {
    established: 7_000,
    transitory: 200,
    udp: 300,
    ..SourceNat::NONE
};

/// Where the backends of the world take GUE.
const GUE_PORT: u16 = 6_080;

/// A budget of errors that no test exhausts.
const GENEROUS: Settings = Settings {
    icmp_errors_per_second: 1_000_000_000,
    ..SETTINGS
};

const DROP_UNMATCHED: Settings = Settings {
    drop_unmatched: 1,
    ..SETTINGS
};

#[test]
fn frames_that_are_not_for_us_are_passed_untouched() {
    check(&rows::link::rows());
    check(&rows::not_ours::rows());
}

#[test]
fn ports_without_a_service_are_passed_or_dropped_as_set() {
    check(&rows::unmatched::passed());
    check_with(DROP_UNMATCHED, &rows::unmatched::dropped());
}

#[test]
fn a_vip_of_every_port_takes_what_no_other_takes() {
    check(&rows::unmatched::any_port());
}

#[test]
fn a_vip_may_be_a_prefix() {
    check(&rows::prefix::rows());
    check_with(DROP_UNMATCHED, &rows::prefix::dropped());
}

#[test]
fn what_is_not_in_use_is_not_looked_up() {
    check_with(NO_FEATURES, &rows::features::rows());
    check_with(NO_FEATURES, &rows::algorithm::unused());
}

#[test]
fn slots_are_chosen_by_source_by_turns_or_by_chance() {
    check_on_one_cpu(&rows::algorithm::rows());
}

#[test]
fn sctp_is_forwarded_where_its_checksum_stays_right() {
    check(&rows::sctp::rows());
}

#[test]
fn packets_reach_backends_in_both_modes() {
    check(&rows::forward::rows());
}

#[test]
fn vlan_tags_are_kept_pushed_changed_or_removed_as_the_egress_asks() {
    check(&rows::vlan::rows());
}

#[test]
fn ipv4_options_and_lengths_are_honoured() {
    check(&rows::ipv4::rows());
}

#[test]
fn ipv6_extension_headers_are_walked() {
    check(&rows::ipv6::rows());
}

#[test]
fn fragments_follow_their_first() {
    check(&rows::fragment::rows());
}

#[test]
fn truncated_frames_are_never_trusted() {
    check(&rows::truncated::rows());
}

#[test]
fn bad_sources_and_used_up_hops_are_dropped() {
    check(&rows::guard::rows());
}

#[test]
fn nothing_of_a_blocked_source_goes_on_or_up() {
    check(&rows::blocklist::rows());
}

#[test]
fn sources_beyond_their_limit_are_dropped() {
    check(&rows::rate::rows());
}

#[test]
fn what_cannot_be_forwarded_is_dropped_with_its_own_reason() {
    check(&rows::refused::rows());
}

#[test]
fn checksums_hold_at_the_edges_of_their_arithmetic() {
    check(&rows::checksum::rows());
}

#[test]
fn replies_of_nat_backends_come_from_the_vip() {
    check(&rows::reply::rows());
}

#[test]
fn probes_go_the_way_of_clients_packets_and_come_back() {
    check(&rows::probe::rows());
}

#[test]
fn flows_stay_with_their_backend() {
    check(&rows::flow::rows());
}

/// As [`check`], on one CPU, which has [`PORTS`] source ports to give out.
fn check_on_one_cpu(rows: &[Row]) {
    let cpu = sched_getcpu();
    let mut cpus = CpuSet::new();
    cpus.set(cpu);
    sched_setaffinity(None, &cpus).expect("staying on a CPU");
    let before = u16::try_from(cpu).expect("few CPUs") * PORTS;
    let snat = SourceNat {
        first_port: LAST_PORT - before,
        ports_per_cpu: PORTS,
        ..TIMEOUTS
    };
    check_with(Settings { snat, ..SETTINGS }, rows);
}

#[test]
fn snat_backends_see_the_balancer_and_nothing_else() {
    check_on_one_cpu(&rows::snat::packets::rows());
}

#[test]
fn source_ports_belong_to_one_flow_until_it_has_been_idle_long_enough() {
    check_on_one_cpu(&rows::snat::ports::rows());
}

#[test]
fn without_source_ports_nothing_goes_to_an_snat_backend() {
    check(&rows::snat::ports::without());
}

#[test]
fn quic_packets_go_to_the_server_that_their_connection_id_names() {
    check(&rows::quic::rows());
}

#[test]
fn tunnels_carry_every_packet_whole() {
    check(&rows::tunnel::rows());
}

#[test]
fn jumbo_frames_are_handled_like_others() {
    if kernel::takes_jumbo_frames() {
        check_in(&[Form::Jumbo], GENEROUS, &rows::jumbo::rows());
    } else {
        kernel::skipped("this kernel takes no XDP program for jumbo frames (5.18 does)");
    }
}

#[test]
fn echo_requests_to_vips_are_answered_at_every_length_and_sum() {
    check(&rows::echo::rows());
}

#[test]
fn used_up_hops_and_big_packets_are_reported_to_their_sender() {
    check_with(GENEROUS, &rows::generated::sent());
}

#[test]
fn big_packets_are_dropped_where_the_sender_is_not_told() {
    check(&rows::generated::untold());
}

#[test]
fn errors_beyond_the_budget_are_not_sent() {
    if !kernel::is_5_15() {
        kernel::skipped("this kernel lets nobody choose a test frame's ingress interface");
        return;
    }
    // One in a second is less than a burst takes.
    let settings = Settings {
        icmp_errors_per_second: 1,
        ..SETTINGS
    };
    in_world(settings, Form::Plain, rows::generated::exhausts_the_budget);
}

#[test]
fn icmp_errors_reach_the_backend_of_the_flow_they_are_about() {
    check(&rows::icmp_error::rows());
    check_with(DROP_UNMATCHED, &rows::icmp_error::unmatched_dropped());
}

#[test]
fn rows_cover_every_outcome() {
    let rows = rows::all();
    kernel::say(&format!("fixture_rows: {}", rows.len()));
    let covered: BTreeSet<Outcome> = rows.iter().flat_map(Row::outcomes).collect();
    let wanted: BTreeSet<Outcome> = Outcome::ALL
        .iter()
        .copied()
        .filter(|outcome| UNREACHABLE.iter().all(|(other, _)| other != outcome))
        .collect();
    assert_eq!(covered, wanted);
    let mut names = BTreeSet::new();
    let repeated = rows
        .iter()
        .map(Row::name)
        .filter(|name| !names.insert(*name));
    let repeated: Vec<&str> = repeated.collect();
    assert!(
        repeated.is_empty(),
        "every row has its own name: {repeated:?}"
    );
}
