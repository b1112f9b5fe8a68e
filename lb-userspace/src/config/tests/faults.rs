//! Every fault of a text is found at once, where it stands.

use super::{Host, faults, text};

#[track_caller]
fn assert_faults(text: &str, expected: &[(&str, u32, u32, &str)]) {
    let found = faults(text);
    for (found, &(place, line, column, words)) in found.iter().zip(expected) {
        assert_eq!(
            (found.0.as_str(), found.1, found.2),
            (place, line, column),
            "{}",
            found.3
        );
        assert!(found.3.contains(words), "{}\nlacks: {words}", found.3);
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

/// Wrong in every way that is not syntax.
const FAULTY: &str = r#"[daemon]
interfaces = ["eth0", "a/b", 5, "eth0"]
max_flows = 12
xdp_mode = "fast"
bogus = 1
read_only_group = "a b"

[[service]]
name = "web"
vips = ["192.0.2.10:80/tcp", "192.0.2.10:80/tcp", 'ü', "[2001:db8::1]:80/tcp"]
mode = "nat"
table_slots = true
adress = 1
probe = { type = "tcp", path = "/", interval = "1s", timeout = "2s", rise = 0 }

[[service.backend]]
address = "10.0.0.11:80"

    [[service.backend]]
    address = "10.0.0.11:80"
    wieght = 2

[[service.backend]]
weight = -1

[[service]]
name = "web"
vips = []
table_slots = 5

[[service]]
vips = ["192.0.2.11:80/tcp", "192.0.2.10:80/tcp"]
mode = 'NAT'
[service.probe]
type = "http"
port = 99999
status = "700"
interval = "soon"
timeout = "3s"
fall = 101
host = "a b"
"#;

#[test]
fn every_fault_is_reported_at_once_with_its_place() {
    assert_faults(
        FAULTY,
        &[
            ("daemon.interfaces[1]", 2, 23, "`/`"),
            ("daemon.interfaces[2]", 2, 30, "expected a string"),
            ("daemon.interfaces[3]", 2, 33, "twice"),
            ("daemon.max_flows", 3, 13, "write 1024 to 16777216"),
            ("daemon.xdp_mode", 4, 12, "auto, native, generic"),
            ("daemon.bogus", 5, 1, "unknown field `bogus`"),
            ("daemon.read_only_group", 6, 19, "not the name of a group"),
            (
                "service[0].vips[1]",
                10,
                30,
                "already at service[0].vips[0]",
            ),
            ("service[0].vips[2]", 10, 51, "`ü` is not a VIP"),
            ("service[0].table_slots", 12, 15, "\"auto\" or a number"),
            ("service[0].adress", 13, 1, "unknown field `adress`"),
            (
                "service[0].probe.path",
                14,
                32,
                "probes of type tcp have no path: take it out, or write type = \"http\" or \"https\"",
            ),
            (
                "service[0].probe.timeout",
                14,
                64,
                "longer than the interval 1s",
            ),
            ("service[0].probe.rise", 14, 77, "write 1 to 100"),
            (
                "service[0].backend[0].address",
                17,
                11,
                "[2001:db8::1]:80/tcp is IPv6",
            ),
            (
                "service[0].backend[1].address",
                20,
                15,
                "already at service[0].backend[0]",
            ),
            (
                "service[0].backend[1].wieght",
                21,
                5,
                "unknown field `wieght`",
            ),
            ("service[0].backend[2].address", 23, 1, "missing"),
            ("service[0].backend[2].weight", 24, 10, "-1"),
            ("service[1].name", 27, 8, "already at service[0].name"),
            ("service[1].vips", 28, 8, "at least one VIP"),
            ("service[1].table_slots", 29, 15, "65537"),
            ("service[2].name", 31, 1, "missing"),
            (
                "service[2].vips[1]",
                32,
                30,
                "already at service[0].vips[0]",
            ),
            ("service[2].mode", 33, 8, "l2, nat"),
            ("service[2].probe.port", 36, 8, "99999"),
            ("service[2].probe.status", 37, 10, "100 to 599"),
            ("service[2].probe.interval", 38, 12, "is not a duration"),
            ("service[2].probe.fall", 40, 8, "write 1 to 100"),
            ("service[2].probe.host", 41, 8, "`Host`"),
        ],
    );
}

const CONTRADICTIONS: &str = r#"[[service]]
name = "signalling"
vips = ["192.0.2.10:2905/sctp", "203.0.113.0/28:443/tcp"]
[[service.backend]]
address = "10.0.0.11:2905"
mode = "nat"

[[service]]
name = "wide"
vips = ["203.0.113.0/28:80/tcp", "203.0.113.5:443/tcp", "203.0.112.0/23:8080/tcp"]

[[service]]
name = "only-sctp"
vips = ["[2001:db8::10]:2905/sctp"]
[service.probe]
type = "tcp"
interval = "1s"
"#;

#[test]
fn what_contradicts_itself_is_found_where_it_stands() {
    assert_faults(
        CONTRADICTIONS,
        &[
            (
                "service[0].vips[1]",
                3,
                33,
                "203.0.113.0/28:443/tcp lies within 203.0.112.0/23:8080/tcp at service[1].vips[2]",
            ),
            (
                "service[0].backend[0].address",
                5,
                11,
                "cannot translate SCTP",
            ),
            (
                "service[1].vips[0]",
                10,
                9,
                "203.0.113.0/28:80/tcp lies within 203.0.112.0/23:8080/tcp",
            ),
            (
                "service[2].probe.port",
                15,
                1,
                "name a port where something listens by TCP",
            ),
        ],
    );
}

#[test]
fn tables_of_a_wrong_kind_are_one_fault_each() {
    for (text, expected) in [
        ("service = 5", ("service", 1, 11, "[[service]]")),
        ("[service]\nname = 'a'", ("service", 1, 1, "[[service]]")),
        ("service = [1]", ("service[0]", 1, 12, "of type integer")),
        ("daemon = []", ("daemon", 1, 10, "of type array")),
        (
            "\nfoo.bar = 1",
            (
                "foo",
                2,
                1,
                "expected one of `blocklist`, `daemon`, `service`",
            ),
        ),
        (
            "[[service]]\nname = 'a'\nvips = ['192.0.2.1:1/tcp']\nprobe = 1",
            ("service[0].probe", 4, 9, "of type integer"),
        ),
        (
            "[[service]]\nname = 'a'\nvips = ['192.0.2.1:1/tcp']\nbackend = 'x'",
            ("service[0].backend", 4, 11, "[[service.backend]]"),
        ),
        (
            "[[service]]\nname = 'a'\nvips = '192.0.2.1:1/tcp'",
            ("service[0].vips", 3, 8, "write [\"192.0.2.1:1/tcp\"]"),
        ),
    ] {
        assert_faults(text, &[expected]);
    }
}

#[test]
fn every_fault_of_the_blocklist_has_its_place() {
    assert_faults(
        "blocklist = [\n'203.0.113.0/24',\n'203.0.113.7/24',\n5,\n'203.0.113.0/24',\n'::ffff:10.0.0.1',\n\
         '203.0.113.9',\n'2001:db8:1::/48',\n'2001:db8::/32',\n'lb.example',\n'203.0.114.0/24',\n]",
        &[
            (
                "blocklist[1]",
                3,
                1,
                "write 203.0.113.0/24, or 203.0.113.7/32",
            ),
            ("blocklist[2]", 4, 1, "expected a string"),
            ("blocklist[3]", 5, 1, "stands already at blocklist[0]"),
            ("blocklist[4]", 6, 1, "write it as IPv4"),
            (
                "blocklist[5]",
                7,
                1,
                "203.0.113.9 lies in 203.0.113.0/24 at blocklist[0]",
            ),
            (
                "blocklist[7]",
                9,
                1,
                "2001:db8::/32 contains 2001:db8:1::/48 at blocklist[6]",
            ),
            ("blocklist[8]", 10, 1, "is not a prefix"),
        ],
    );
    assert_faults(
        "blocklist = '203.0.113.0/24'",
        &[("blocklist", 1, 13, "write [\"203.0.113.0/24\"]")],
    );
    assert!(text::load("blocklist = ['0.0.0.0/0', '::/0']", &Host::default()).is_ok());
}

#[test]
fn limits_of_sources_have_ranges_and_a_burst_needs_a_rate() {
    let service = "[[service]]\nname = 'a'\nvips = ['192.0.2.1:1/tcp']\n";
    for fields in [
        "source_rate = 1",
        "source_rate = 10000000\nsource_burst = 1",
    ] {
        assert!(
            text::load(&format!("{service}{fields}"), &Host::default()).is_ok(),
            "{fields}"
        );
    }
    for (fields, expected) in [
        (
            "source_rate = 0",
            ("service[0].source_rate", 4, 15, "write 1 to 10000000"),
        ),
        (
            "source_rate = -1",
            ("service[0].source_rate", 4, 15, "invalid value"),
        ),
        (
            "source_rate = 10000001",
            (
                "service[0].source_rate",
                4,
                15,
                "10000001 packets in a second",
            ),
        ),
        (
            "source_rate = 5\nsource_burst = 0",
            ("service[0].source_burst", 5, 16, "or leave it out"),
        ),
        (
            "source_burst = 5",
            ("service[0].source_burst", 4, 16, "write source_rate too"),
        ),
    ] {
        assert_faults(&format!("{service}{fields}"), &[expected]);
    }
}

#[test]
fn faults_of_syntax_are_reported_line_by_line() {
    assert_faults(
        "[daemon]\ngroup = lb\n\n[[service]]\nname = 'a\nvips = []\n\n[[service]\n",
        &[
            ("", 2, 9, "must be quoted"),
            ("", 5, 10, "expected `'`"),
            ("", 8, 11, "unclosed array table"),
        ],
    );
    assert_faults(
        "[daemon]\ngroup = 'a'\ngroup = 'b'\n",
        &[("", 3, 1, "duplicate key")],
    );
    let endless = format!("interfaces = [\n{}", "name = 1\n".repeat(1_000));
    assert!(faults(&endless).len() <= 16);
}

#[test]
fn a_mode_that_no_backend_could_be_in_is_a_fault_of_the_service() {
    let service = |mode: &str| {
        format!(
            "[[service]]\nname = \"diameter\"\nvips = [\"192.0.2.10:3868/sctp\"]\nmode = \"snat\"\n\
             [[service.backend]]\naddress = \"10.0.0.11:3868\"\n{mode}"
        )
    };
    assert_faults(
        &service("mode = \"l2\"\n"),
        &[("service[0].mode", 4, 8, "mode snat cannot translate SCTP")],
    );
    // A backend in that mode is the one that is named.
    let place = "service[0].backend[0].address";
    let words = "use another mode for backend 10.0.0.11:3868";
    assert_faults(&service(""), &[(place, 6, 11, words)]);
}

#[test]
fn link_local_addresses_are_refused_where_they_stand() {
    assert_faults(
        "[[service]]\nname = \"web\"\nvips = [\"[fe80::10]:80/tcp\", \"[2001:db8::10]:80/tcp\"]\n\
         [[service.backend]]\naddress = \"[fe80::11]:80\"\n\
         [[service.backend]]\naddress = \"169.254.0.11:80\"\n",
        &[
            ("service[0].vips[0]", 3, 9, "link-local"),
            ("service[0].backend[0].address", 5, 11, "fd00::/8"),
        ],
    );
}

#[test]
fn weights_follow_something_within_bounds() {
    let service = |weights: &str| {
        format!(
            "[[service]]\nname = \"web\"\nvips = [\"192.0.2.10:80/tcp\"]\n[service.dynamic_weights]\n{weights}\n"
        )
    };
    for (weights, field, line, column, words) in [
        ("", "response_time", 4, 1, "dynamic weights follow nothing"),
        (
            "response_time = true",
            "response_time",
            5,
            17,
            "without a probe nobody measures",
        ),
        ("agent_port = 0", "agent_port", 5, 14, "0 is no port"),
        (
            "agent_port = 1\ninterval = \"10ms\"",
            "interval",
            6,
            12,
            "write 100ms to 1h",
        ),
        ("agent_port = 1\nstep = 0", "step", 6, 8, "write 1 to 100"),
        (
            "agent_port = 1\nceiling = 99",
            "ceiling",
            6,
            11,
            "write 100 to 1000",
        ),
        (
            "agent_port = 1\ndead_band = 51",
            "dead_band",
            6,
            13,
            "write 0 to 50",
        ),
    ] {
        let place = format!("service[0].dynamic_weights.{field}");
        assert_faults(&service(weights), &[(&place, line, column, words)]);
    }
}

#[test]
fn what_is_drawn_must_be_remembered() {
    for algorithm in ["random", "round-robin", "least-connections"] {
        for tracking in ["on-demand", "off"] {
            let text = format!(
                "[[service]]\nname = \"web\"\nvips = [\"192.0.2.10:80/tcp\"]\nalgorithm = \"{algorithm}\"\ntracking = \"{tracking}\"\n"
            );
            let words = format!("algorithm {algorithm} draws a slot for each flow when it begins");
            assert_faults(&text, &[("service[0].tracking", 5, 12, words.as_str())]);
        }
    }
    let text = "[[service]]\nname = \"web\"\nvips = [\"192.0.2.10:80/tcp\"]\nalgorithm = \"wrr\"\n";
    let words = "`wrr` is not one of: maglev, source-hash, random, round-robin, least-connections";
    assert_faults(text, &[("service[0].algorithm", 4, 13, words)]);
}
