//! Whole files, and what becomes of each statement.

use super::*;
use crate::config::{Host, validate};

const FILE: &str = r#"
! a comment
global_defs {
    router_id lb1
}
vrrp_instance VI_1 {
    interface eth0
    virtual_ipaddress {
        192.0.2.10/32
    }
}
virtual_server_group dns {
    192.0.2.53 53
    2001:db8::53 53
    192.0.2.60-63 53
}
virtual_server 192.0.2.10 443 {
    delay_loop 6
    lb_algo wrr
    lb_kind DR
    protocol TCP
    virtualhost www.example.com
    persistence_timeout 50
    quorum 2
    sorry_server 10.0.0.99 443
    real_server 10.0.0.11 443 {
        weight 3
        SSL_GET {
            url {
                path /up
                digest 9b3a0c85a887a256d6939da88aabd8cd
                status_code 200
            }
            connect_timeout 3
            retry 2
            delay_before_retry 1
        }
    }
    real_server 10.0.0.12 443
    {
        weight 0
        inhibit_on_failure
        lvs_method TUN type gue port 6080
        SSL_GET {
            url {
                path /up
                status_code 200
            }
            connect_timeout 3
            retry 2
        }
    }
}
virtual_server group dns {
    delay_loop 10
    lb_kind TUN
    protocol UDP
    real_server 10.0.0.53 53 {
        DNS_CHECK {
            type SOA
            name example.com
            connect_timeout 20
        }
    }
    real_server 10.0.0.54 53 {
        MISC_CHECK {
            misc_path "/usr/bin/check --fast"
        }
    }
}
virtual_server fwmark 3 {
    lb_kind NAT
}
virtual_server 2001:db8::10 0 {
    lb_kind NAT
    lb_algo mh
    real_server 2001:db8:1::11 8080 {
        TCP_CHECK { connect_port 8081 }
    }
}
"#;

fn imported() -> Imported {
    keepalived(FILE).unwrap()
}

#[test]
fn virtual_servers_become_services() {
    let imported = imported();
    let [web, dns, any] = imported.config.services.as_slice() else {
        panic!("{:#?}", imported.config);
    };
    assert_eq!(web.name, "tcp-192.0.2.10-443");
    assert_eq!(web.vips, ["192.0.2.10:443/tcp"]);
    assert_eq!(web.algorithm.as_deref(), Some("round-robin"));
    assert_eq!(
        (web.mode.as_deref(), web.min_healthy),
        (Some("l2"), Some(2))
    );
    let backend = |spec: &BackendSpec| {
        let BackendSpec {
            address,
            weight,
            mode,
            state,
            role,
            ..
        } = spec.clone();
        (address, weight, mode, state, role)
    };
    let word = |text: &str| Some(text.to_owned());
    assert_eq!(
        web.backends.iter().map(backend).collect::<Vec<_>>(),
        [
            (
                "10.0.0.99:443".to_owned(),
                None,
                None,
                None,
                word("fallback")
            ),
            ("10.0.0.11:443".to_owned(), Some(3), None, None, None),
            (
                "10.0.0.12:443".to_owned(),
                None,
                word("gue"),
                word("drain"),
                None
            ),
        ]
    );
    assert_eq!(dns.name, "dns");
    assert_eq!(dns.vips, ["192.0.2.53:53/udp", "[2001:db8::53]:53/udp"]);
    assert_eq!(dns.mode.as_deref(), Some("ipip"));
    assert_eq!(any.name, "tcp-2001-db8--10-0");
    assert_eq!(any.vips, ["[2001:db8::10]:*/tcp"]);
    assert_eq!(any.backends[0].address, "[2001:db8:1::11]:8080");
}

#[test]
fn checkers_become_probes() {
    let services = imported().config.services;
    let probe = |service: usize| services[service].probe.clone().unwrap();
    let word = |text: &str| Some(text.to_owned());
    assert_eq!(
        probe(0),
        ProbeSpec {
            kind: "https".to_owned(),
            host: word("www.example.com"),
            path: word("/up"),
            status: word("200"),
            verify: Some(false),
            interval: word("6000ms"),
            timeout: word("3000ms"),
            fall: Some(3),
            ..ProbeSpec::default()
        }
    );
    assert_eq!(
        probe(1),
        ProbeSpec {
            kind: "dns".to_owned(),
            query: word("example.com"),
            record: word("SOA"),
            interval: word("10000ms"),
            timeout: word("10000ms"),
            fall: Some(2),
            ..ProbeSpec::default()
        }
    );
    assert_eq!(
        (probe(2).kind.as_str(), probe(2).port),
        ("tcp", Some(8_081))
    );
}

#[test]
fn schedulers_of_ipvs_become_algorithms() {
    for (scheduler, algorithm) in [
        ("mh", None),
        ("rr", Some("round-robin")),
        ("wrr", Some("round-robin")),
        ("sh", Some("source-hash")),
        ("lc", Some("least-connections")),
        ("wlc", Some("least-connections")),
    ] {
        let text = format!("virtual_server 192.0.2.10 80 {{\nlb_algo {scheduler}\n}}\n");
        let imported = keepalived(&text).unwrap();
        let service = &imported.config.services[0];
        assert_eq!(service.algorithm.as_deref(), algorithm, "{scheduler}");
        assert!(imported.left_out.is_empty(), "{scheduler}");
        assert!(validate::config(&imported.config, &Host::default()).is_ok());
    }
    for scheduler in ["lblc", "lblcr", "dh", "sed", "nq", "fo", "ovf"] {
        let text = format!("virtual_server 192.0.2.10 80 {{\nlvs_sched {scheduler}\n}}\n");
        let imported = keepalived(&text).unwrap();
        assert_eq!(imported.config.services[0].algorithm, None);
        assert_eq!(imported.left_out.len(), 1, "{scheduler}");
    }
}

#[test]
fn what_is_not_carried_over_is_listed_with_its_line() {
    let imported = imported();
    let listed = imported
        .left_out
        .iter()
        .map(|it| (it.line, it.what.as_str()));
    assert_eq!(
        listed.collect::<Vec<_>>(),
        [
            (3, "global_defs"),
            (6, "vrrp_instance VI_1"),
            (15, "192.0.2.60-63 53"),
            (23, "persistence_timeout 50"),
            (31, "digest 9b3a0c85a887a256d6939da88aabd8cd"),
            (42, "inhibit_on_failure"),
            (59, "DNS_CHECK"),
            (66, "MISC_CHECK"),
            (71, "virtual_server fwmark 3"),
        ]
    );
    assert!(imported.left_out.iter().all(|it| !it.why.is_empty()));
}

#[test]
fn what_was_read_is_a_configuration_but_for_what_only_people_can_mend() {
    let mut imported = imported();
    let faults = imported.faults();
    assert_eq!(faults.len(), 1, "{faults:#?}");
    assert!(faults[0].place.starts_with("service[2]"), "{faults:#?}");
    imported.config.services.pop();
    assert!(validate::config(&imported.config, &Host::default()).is_ok());
}

#[test]
fn checks_that_differ_within_a_service_are_listed() {
    let text = "virtual_server 192.0.2.10 80 {\nreal_server 10.0.0.1 80 {\nTCP_CHECK {\n}\n}\nreal_server 10.0.0.2 80 {\nTCP_CHECK {\nconnect_port 81\n}\n}\n}";
    let imported = keepalived(text).unwrap();
    let lines: Vec<u32> = imported.left_out.iter().map(|it| it.line).collect();
    assert_eq!(lines, [7]);
}

#[test]
fn bytes_are_written_as_probes_have_them() {
    let text = "virtual_server 192.0.2.10 80 {\nprotocol UDP\nreal_server 10.0.0.1 80 {\nUDP_CHECK {\npayload 00fF\nreply 41\n}\n}\n}";
    let probe = keepalived(text).unwrap().config.services[0]
        .probe
        .clone()
        .unwrap();
    assert_eq!(
        (probe.send.as_deref(), probe.expect.as_deref()),
        (Some(r"\x00\xfF"), Some(r"\x41"))
    );
}

/// A server for 192.0.2.10:80 that holds these lines.
fn server(lines: &str) -> String {
    format!("virtual_server 192.0.2.10 80 {{\n{lines}\n}}\n")
}

#[test]
fn servers_of_one_address_get_names_of_their_own() {
    let text = server("").repeat(3);
    let services = keepalived(&text).unwrap().config.services;
    let names: Vec<&str> = services.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "tcp-192.0.2.10-80",
            "tcp-192.0.2.10-80-2",
            "tcp-192.0.2.10-80-3"
        ]
    );
}

#[test]
fn weights_go_as_far_as_ours() {
    for (weight, written, state, left_out) in [
        ("0", None, Some("drain"), 0),
        ("1", None, None, 0),
        ("1000", Some(1_000), None, 0),
        ("1001", None, None, 1),
        ("heavy", None, None, 1),
    ] {
        let text = server(&format!("real_server 10.0.0.1 80 {{\nweight {weight}\n}}"));
        let imported = keepalived(&text).unwrap();
        let backend = &imported.config.services[0].backends[0];
        assert_eq!(
            (backend.weight, backend.state.as_deref()),
            (written, state),
            "{weight}"
        );
        assert_eq!(imported.left_out.len(), left_out, "{weight}");
    }
}

#[test]
fn what_a_real_server_says_of_its_checks_is_stronger_than_what_its_virtual_server_says() {
    let of_virtual = "delay_loop 6\nretry 4\n";
    let of_real = "delay_loop 2\nretry 2\nalpha\n";
    for (of_virtual, of_real, interval, fall) in [
        ("", "", "60000ms", 2),
        (of_virtual, "", "6000ms", 5),
        (of_virtual, of_real, "2000ms", 3),
        ("", of_real, "2000ms", 3),
    ] {
        let real = format!("real_server 10.0.0.1 80 {{\n{of_real}TCP_CHECK {{\n}}\n}}");
        let imported = keepalived(&server(&format!("{of_virtual}{real}"))).unwrap();
        let probe = imported.config.services[0].probe.clone().unwrap();
        assert_eq!(
            (probe.interval.as_deref(), probe.fall),
            (Some(interval), Some(fall)),
            "{of_virtual}{of_real}"
        );
        assert_eq!(imported.left_out, []);
    }
}

#[test]
fn reasons_say_what_to_do_instead() {
    let group = "virtual_server_group web {\nfwmark 3\n}\nvirtual_server group web {\n}\n";
    let text = format!(
        "vrrp_script up {{\n}}\ninclude more.conf\n{group}virtual_server group gone {{\n}}\nvirtual_server fwmark 3 {{\n}}\n{}",
        server(
            "real_server 10.0.0.1 80 {\ninhibit_on_failure\nnotify_up /bin/true\nlvs_method TUN type gre\n}"
        )
    );
    let imported = keepalived(&text).unwrap();
    let found: Vec<(&str, &str)> = imported
        .left_out
        .iter()
        .map(|it| (it.what.as_str(), it.why.as_str()))
        .collect();
    let expected = [
        ("vrrp_script up", "keep keepalived for this"),
        ("include more.conf", "import that one, too"),
        ("fwmark 3", "one by one"),
        ("virtual_server group gone", "no virtual_server_group"),
        ("virtual_server fwmark 3", "firewall marks"),
        ("inhibit_on_failure", "go to others until it is back"),
        ("notify_up /bin/true", "lbctl watch"),
        ("lvs_method TUN type gre", "no mode like `TUN`"),
    ];
    for ((what, why), (expected, words)) in found.iter().zip(expected) {
        assert_eq!(*what, expected, "{found:#?}");
        assert!(why.contains(words), "{what}: {why}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    assert!(imported.config.services[0].vips.is_empty());
}
