//! QUIC-LB configurations and server ids on the command line.

use super::*;

#[test]
fn configurations_and_server_ids_become_parameters_and_none_take_them_away() {
    let config = |id, length| json!({ "config_id": id, "server_id_length": length });
    let mut told = config(0, 2);
    told["first_octet_encodes_cid_length"] = json!(true);
    let vips = json!(["192.0.2.10:443/udp"]);
    calls_are(&[
        (
            "service add web --vip 192.0.2.10:443/udp --quic-lb 0:2:length,6:15",
            "service.add",
            json!({ "name": "web", "vips": vips, "quic_lb": [told, config(6, 15)] }),
        ),
        (
            "service update web --quic-lb 0:2:length --quic-lb 1:3",
            "service.update",
            json!({ "name": "web", "quic_lb": [told, config(1, 3)] }),
        ),
        (
            "service update web --no-quic-lb",
            "service.update",
            json!({ "name": "web", "quic_lb": [] }),
        ),
        (
            "backend add web 10.0.0.11:443 --server-id 0a0b",
            "backend.add",
            json!({ "service": "web", "address": "10.0.0.11:443", "server_ids": ["0a0b"] }),
        ),
        (
            "backend update web 10.0.0.11:443 --server-id 0a0b --server-id 0a0b0c",
            "backend.update",
            json!({ "service": "web", "address": "10.0.0.11:443", "server_ids": ["0a0b", "0a0b0c"] }),
        ),
        (
            "backend update web 10.0.0.11:443 --no-server-ids",
            "backend.update",
            json!({ "service": "web", "address": "10.0.0.11:443", "server_ids": [] }),
        ),
    ]);
}

#[test]
fn what_is_no_configuration_or_server_id_is_refused_with_what_would_be() {
    for (words, expected) in [
        ("service update web --quic-lb 7:2", "write 0 to 6"),
        ("service update web --quic-lb 0:16", "write 1 to 15"),
        ("service update web --quic-lb 0", "write CONFIG:BYTES"),
        (
            "service update web --quic-lb 0:2:long",
            "write CONFIG:BYTES",
        ),
        (
            "service update web --quic-lb 0:2 --no-quic-lb",
            "cannot be used with",
        ),
        (
            "backend update web 10.0.0.11:443 --server-id 0a0",
            "two hexadecimal digits each",
        ),
    ] {
        let arguments: Vec<&str> = words.split_whitespace().collect();
        let ran = run_with_input(&arguments, b"");
        assert_eq!(ran.exit, Exit::Usage, "{words}");
        assert!(ran.errors.contains(expected), "{words}: {}", ran.errors);
    }
}
