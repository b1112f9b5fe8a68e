//! `[daemon.snat]`, alone and against the host and the VIPs.

use std::time::Duration;

use crate::config::{Host, PortRange, SnatSettings, text};

/// Two CPUs, and ports of its own from 32768 on.
fn host() -> Host {
    Host::read("0-1", "32768 60999", "")
}

/// The faults of `text` on `host`, each as place, line and message.
fn faults(text: &str, host: &Host) -> Vec<(String, u32, String)> {
    let faults = text::load(text, host).unwrap_err().0.into_iter();
    faults
        .map(|fault| (fault.place, fault.line.unwrap(), fault.message))
        .collect()
}

#[track_caller]
fn assert_fault(text: &str, host: &Host, place: &str, line: u32, words: &str) {
    let found = faults(text, host);
    let [(found_place, found_line, message)] = found.as_slice() else {
        panic!("{found:#?}");
    };
    assert_eq!(
        (found_place.as_str(), *found_line),
        (place, line),
        "{message}"
    );
    assert!(message.contains(words), "{message}\nlacks: {words}");
}

#[test]
fn source_nat_is_read_as_it_is_meant() {
    let text = r#"
        [daemon.snat]
        ports = "20000-29999"
        sources = ["10.9.0.0/30", "fd00:9::1"]
        established = "2h 4m"
        transitory = "60s"
        udp = "5m"
        "#;
    let snat = text::load(text, &host()).unwrap().daemon.snat;
    assert_eq!(
        snat.ports,
        PortRange {
            first: 20_000,
            last: 29_999
        }
    );
    assert_eq!(snat.sources.v4.unwrap().bits, 2);
    assert_eq!(snat.sources.v6.unwrap().bits, 0);
    let minutes = Duration::from_mins;
    assert_eq!(
        (snat.established, snat.transitory, snat.udp),
        (minutes(124), minutes(1), minutes(5))
    );
    let empty = text::load("[daemon]\n", &host()).unwrap().daemon.snat;
    assert_eq!(empty, SnatSettings::default());
}

#[test]
fn every_fault_of_source_nat_stands_at_its_place() {
    let text = r#"[daemon.snat]
ports = "80-90"
sources = ["10.9.0.0/30", "10.8.0.1", "eth0"]
established = "soon"
udp = "10ms"
seconds = 3
"#;
    let found = faults(text, &host());
    let places: Vec<(&str, u32)> = found.iter().map(|it| (it.0.as_str(), it.1)).collect();
    assert_eq!(
        places,
        [
            ("daemon.snat.ports", 2),
            ("daemon.snat.sources[1]", 3),
            ("daemon.snat.sources[2]", 3),
            ("daemon.snat.established", 4),
            ("daemon.snat.udp", 5),
            ("daemon.snat.seconds", 6),
        ],
        "{found:#?}"
    );
}

#[test]
fn ports_must_be_free_and_enough_for_every_cpu() {
    let ports = |range: &str| format!("[daemon.snat]\nports = \"{range}\"\n");
    assert_fault(
        &ports("30000-40000"),
        &host(),
        "daemon.snat.ports",
        2,
        "sysctl -w net.ipv4.ip_local_reserved_ports=30000-40000",
    );
    let reserved = Host::read("0-1", "32768 60999", "30000-40000");
    assert!(text::load(&ports("30000-40000"), &reserved).is_ok());
    assert_fault(
        &ports("20000-20000"),
        &host(),
        "daemon.snat.ports",
        2,
        "for the 2 CPUs",
    );
    assert!(text::load(&ports("20000-20001"), &host()).is_ok());
}

#[test]
fn ports_that_nobody_wrote_are_held_against_the_host_where_they_are_needed() {
    let greedy = Host::read("0-1", "1024 65535", "");
    let service = |mode: &str| {
        format!(
            r#"
[[service]]
name = "web"
vips = ["192.0.2.10:80/tcp"]
mode = "{mode}"
[[service.backend]]
address = "10.0.0.11:80"
"#
        )
    };
    assert!(text::load(&service("nat"), &greedy).is_ok());
    let found = faults(&service("snat"), &greedy);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].0, "daemon.snat.ports");
    assert!(text::load(&service("snat"), &host()).is_ok());
}

#[test]
fn sources_hold_no_vip() {
    let text = r#"[daemon.snat]
sources = ["192.0.2.0/28"]
[[service]]
name = "web"
vips = ["192.0.2.10:80/tcp"]
"#;
    assert_fault(text, &host(), "daemon.snat.sources", 2, "192.0.2.10:80/tcp");
    // A range of VIPs within the sources, and one around them.
    for vip in ["192.0.2.8/30:80/tcp", "192.0.0.0/16:80/tcp"] {
        let text = text.replace("192.0.2.10:80/tcp", vip);
        assert_fault(&text, &host(), "daemon.snat.sources", 2, vip);
    }
    let beside = text.replace("192.0.2.10:80/tcp", "192.0.2.16/28:80/tcp");
    assert!(text::load(&beside, &host()).is_ok());
}

#[test]
fn snat_serves_one_ip_version_and_named_ports() {
    let text = |vip: &str| {
        format!(
            r#"[[service]]
name = "web"
vips = ["{vip}"]
mode = "snat"
[[service.backend]]
address = "10.0.0.11:80"
"#
        )
    };
    for (vip, words) in [
        ("[2001:db8::10]:80/tcp", "mode snat cannot turn"),
        ("192.0.2.10:*/tcp", "mode snat gives"),
    ] {
        assert_fault(
            &text(vip),
            &host(),
            "service[0].backend[0].address",
            6,
            words,
        );
    }
}

#[test]
fn settings_fit_what_is_wanted_later_too() {
    let settings = |text: &str| text::load(text, &host()).unwrap().daemon.snat;
    let wanted = |mode: &str| {
        let text = format!(
            "[[service]]\nname = \"web\"\nvips = [\"192.0.2.10:80/tcp\"]\nmode = \"{mode}\"\n\
             [[service.backend]]\naddress = \"10.0.0.11:80\"\n"
        );
        text::load(&text, &host()).unwrap().desired
    };
    let greedy = Host::read("0-1", "1024 65535", "");
    let default = SnatSettings::default();
    assert_eq!(default.fit(&wanted("snat"), &host()), Ok(()));
    assert_eq!(default.fit(&wanted("nat"), &greedy), Ok(()));
    let not_free = default.fit(&wanted("snat"), &greedy).unwrap_err();
    let [fault] = not_free.0.as_slice() else {
        panic!("{not_free}");
    };
    assert_eq!(fault.place, "daemon.snat.ports");
    let sources = settings("[daemon.snat]\nsources = [\"192.0.2.8/29\"]\n");
    let holds = sources.fit(&wanted("l2"), &host()).unwrap_err();
    let [fault] = holds.0.as_slice() else {
        panic!("{holds}");
    };
    assert_eq!(fault.place, "daemon.snat.sources");
    assert!(
        fault.message.contains("VIP 192.0.2.10:80/tcp"),
        "{}",
        fault.message
    );
}
