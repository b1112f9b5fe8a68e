//! What is valid is read as meant, and nothing else is.

mod faults;
mod probes;
mod quic;
mod round_trip;
mod snat;
mod surroundings;

use std::{fmt::Write, time::Duration};

use proptest::prelude::*;

use super::{spec::ConfigSpec, validate::*, *};
use crate::{dataplane, model::*};

/// The faults of `text`, each as place, line, column and message.
fn faults(text: &str) -> Vec<(String, u32, u32, String)> {
    let faults = text::load(text, &Host::default())
        .unwrap_err()
        .0
        .into_iter();
    faults
        .map(|f| (f.place, f.line.unwrap(), f.column.unwrap(), f.message))
        .collect()
}

#[test]
fn objects_have_the_same_faults_without_lines() {
    let object = serde_json::json!({
        "daemon": { "unmatched": "reject" },
        "service": [{ "name": "web", "vips": ["x"], "backend": [{ "address": "10.0.0.1" }] }],
    });
    let spec: ConfigSpec = serde_json::from_value(object).unwrap();
    let faults = config(&spec, &Host::default()).unwrap_err().0;
    let places: Vec<&str> = faults.iter().map(|fault| fault.place.as_str()).collect();
    assert_eq!(
        places,
        [
            "daemon.unmatched",
            "service[0].vips[0]",
            "service[0].backend[0].address"
        ]
    );
    assert!(faults.iter().all(|fault| fault.line.is_none()));
}

#[test]
fn configurations_are_read_as_they_are_meant() {
    let config = text::load(
        r#"
        [daemon]
        interfaces = ["eth0", "vlan.100"]
        xdp_mode = "generic"
        hash_seed = 18_446_744_073_709_551_615
        unmatched = "drop"
        max_slots = 100_001
        group = "operators"

        [[service]]
        name = "web"
        vips = ["[2001:db8::10]:443/tcp", "192.0.2.10:443/tcp"]
        table_slots = "auto"
        probe = { type = "http", interval = "500ms", status = "200" }

        [[service.backend]]
        address = "10.0.0.11:8443"

        [[service.backend]]
        address = "[fd00::12]:8443"
        weight = 5
        state = "drain"
        "#,
        &Host::default(),
    )
    .unwrap();
    let DaemonSettings {
        interfaces,
        xdp_mode,
        hash_seed,
        unmatched,
        max_slots,
        group,
        read_only_group,
        ..
    } = config.daemon;
    assert_eq!(interfaces, ["eth0", "vlan.100"]);
    assert_eq!((xdp_mode, unmatched), (XdpMode::Generic, Unmatched::Drop));
    assert_eq!((hash_seed, max_slots), (u64::MAX, 100_016));
    assert_eq!(
        (group.as_deref(), read_only_group),
        (Some("operators"), None)
    );

    let web = &config.desired.services[&"web".parse().unwrap()];
    let probe = web.probe.as_ref().unwrap();
    assert_eq!(web.vips.len(), 2);
    assert_eq!(probe.timeout, Duration::from_millis(500));
    let [first, second] = web.backends.values().collect::<Vec<_>>()[..] else {
        panic!("{:?}", web.backends)
    };
    assert_eq!(
        (first.mode, first.weight.get(), first.state),
        (Mode::L2, 1, AdminState::Up)
    );
    assert_eq!((second.weight.get(), second.state), (5, AdminState::Drain));
    assert_eq!(text::load("", &Host::default()).unwrap(), Config::default());
}

#[test]
fn aliases_of_one_version_leave_those_of_the_other_as_they_are() {
    let text = "[daemon]\nprobe_aliases = ['10.250.0.0/20']";
    let config = text::load(text, &Host::default()).unwrap();
    let Aliases { v4, v6 } = config.daemon.probe_aliases;
    assert_eq!(v4.to_string(), "10.250.0.0/20");
    assert_eq!(v6, Aliases::default().v6);
    let text = "[daemon]\nprobe_aliases = ['10.250.0.0/20', '10.251.0.0/20', 'fd00::/127', 'lbp0']";
    let faults = faults(text);
    let faults: Vec<_> = faults.iter().map(|it| (it.0.as_str(), &it.3)).collect();
    for (number, words) in [
        (1, "10.250.0.0/20 stands here already"),
        (2, "too narrow"),
        (3, "write ADDRESS/LENGTH"),
    ] {
        let (place, message) = faults[number - 1];
        assert_eq!(place, format!("daemon.probe_aliases[{number}]"));
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn probes_by_the_vip_are_read_and_refused_in_their_place() {
    let text = |mode: &str, kind: &str, via: &str| {
        format!(
            "[[service]]\nname = 'web'\nvips = ['192.0.2.1:80/tcp']\nmode = '{mode}'\nprobe = {{ type = '{kind}', via = '{via}' }}"
        )
    };
    let config = text::load(&text("gue", "tcp", "vip"), &Host::default()).unwrap();
    let service = config.desired.services.values().next().unwrap();
    assert_eq!(service.probe.as_ref().unwrap().via, Via::Vip);
    for (mode, kind, via, words) in [
        (
            "nat",
            "tcp",
            "vip",
            "only on backends in modes l2, ipip and gue",
        ),
        ("l2", "tcp", "path", "not one of: direct, vip"),
        (
            "l2",
            "icmp",
            "vip",
            "probes of type icmp do not go to the VIP",
        ),
    ] {
        let faults = faults(&text(mode, kind, via));
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert_eq!(faults[0].0, "service[0].probe.via", "{faults:?}");
        assert!(faults[0].3.contains(words), "{faults:?}");
    }
}

#[test]
fn defaults_are_the_sizes_that_the_data_plane_has_by_default() {
    let settings = DaemonSettings::default();
    let capacity = dataplane::Capacity {
        slots: settings.max_slots,
        backends: settings.max_backends,
        vips: settings.max_vips,
        flows: settings.max_flows,
        sources: settings.max_sources,
    };
    assert_eq!(capacity, dataplane::Capacity::default());
}

/// A configuration with one service that has `vips` VIPs and `backends` backends.
fn sized(daemon: &str, vips: usize, backends: usize) -> String {
    let vips: Vec<String> = (1..=vips)
        .map(|port| format!("'192.0.2.1:{port}/tcp'"))
        .collect();
    let mut text = format!(
        "[daemon]\n{daemon}\n[[service]]\nname = 'web'\nvips = [{}]\n",
        vips.join(", ")
    );
    for port in 1..=backends {
        writeln!(text, "[[service.backend]]\naddress = '10.0.0.1:{port}'").unwrap();
    }
    text
}

#[test]
fn sizes_have_limits() {
    assert!(text::load(&sized("", 64, 10_000), &Host::default()).is_ok());
    assert!(
        text::load(
            &sized("max_backends = 17\nmax_vips = 16", 15, 16),
            &Host::default()
        )
        .is_ok()
    );
    for (text, place, words) in [
        (sized("", 65, 0), "service[0].vips", "at most 64"),
        (sized("", 1, 10_001), "service[0].backend", "at most 10000"),
        (
            sized("max_backends = 16", 1, 16),
            "daemon.max_backends",
            "need 17",
        ),
        (sized("max_vips = 16", 16, 0), "daemon.max_vips", "need 17"),
        (
            sized("max_slots = 16384", 1, 100),
            "daemon.max_slots",
            "need 32768",
        ),
        (
            sized("", 1, 1_100).replace("vips", "table_slots = 1021\nvips"),
            "service[0].table_slots",
            "1021 slots is too small for 1100 backends",
        ),
    ] {
        let faults = faults(&text);
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert_eq!(faults[0].0, place, "{faults:?}");
        assert!(faults[0].3.contains(words), "{faults:?}");
    }
}

#[test]
fn single_values_are_validated_in_their_place() {
    let place = |faults: Faults| faults.0.into_iter().map(|f| f.place).collect::<Vec<_>>();
    let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(place(vips(&[], "vips").unwrap_err()), ["vips"]);
    let twice = texts(&["192.0.2.1:1/tcp", "192.0.2.1:1/tcp", "?"]);
    assert_eq!(
        place(vips(&twice, "vips").unwrap_err()),
        ["vips[2]", "vips[1]"]
    );
    assert_eq!(vips(&twice[..1], "vips").unwrap().len(), 1);
    let spec = spec::BackendSpec {
        address: "10.0.0.1:80".to_owned(),
        ..Default::default()
    };
    assert_eq!(backend(&spec, Mode::Nat, "").unwrap().mode, Mode::Nat);
    let spec = spec::ProbeSpec {
        kind: "carrier pigeon".to_owned(),
        ..Default::default()
    };
    assert_eq!(place(probe(&spec, "probe").unwrap_err()), ["probe.type"]);
    let spec = spec::ServiceSpec::default();
    assert_eq!(place(service(&spec, "").unwrap_err()), ["name", "vips"]);
    assert_eq!(duration("1m 30s", "t").unwrap(), Duration::from_secs(90));
    for bad in ["", "5", "-1s", "366days", "99999999999999y"] {
        let faults = duration(bad, "drain_timeout").unwrap_err();
        assert_eq!(place(faults), ["drain_timeout"], "{bad}");
    }
    assert!(mode("NAT", "mode").is_err());
    assert!(weight(1_001, "weight").is_err());
    assert!(table_slots(&spec::TableSlotsSpec::Number(1_022), "table_slots").is_err());
}

proptest! {
    #[test]
    fn no_text_whatever_does_more_than_fail(
        text in "([a-z0-9 =.\"'\\[\\]{}#ü,\n-]|\\[\\[service\\]\\]\n|vips|name = |backend|probe|daemon){0,40}",
    ) {
        if let Err(faults) = text::load(&text, &Host::default()) {
            prop_assert!(!faults.0.is_empty());
            for fault in faults.0 {
                prop_assert!(fault.line.is_some() && fault.column.is_some(), "{}", fault);
            }
        }
    }
}
