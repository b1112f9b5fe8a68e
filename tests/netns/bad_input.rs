//! Requests that are refused: a clear error, and nothing changed.

use std::{
    fs,
    io::Write as _,
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
};

use lb_tests::control::{Control, outcome};
use serde_json::{Value, json};

use crate::scene::{generation, lone};

const PARSE: i64 = -32_700;
const INVALID_REQUEST: i64 = -32_600;
const METHOD_NOT_FOUND: i64 = -32_601;
const INVALID_PARAMS: i64 = -32_602;
const NOT_FOUND: i64 = -32_002;
const CONFLICT: i64 = -32_003;
const TOO_LONG: i64 = -32_006;

/// What must stay as it is.
fn snapshot(control: &mut Control) -> (u64, Value, Value) {
    let config = control.must("config.get", &json!({}));
    let services = control.must("service.list", &json!({}));
    (generation(control), config, services)
}

/// Calls `inside` with a daemon that has one service, and checks that it changed nothing.
fn changes_nothing(inside: impl FnOnce(&mut Control)) {
    let (_namespace, instance) = lone();
    let daemon = instance.start();
    let mut control = daemon.control();
    control.must(
        "service.add",
        &json!({
            "name": "web",
            "vips": ["192.0.2.10:80/tcp"],
            "backend": [{"address": "10.9.9.9:80"}],
        }),
    );
    let before = snapshot(&mut control);
    inside(&mut control);
    // On a new connection: the old one may be closed for good reason.
    assert_eq!(snapshot(&mut daemon.control()), before);
}

#[track_caller]
fn refuses(control: &mut Control, method: &str, params: &Value, code: i64, words: &[&str]) {
    let refused = control.refused(method, params);
    assert_eq!(refused.code, code, "{method} {params}: {refused:?}");
    for word in words {
        assert!(
            refused.message.contains(word),
            "`{word}` is not in: {}",
            refused.message
        );
    }
}

#[test]
fn malformed_line_is_answered_and_the_connection_goes_on() {
    changes_nothing(|control| {
        for line in ["{\n", "nonsense\n", "{\"jsonrpc\": \"2.0\",}\n"] {
            let refused = outcome(&control.exchange(line.as_bytes())).expect_err("an error");
            assert_eq!(refused.code, PARSE, "{line}: {refused:?}");
        }
        for line in [
            "[]\n",
            "5\n",
            "{\"id\": 1}\n",
            "{\"jsonrpc\": \"1.0\", \"id\": 1, \"method\": \"status\"}\n",
        ] {
            let refused = outcome(&control.exchange(line.as_bytes())).expect_err("an error");
            assert_eq!(refused.code, INVALID_REQUEST, "{line}: {refused:?}");
        }
        control.must("version", &json!({}));
    });
}

#[test]
fn line_that_is_not_text_is_answered() {
    changes_nothing(|control| {
        let refused = outcome(&control.exchange(b"\"\xff\xfe\"\n")).expect_err("an error");
        assert_eq!(refused.code, PARSE, "{refused:?}");
    });
}

#[test]
fn unknown_field_is_named() {
    changes_nothing(|control| {
        let service = json!({"name": "x", "vips": ["192.0.2.11:80/tcp"], "colour": "red"});
        refuses(
            control,
            "service.add",
            &service,
            INVALID_PARAMS,
            &["colour"],
        );
        let backend = json!({"service": "web", "address": "10.9.9.8:80", "wieght": 2});
        refuses(
            control,
            "backend.add",
            &backend,
            INVALID_PARAMS,
            &["wieght"],
        );
        refuses(
            control,
            "status",
            &json!({"verbose": true}),
            INVALID_PARAMS,
            &["verbose"],
        );
    });
}

#[test]
fn unknown_method_is_named() {
    changes_nothing(|control| {
        refuses(
            control,
            "service.frobnicate",
            &json!({}),
            METHOD_NOT_FOUND,
            &["frobnicate"],
        );
    });
}

#[test]
fn too_long_line_is_refused() {
    changes_nothing(|control| {
        // The tests are root, who may change things.
        let line = format!("\"{}\"\n", "x".repeat(1 << 25));
        let refused = outcome(&control.exchange(line.as_bytes())).expect_err("an error");
        assert_eq!(refused.code, TOO_LONG, "{refused:?}");
    });
}

#[test]
fn vip_of_another_service_is_refused() {
    changes_nothing(|control| {
        let service = json!({"name": "other", "vips": ["192.0.2.10:80/tcp"]});
        refuses(
            control,
            "service.add",
            &service,
            CONFLICT,
            &["192.0.2.10:80/tcp", "web"],
        );
    });
}

#[test]
fn second_of_a_name_is_refused() {
    changes_nothing(|control| {
        let service = json!({"name": "web", "vips": ["192.0.2.11:80/tcp"]});
        refuses(control, "service.add", &service, CONFLICT, &["web"]);
        let backend = json!({"service": "web", "address": "10.9.9.9:80"});
        refuses(control, "backend.add", &backend, CONFLICT, &["10.9.9.9:80"]);
    });
}

#[test]
fn unknown_service_and_backend_are_named() {
    changes_nothing(|control| {
        let backend = json!({"service": "wbe", "address": "10.9.9.8:80"});
        refuses(control, "backend.add", &backend, NOT_FOUND, &["wbe"]);
        refuses(
            control,
            "service.get",
            &json!({"name": "wbe"}),
            NOT_FOUND,
            &["wbe"],
        );
        refuses(
            control,
            "service.remove",
            &json!({"name": "wbe"}),
            NOT_FOUND,
            &["wbe"],
        );
        let backend = json!({"service": "web", "address": "10.9.9.8:80"});
        refuses(
            control,
            "backend.drain",
            &backend,
            NOT_FOUND,
            &["10.9.9.8:80"],
        );
    });
}

#[test]
fn nat_to_the_other_ip_version_is_refused() {
    changes_nothing(|control| {
        let backend = json!({"service": "web", "address": "[fd00::9]:80", "mode": "nat"});
        refuses(
            control,
            "backend.add",
            &backend,
            INVALID_PARAMS,
            &["nat", "[fd00::9]:80"],
        );
    });
}

#[test]
fn bad_values_are_refused_with_what_would_be_right() {
    changes_nothing(|control| {
        let add = |vip: &str| json!({"name": "x", "vips": [vip]});
        for vip in [
            "192.0.2.10",
            "192.0.2.10:80",
            "192.0.2.10:0/tcp",
            "127.0.0.1:80/tcp",
            "[fe80::10]:80/tcp",
            "x/tcp",
        ] {
            let refused = control.refused("service.add", &add(vip));
            assert_eq!(refused.code, INVALID_PARAMS, "{vip}: {refused:?}");
        }
        for (address, why) in [("[fe80::11]:80", "link-local"), ("224.0.0.1:80", "unicast")] {
            let backend = json!({"service": "web", "address": address});
            refuses(control, "backend.add", &backend, INVALID_PARAMS, &[why]);
        }
        let weight = json!({"service": "web", "address": "10.9.9.8:80", "weight": 0});
        refuses(control, "backend.add", &weight, INVALID_PARAMS, &["weight"]);
        let mode = json!({"service": "web", "address": "10.9.9.8:80", "mode": "dsr"});
        refuses(
            control,
            "backend.add",
            &mode,
            INVALID_PARAMS,
            &["dsr", "l2", "nat"],
        );
    });
}

#[test]
fn service_with_live_backends_is_removed_only_by_force() {
    changes_nothing(|control| {
        refuses(
            control,
            "service.remove",
            &json!({"name": "web"}),
            CONFLICT,
            &["force"],
        );
    });
}

#[test]
fn batch_answers_each_request_in_one_line() {
    let (_namespace, instance) = lone();
    let daemon = instance.start();
    let answer = daemon.control().exchange(
        b"[{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"version\"}, 5, {\"jsonrpc\": \"2.0\", \"id\": 2, \"method\": \"status\"}]\n",
    );
    let answers = answer.as_array().expect("an array of answers");
    assert_eq!(answers.len(), 3, "{answer:#}");
    let of = |id| {
        answers
            .iter()
            .find(|answer| answer["id"] == json!(id))
            .expect("an answer")
    };
    assert!(
        outcome(of(1)).is_ok() && outcome(of(2)).is_ok(),
        "{answer:#}"
    );
}

#[test]
fn clients_that_say_nothing_or_half_a_line_hold_up_nobody() {
    let (_namespace, instance) = lone();
    let daemon = instance.start();
    let mut silent: Vec<UnixStream> = (0..20)
        .map(|_| UnixStream::connect(instance.socket()).expect("a connection"))
        .collect();
    for half in silent.iter_mut().step_by(2) {
        half.write_all(b"{\"jsonrpc\": ").expect("half a line");
    }
    daemon.control().must("status", &json!({}));
}

#[test]
fn strangers_may_not_even_connect() {
    let (_namespace, instance) = lone();
    let _daemon = instance.start();
    let mode = fs::metadata(instance.socket())
        .expect("a socket")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o660, "mode {mode:o}");
}

#[test]
fn modes_that_routes_and_interfaces_cannot_serve_are_faults_with_their_place() {
    let (namespace, instance) = lone();
    namespace.ip("address add 10.9.0.1/24 dev up0");
    namespace.ip("address add fd09::1/64 dev up0 nodad");
    namespace.ip("route add 10.8.0.0/24 via 10.9.0.2");
    namespace.ip("link set up0 mtu 1310");
    let daemon = instance.start();
    let mut control = daemon.control();
    let toml = "[[service]]\nname = \"web\"\nvips = [\"[2001:db8::10]:80/tcp\"]\nbackend = [\n\
                { address = \"10.9.0.2:80\" },\n\
                { address = \"10.8.0.2:80\" },\n\
                { address = \"10.9.0.1:80\" },\n\
                { address = \"10.9.0.2:81\", mode = \"local\" },\n\
                { address = \"10.8.0.2:81\", mode = \"gue\" },\n\
                { address = \"[fd09::2]:80\", mode = \"ipip\" },\n]\n";
    let checked = control.must("config.check", &json!({"toml": toml}));
    let faults = checked["faults"].as_array().expect("a list of faults");
    let expected = [
        (6, "through a gateway"),
        (7, "use mode local"),
        (8, "no address of this host"),
        (10, "1320 or more"),
    ];
    assert_eq!(faults.len(), expected.len(), "{checked:#}");
    for (fault, (line, words)) in faults.iter().zip(expected) {
        assert_eq!(fault["line"], json!(line), "{fault}");
        let message = fault["message"].as_str().unwrap_or_default();
        assert!(message.contains(words), "`{words}` is not in: {message}");
    }
    // A link may be narrow for a while: a change is made all the same, and says so.
    namespace.ip("neighbor add fd09::2 lladdr 02:00:00:00:00:02 dev up0");
    let service = json!({
        "name": "web", "vips": ["[2001:db8::10]:80/tcp"], "mode": "ipip",
        "backend": [{"address": "[fd09::2]:80"}],
    });
    let added = control.must("service.add", &service);
    let warnings = added["warnings"].to_string();
    assert!(warnings.contains("1320 or more"), "{added}");
}
