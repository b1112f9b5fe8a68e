//! Every type of probe, as it is typed.

use proptest::prelude::*;

use crate::{
    config::{spec::ProbeSpec, validate::probe},
    model::*,
};

fn any_tls() -> impl Strategy<Value = Tls> {
    let trust = prop_oneof![
        Just(Trust::System),
        Just(Trust::Anybody),
        "/[a-z/.]{1,9}".prop_map(|file| Trust::File(file.into())),
    ];
    (prop::option::of("[a-z]{1,9}\\.example"), trust).prop_map(|(sni, trust)| Tls { sni, trust })
}

fn any_http() -> impl Strategy<Value = HttpCheck> {
    let status = (100..=599_u16, 0..100_u16).prop_map(|(from, more)| StatusRange {
        from,
        to: (from + more).min(599),
    });
    let method = prop::sample::select(Method::ALL.to_vec());
    let (host, body) = ("[a-z.]{1,9}", ".{1,9}");
    (
        method,
        "/[a-z?=%]{0,9}",
        prop::option::of(host),
        status,
        prop::option::of(body),
        prop::option::of(any_tls()),
    )
        .prop_map(|(method, path, host, status, body, tls)| HttpCheck {
            method,
            path,
            host,
            status,
            body: body.filter(|_| method != Method::Head),
            tls,
        })
}

fn any_payload() -> impl Strategy<Value = Payload> {
    prop::collection::vec(any::<u8>(), 1..20).prop_map(|bytes| Payload::new(bytes).unwrap())
}

/// A kind of probe that may stand.
pub(super) fn any_kind() -> impl Strategy<Value = ProbeKind> {
    let record = prop::sample::select(RecordType::ALL.to_vec());
    let name = "[a-z0-9_-]{1,9}(\\.[a-z]{1,9}){0,3}\\.?";
    let dns = (name, record, 0..=100_u16).prop_map(|(query, record, min_answers)| DnsCheck {
        query: query.parse().unwrap(),
        record,
        min_answers,
    });
    let grpc = (
        prop::option::of("[a-zA-Z.]{1,9}"),
        prop::option::of("[a-z.]{1,9}"),
        prop::option::of(any_tls()),
    );
    prop_oneof![
        Just(ProbeKind::Tcp),
        Just(ProbeKind::Icmp),
        any_http().prop_map(ProbeKind::Http),
        (any_payload(), prop::option::of(any_payload()))
            .prop_map(|(send, expect)| ProbeKind::Udp(UdpCheck { send, expect })),
        dns.prop_map(ProbeKind::Dns),
        grpc.prop_map(|(service, host, tls)| ProbeKind::Grpc(GrpcCheck { service, host, tls })),
        prop::collection::vec("/[ -~]{1,9}", 1..4)
            .prop_map(|command| ProbeKind::Exec(ExecCheck { command })),
    ]
}

/// The faults of a probe of `text`, each as place and words.
fn faults(text: &str) -> Vec<(String, String)> {
    let spec: ProbeSpec = toml::from_str(text).unwrap();
    let faults = probe(&spec, "").err().map_or(Vec::new(), |faults| faults.0);
    let faults = faults.into_iter();
    faults.map(|fault| (fault.place, fault.message)).collect()
}

#[test]
fn what_a_type_of_probe_does_not_have_or_lacks_is_told_by_name() {
    for (text, place, words) in [
        (
            "type = 'http'\nsni = 'a'",
            "sni",
            "type = \"https\" or \"grpc\"",
        ),
        (
            "type = 'icmp'\nport = 7",
            "port",
            "probes of type icmp have no port",
        ),
        (
            "type = 'tcp'\ncommand = ['/x']",
            "command",
            "type = \"exec\"",
        ),
        ("type = 'https'\ntls = true", "tls", "type = \"grpc\""),
        ("type = 'https'\nsni = 'a:443'", "sni", "without a port"),
        (
            "type = 'https'\nca_file = 'ca.pem'",
            "ca_file",
            "begins with `/`",
        ),
        (
            "type = 'https'\nverify = false\nca_file = '/ca.pem'",
            "ca_file",
            "verify = true",
        ),
        ("type = 'grpc'\nverify = false", "verify", "tls = true"),
        (
            "type = 'grpc'\ngrpc_service = 'a b'",
            "grpc_service",
            "visible",
        ),
        (
            "type = 'http'\nmethod = 'POST'",
            "method",
            "GET, HEAD, OPTIONS",
        ),
        ("type = 'http'\nbody = ''", "body", "1 to 1024 bytes"),
        (
            "type = 'http'\nmethod = 'HEAD'\nbody = 'x'",
            "body",
            "HEAD has no body",
        ),
        ("type = 'udp'", "send", "missing: a udp probe needs it"),
        ("type = 'udp'\nsend = 'a\\x0'", "send", "`\\xNN`"),
        ("type = 'udp'\nsend = \"\\u0000\"", "send", "single quotes"),
        (
            "type = 'udp'\nsend = 'a'\nexpect = ''",
            "expect",
            "1 to 1232",
        ),
        ("type = 'dns'", "query", "missing: a dns probe needs it"),
        ("type = 'dns'\nquery = 'a..b'", "query", "not a domain name"),
        (
            "type = 'dns'\nquery = 'a'\nrecord = 'ANY'",
            "record",
            "A, NS, CNAME",
        ),
        (
            "type = 'dns'\nquery = 'a'\nmin_answers = 101",
            "min_answers",
            "0 to 100",
        ),
        ("type = 'exec'", "command", "missing: a exec probe needs it"),
        ("type = 'exec'\ncommand = ['true']", "command", "whole path"),
        ("type = 'exec'\ncommand = []", "command", "whole path"),
        (
            "type = 'tcp'\nhold_down = '6m'",
            "hold_down",
            "raise hold_down_max",
        ),
        (
            "type = 'tcp'\nhold_down_max = '25h'",
            "hold_down_max",
            "1day",
        ),
        (
            "type = 'ssh'",
            "type",
            "tcp, http, https, udp, dns, icmp, grpc, exec",
        ),
    ] {
        let found = faults(text);
        assert_eq!(found.len(), 1, "{text}: {found:#?}");
        assert_eq!(found[0].0, place, "{text}");
        assert!(found[0].1.contains(words), "{text}: {}", found[0].1);
    }
}

#[test]
fn payloads_are_written_as_they_are_read() {
    for (text, bytes) in [
        ("ping", &b"ping"[..]),
        ("a b", b"a b"),
        ("\\x00\\xFf\\\\", b"\0\xff\\"),
    ] {
        let payload: Payload = text.parse().unwrap();
        assert_eq!(payload.bytes(), bytes);
        assert_eq!(payload.to_string().parse::<Payload>().unwrap(), payload);
    }
}
