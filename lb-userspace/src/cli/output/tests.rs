//! What people see, word for word.

use std::time::UNIX_EPOCH;

use serde_json::json;

use super::*;
use crate::control::protocol::{
    BackendList, ConfigApply, ConfigGet, ConfigText, FlowFilter, FlowList, NoParams, ServiceRef,
};

/// 2001-09-09, and 100,000 s after it.
const BEGIN_MS: u64 = 1_000_000_000_000;

fn shown(call: &Call, answer: Value, all_outcomes: bool) -> String {
    let view = View {
        all_outcomes,
        now: UNIX_EPOCH + Duration::from_millis(BEGIN_MS) + Duration::from_secs(100_000),
    };
    text(call, answer, view).unwrap().answer
}

/// Without the first line break and the margin, so that a table can stand in the source as it is shown.
fn plain(text: &str) -> String {
    let lines = text.lines().skip(1);
    lines
        .map(|line| line.strip_prefix("    ").unwrap_or(line).to_owned() + "\n")
        .collect()
}

fn healthy() -> Value {
    json!({
        "service": "web", "address": "10.0.0.11:8080", "weight": 1, "mode": "l2", "state": "up",
        "removing": false, "health": "up", "health_since_ms": BEGIN_MS, "health_reason": "200 OK in 2 ms",
        "serving": true, "slots": 681,
    })
}

fn failing() -> Value {
    json!({
        "service": "web", "address": "[fd00::12]:80", "weight": 100, "mode": "nat", "state": "drain",
        "removing": true, "health": "unknown", "health_reason": "not probed yet",
        "serving": false, "not_serving_because": "no route to it", "slots": 0,
    })
}

#[test]
fn status_shows_slots_that_move_and_flows_that_are_left() {
    let mut draining = failing();
    draining["slots"] = json!(340);
    draining["flows_left"] = json!(17);
    let answer = json!({
        "generation": 12, "uptime_ms": 7_500_000, "in_sync": true, "errors": [], "interfaces": [],
        "services": [{ "name": "web", "vips": ["192.0.2.10:443/tcp"], "table_slots": 1021, "generation": 11,
            "algorithm": "source-hash", "backends": [draining],
            "moves": { "tracked": 352, "learning": 340, "lingering": 12, "waiting": 0 } }],
    });
    let expected = plain(
        "
    generation 12, in sync, up 2h5m

    service web: 192.0.2.10:443/tcp; 1021 slots of generation 11; source-hash
    slots: 352 are tracked, 340 learn, 12 have flows elsewhere
    ADDRESS        WEIGHT  MODE  STATE     HEALTH   SINCE  SLOTS  REASON
    [fd00::12]:80     100  nat   removing  unknown  -        340  no route to it, 17 flows left
",
    );
    assert_eq!(shown(&Call::Status(NoParams {}), answer, false), expected);
}

#[test]
fn status_shows_what_holds_and_why() {
    let answer = json!({
        "generation": 12, "uptime_ms": 7_500_000, "in_sync": false,
        "errors": ["put backend 3: no space left"],
        "interfaces": [
            { "name": "eth0", "index": 2, "xdp_mode": "native" },
            { "name": "eth1", "index": 3, "xdp_mode": "detached" },
        ],
        "services": [
            { "name": "web", "vips": ["192.0.2.10:443/tcp", "[2001:db8::10]:443/tcp"],
              "table_slots": 1021, "generation": 11, "backends": [healthy(), failing()] },
            { "name": "dns", "vips": ["192.0.2.53:53/udp"], "table_slots": 0, "generation": 0, "backends": [] },
        ],
    });
    let expected = plain(
        "
    generation 12, not in sync, up 2h5m
    error: put backend 3: no space left
    interface eth0: native
    interface eth1: detached

    service web: 192.0.2.10:443/tcp, [2001:db8::10]:443/tcp; 1021 slots of generation 11
    ADDRESS         WEIGHT  MODE  STATE     HEALTH   SINCE  SLOTS  REASON
    10.0.0.11:8080       1  l2    up        up       1d3h     681  200 OK in 2 ms
    [fd00::12]:80      100  nat   removing  unknown  -          0  no route to it

    service dns: 192.0.2.53:53/udp; 0 slots of generation 0
    no backends
",
    );
    assert_eq!(shown(&Call::Status(NoParams {}), answer, false), expected);
}

#[test]
fn backends_are_listed_with_their_service() {
    let expected = plain(
        "
    SERVICE  ADDRESS         WEIGHT  MODE  STATE  HEALTH  SINCE  SLOTS  REASON
    web      10.0.0.11:8080       1  l2    up     up      1d3h     681  200 OK in 2 ms
",
    );
    let call = Call::BackendList(BackendList::default());
    assert_eq!(
        shown(&call, json!({ "backends": [healthy()] }), false),
        expected
    );
}

#[test]
fn server_ids_are_shown_where_a_backend_has_some() {
    let mut named = healthy();
    named["server_ids"] = json!(["0a0b", "0a0b0c"]);
    let expected = plain(
        "
    SERVICE  ADDRESS         WEIGHT  MODE  STATE  HEALTH  SINCE  SLOTS  REASON          SERVER IDS
    web      10.0.0.11:8080       1  l2    up     up      1d3h     681  200 OK in 2 ms  0a0b,0a0b0c
    web      10.0.0.11:8080       1  l2    up     up      1d3h     681  200 OK in 2 ms
",
    );
    let call = Call::BackendList(BackendList::default());
    let answer = json!({ "backends": [named, healthy()] });
    assert_eq!(shown(&call, answer, false), expected);
}

#[test]
fn stats_leave_out_what_never_happened_unless_asked() {
    let answer = json!({
        "generation": 12, "packets": 1_234_570,
        "ledger": { "forward.forwarded": 1_234_567, "drop.truncated": 0, "pass.not_vip": 3 },
        "interfaces": [
            { "name": "eth0", "packets": 1_234_000, "ledger": { "forward.forwarded": 1_234_000 } },
            { "name": "eth1", "packets": 569, "ledger": { "forward.forwarded": 567, "pass.not_vip": 2 } },
        ],
        "other": { "packets": 1, "ledger": { "pass.not_vip": 1 } },
        "services": [{
            "name": "web", "packets": 30, "bytes": 1_800, "flows": 3,
            "backends": [
                { "address": "10.0.0.11:8080", "packets": 10, "bytes": 600, "flows": 1 },
                { "address": "10.0.0.12:8080", "packets": 20, "bytes": 1_200, "flows": 2 },
            ],
        }],
    });
    let expected = plain(
        "
    generation 12

    OUTCOME            PACKETS
    forward.forwarded  1234567
    pass.not_vip             3
    all                1234570

    INTERFACE  OUTCOME            PACKETS
    eth0       forward.forwarded  1234000
    eth0       all                1234000
    eth1       forward.forwarded      567
    eth1       pass.not_vip             2
    eth1       all                    569
    (other)    pass.not_vip             1
    (other)    all                      1

    SERVICE  BACKEND         PACKETS  BYTES  FLOWS
    web      10.0.0.11:8080       10    600      1
    web      10.0.0.12:8080       20   1200      2
    web      all                  30   1800      3
",
    );
    let call = Call::Stats(NoParams {});
    assert_eq!(shown(&call, answer.clone(), false), expected);
    let all = shown(&call, answer, true);
    assert!(all.contains("\ndrop.truncated           0\n"), "{all}");
}

#[test]
fn the_blocklist_is_one_prefix_a_line() {
    let call = Call::BlocklistList(NoParams {});
    let answer = json!({ "prefixes": ["203.0.113.0/24", "2001:db8::7/128"] });
    let expected = "203.0.113.0/24\n2001:db8::7/128\n";
    assert_eq!(shown(&call, answer, false), expected);
    assert_eq!(shown(&call, json!({ "prefixes": [] }), false), "");
}

#[test]
fn services_are_listed_with_their_defaults() {
    let answer = json!({ "services": [
        { "name": "dns", "vips": ["192.0.2.53:53/udp", "[2001:db8::53]:53/udp"], "mode": "nat", "table_slots": 4093,
          "source_rate": 1000, "probe": { "type": "tcp" }, "backend": [{ "address": "10.0.0.11:53" }] },
        { "name": "web", "vips": ["192.0.2.10:443/tcp"] },
    ] });
    let expected = plain(
        "
    NAME  VIPS                                     MODE  SLOTS  SOURCE RATE  PROBE  BACKENDS
    dns   192.0.2.53:53/udp,[2001:db8::53]:53/udp  nat    4093  1000         tcp           1
    web   192.0.2.10:443/tcp                       l2     auto  none         none          0
",
    );
    assert_eq!(
        shown(&Call::ServiceList(NoParams {}), answer, false),
        expected
    );
}

#[test]
fn a_service_and_a_configuration_are_shown_as_a_file_that_can_be_applied() {
    let service = json!({
        "name": "web", "vips": ["192.0.2.10:443/tcp"], "table_slots": "auto", "probe": { "type": "tcp", "rise": 1 },
        "backend": [{ "address": "10.0.0.11:8080", "weight": 2 }],
    });
    let expected = plain(
        "
    [[service]]
    name = \"web\"
    vips = [\"192.0.2.10:443/tcp\"]
    table_slots = \"auto\"

    [service.probe]
    type = \"tcp\"
    rise = 1

    [[service.backend]]
    address = \"10.0.0.11:8080\"
    weight = 2
",
    );
    let get = Call::ServiceGet(ServiceRef {
        name: "web".to_owned(),
    });
    assert_eq!(shown(&get, service.clone(), false), expected);
    let config = json!({ "service": [service] });
    assert_eq!(
        shown(
            &Call::ConfigGet(ConfigGet::default()),
            config.clone(),
            false
        ),
        expected
    );
    let read: ConfigSpec = toml::from_str(&expected).unwrap();
    assert_eq!(serde_json::to_value(read).unwrap(), config);
}

#[test]
fn versions_of_both_ends_are_shown() {
    let answer = json!({ "daemon": "0.2.0", "api": 1, "abi": 3, "kernel": "6.18.0" });
    let expected = format!(
        "lbctl {} (API 1)\nlbd 0.2.0 (API 1, ABI 3), kernel 6.18.0\n",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(shown(&Call::Version(NoParams {}), answer, false), expected);
}

#[test]
fn a_plan_shows_differences_steps_and_what_moves() {
    let answer = json!({
        "changes": true,
        "differences": [
            { "place": "service[web].backend[10.0.0.12:80]", "before": { "address": "10.0.0.12:80" } },
            { "place": "service[web].backend[10.0.0.11:80].weight", "before": 1, "after": 2 },
        ],
        "steps": ["write a table of 1021 slots at 1024", "publish 192.0.2.10:80/tcp with 1021 slots"],
        "services": [{
            "name": "web", "slots": 1021, "moved_slots": 511, "flows": 40, "moved_flows": 19,
            "added": ["10.0.0.13:80"], "removed": ["10.0.0.12:80"],
        }],
        "flows": 60, "moved_flows": 19,
        "over_budget": ["19 flows would move, 5 are allowed"],
    });
    let expected = plain(
        r#"
    - service[web].backend[10.0.0.12:80] {"address":"10.0.0.12:80"}
    ~ service[web].backend[10.0.0.11:80].weight 1 -> 2

    steps:
       1. write a table of 1021 slots at 1024
       2. publish 192.0.2.10:80/tcp with 1021 slots

    SERVICE  SLOTS   MOVED SLOTS  FLOWS  MOVED FLOWS  COME AND GO
    web       1021  511 (50.0 %)     40           19  +10.0.0.13:80 -10.0.0.12:80

    19 of 60 remembered flows would move
"#,
    );
    let call = Call::ConfigPlan(ConfigApply::default());
    assert_eq!(shown(&call, answer, false), expected);
    let idle = json!({ "changes": false, "differences": [], "steps": [], "services": [], "flows": 9, "moved_flows": 0 });
    assert_eq!(shown(&call, idle, false), "nothing to do\n");
}

#[test]
fn the_history_tells_when_how_and_by_whom() {
    let differences = |count: usize| vec![json!({ "place": "blocklist[a]", "after": "a" }); count];
    let answer = json!({
        "changed_since": true,
        "entries": [
            { "number": 12, "at_ms": BEGIN_MS, "origin": "rollback", "of": 3, "uid": 1000, "pid": 7,
              "generation": 40, "differences": differences(12) },
            { "number": 11, "at_ms": BEGIN_MS, "origin": "start", "generation": 38, "differences": [] },
        ],
    });
    let shown = shown(&Call::ConfigHistory(NoParams {}), answer, false);
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(
        lines[0],
        "12: rollback to 3 by uid 1000, 1d3h ago, generation 40"
    );
    assert_eq!(lines[1], "    + blocklist[a] \"a\"");
    assert_eq!(
        lines[11..],
        ["    and 2 more", "11: start, 1d3h ago, generation 38"]
    );
}

#[test]
fn flows_are_listed_and_counted() {
    let answer = json!({ "more": true, "flows": [{
        "source": "198.51.100.7:4000", "destination": "192.0.2.10:80", "protocol": "tcp",
        "service": "web", "backend": "10.0.0.11:80",
    }] });
    let expected = plain(
        "
    PROTOCOL  SOURCE             DESTINATION    SERVICE  BACKEND
    tcp       198.51.100.7:4000  192.0.2.10:80  web      10.0.0.11:80
",
    );
    let call = Call::FlowsList(FlowList::default());
    assert_eq!(shown(&call, answer, false), expected);
    let answer = json!({ "flows": 3, "backends": [{ "service": "web", "backend": "10.0.0.11:80", "flows": 3 }] });
    let expected = plain(
        "
    SERVICE  BACKEND       FLOWS
    web      10.0.0.11:80      3
    all                        3
",
    );
    let call = Call::FlowsCount(FlowFilter::default());
    assert_eq!(shown(&call, answer, false), expected);
}

#[test]
fn faults_are_remarks_not_answers() {
    let answer = json!({ "valid": false, "faults": [{ "place": "service[0]", "message": "bad" }] });
    let view = View {
        all_outcomes: false,
        now: UNIX_EPOCH,
    };
    let text = text(&Call::ConfigCheck(ConfigText::default()), answer, view).unwrap();
    assert_eq!(
        (text.answer.as_str(), text.remarks),
        ("", vec!["service[0]: bad".to_owned()])
    );
}

#[test]
fn of_many_warnings_the_first_are_shown_and_the_others_counted() {
    let view = View {
        all_outcomes: false,
        now: UNIX_EPOCH,
    };
    let remarks = |count: usize| {
        let warnings: Vec<String> = (0..count).map(|it| it.to_string()).collect();
        let answer = json!({ "generation": 2, "warnings": warnings });
        let call = Call::ConfigApply(ConfigApply::default());
        text(&call, answer, view).unwrap().remarks
    };
    assert_eq!(remarks(20).last().unwrap(), "warning: 19");
    let many = remarks(23);
    assert_eq!((many.len(), many[19].as_str()), (21, "warning: 19"));
    assert_eq!(many[20], "and 3 more");
}

#[test]
fn ages_have_two_units_at_most() {
    for (seconds, expected) in [
        (0, "0s"),
        (59, "59s"),
        (184, "3m4s"),
        (7_500, "2h5m"),
        (100_000, "1d3h"),
    ] {
        assert_eq!(age(Duration::from_secs(seconds)), expected);
    }
}

#[test]
fn quic_configurations_are_shown_as_they_are_typed_where_there_are_any() {
    let quic = json!([
        { "config_id": 0, "server_id_length": 2, "first_octet_encodes_cid_length": true },
        { "config_id": 1, "server_id_length": 3 },
    ]);
    let listed = json!({ "services": [
        { "name": "web", "vips": ["192.0.2.10:443/udp"], "quic_lb": quic },
        { "name": "dns", "vips": ["192.0.2.53:53/udp"] },
    ] });
    let expected = plain(
        "
    NAME  VIPS                MODE  SLOTS  SOURCE RATE  PROBE  BACKENDS  QUIC-LB
    web   192.0.2.10:443/udp  l2     auto  none         none          0  0:2:length,1:3
    dns   192.0.2.53:53/udp   l2     auto  none         none          0
",
    );
    assert_eq!(
        shown(&Call::ServiceList(NoParams {}), listed, false),
        expected
    );

    let status = json!({
        "generation": 1, "uptime_ms": 0, "in_sync": true, "interfaces": [],
        "services": [{
            "name": "web", "vips": ["192.0.2.10:443/udp"], "table_slots": 1021, "generation": 1,
            "backends": [], "quic_lb": quic,
        }],
    });
    let text = shown(&Call::Status(NoParams {}), status, false);
    assert!(
        text.contains("1021 slots of generation 1; QUIC-LB 0:2:length,1:3\n"),
        "{text}"
    );
}
