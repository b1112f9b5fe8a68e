//! What `explain` says is what then happens, and asking changes nothing.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    net::{IpAddr, SocketAddr, UdpSocket},
};

use lb_common::names;
use lb_tests::{bed::VIPS, control::Control, kernel, netns, tap::Tap};
use serde_json::{Value, json};

use crate::scene::{Mode, NEAR, Scene, lone, name, wait_serving};

/// Client ports that are tried in each mode.
const PORTS: [u16; 4] = [41_001, 41_002, 41_003, 41_004];

#[test]
fn explained_packets_go_where_and_as_it_was_said_in_l2() {
    goes_as_it_was_said(Mode::L2);
}

#[test]
fn explained_packets_go_where_and_as_it_was_said_in_nat() {
    goes_as_it_was_said(Mode::Nat);
}

#[test]
fn explained_packets_go_where_and_as_it_was_said_in_snat() {
    goes_as_it_was_said(Mode::Snat);
}

#[test]
fn explained_packets_go_where_and_as_it_was_said_in_ipip() {
    goes_as_it_was_said(Mode::Ipip);
}

#[test]
fn explained_packets_go_where_and_as_it_was_said_in_gue() {
    goes_as_it_was_said(Mode::Gue);
}

fn goes_as_it_was_said(mode: Mode) {
    if !kernel::is_5_15() {
        return kernel::skipped("the kernel cannot choose the ingress of a packet (5.15 can)");
    }
    let scene = Scene::new(2);
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    for vip in VIPS {
        serve(&scene, &mut control, mode, vip);
        for port in PORTS {
            packet_goes_as_it_was_said(&scene, &mut control, mode, (vip, port));
        }
    }
}

/// A service without a probe: nothing needs to answer.
fn serve(scene: &Scene, control: &mut Control, mode: Mode, vip: IpAddr) {
    let mut service = scene.service(mode, vip);
    service["tracking"] = json!("always");
    service.as_object_mut().expect("an object").remove("probe");
    control.must("service.add", &service);
    wait_serving(control, &name(vip), scene.bed.backends.len());
}

fn packet_goes_as_it_was_said(
    scene: &Scene,
    control: &mut Control,
    mode: Mode,
    (vip, port): (IpAddr, u16),
) {
    let from = SocketAddr::new(near(vip), port);
    let to = SocketAddr::new(vip, mode.port());
    let asked =
        json!({"source": from.to_string(), "destination": to.to_string(), "protocol": "udp"});
    let before = control.must("explain", &asked);
    let backend = text(&before["backend"]).to_owned();
    let number = backend_number(scene, vip, &backend);
    assert_eq!(before["verdict"], json!("redirect"), "{before:#}");
    assert_eq!(before["service"], json!(name(vip)), "{before:#}");
    assert!(stage(&before, "select").contains("slot"), "{before:#}");

    let host = &scene.bed.backends[number];
    let (at_client, at_backend) = (Tap::new(&scene.bed.client), Tap::new(&host.namespace));
    let mark = format!("explained {mode:?} {vip} {port}");
    scene.bed.client.enter(|| {
        let socket = UdpSocket::bind(from).expect("a port that nobody has");
        socket.send_to(mark.as_bytes(), to).expect("a route")
    });
    let sent = at_client.frame_with(mark.as_bytes()).expect("the client's");
    let came = at_backend.frame_with(mark.as_bytes());
    let came = came.unwrap_or_else(|error| panic!("{error}: nothing at {backend}: {before:#}"));

    let same = json!({"packet": hexadecimal(&sent), "interface": "client"});
    let after = control.must("explain", &same);
    assert_eq!(
        text(&after["output"]["frame"]),
        hexadecimal(&came),
        "{after:#}"
    );
    assert_eq!(after["backend"], before["backend"], "{after:#}");
    assert!(stage(&after, "select").contains("remembered"), "{after:#}");
    // In mode `snat` the port depends on the CPU that takes the packet.
    let port = (mode != Mode::Snat).then_some("outer");
    for same in ["destination_mac", "source_mac", "interface"]
        .into_iter()
        .chain(port)
    {
        let (said, is) = (&before["output"][same], &after["output"][same]);
        assert_eq!(said, is, "{same}: {before:#}");
    }
    assert_eq!(after["output"]["interface"], json!(host.name), "{after:#}");
}

#[test]
fn a_nat_backends_reply_is_explained() {
    if !kernel::is_5_15() {
        return kernel::skipped("the kernel cannot choose the ingress of a packet (5.15 can)");
    }
    let scene = Scene::new(1);
    let vip = VIPS[0];
    let _servers = scene.udp_servers(Mode::Nat, vip);
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    serve(&scene, &mut control, Mode::Nat, vip);
    scene.set_up(&name(vip), vip, &[]);
    let from = SocketAddr::new(near(vip), PORTS[0]);
    scene.bed.client.enter(|| {
        let socket = UdpSocket::bind(from).expect("a port that nobody has");
        socket.connect((vip, 80)).expect("a route");
        socket
            .set_read_timeout(Some(crate::scene::LIMIT))
            .expect("a time");
        socket.send(b"who?").expect("a route");
        socket.recv(&mut [0; 64]).expect("the backend answers")
    });
    let reply = json!({
        "source": scene.backend(0, vip).to_string(), "destination": from.to_string(), "protocol": "udp",
        "interface": "b0",
    });
    let said = control.must("explain", &reply);
    assert_eq!(said["outcome"], json!("forward.replied"), "{said:#}");
    let outer = &said["output"]["outer"];
    assert_eq!(text(&outer["source"]), format!("{vip}:80"), "{said:#}");
    assert_eq!(text(&outer["destination"]), from.to_string(), "{said:#}");
    assert_eq!(said["output"]["interface"], json!("client"), "{said:#}");
    assert!(stage(&said, "classify").contains("reply"), "{said:#}");
}

#[test]
fn every_end_of_a_packet_is_explained() {
    if !kernel::is_5_15() {
        return kernel::skipped("the kernel cannot choose the ingress of a packet (5.15 can)");
    }
    let scene = Scene::new(2);
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    for vip in VIPS {
        serve(&scene, &mut control, Mode::L2, vip);
        let asked = |more: Value| {
            let (from, to) = (SocketAddr::new(near(vip), 41_000), (vip, Mode::L2.port()));
            let mut asked = json!({"source": from.to_string(), "destination": SocketAddr::from(to).to_string()});
            let fields = asked.as_object_mut().expect("an object");
            fields.extend(more.as_object().expect("an object").clone());
            asked
        };
        let elsewhere = SocketAddr::new(vip, 9).to_string();
        let nobody = SocketAddr::new(near(vip), 80).to_string();
        for (more, outcome, verdict, name, words) in [
            (
                json!({}),
                "forward.forwarded",
                "redirect",
                "select",
                "a new flow",
            ),
            (
                json!({"flags": "ack"}),
                "forward.forwarded",
                "redirect",
                "parse",
                "TCP ACK",
            ),
            (
                json!({"protocol": "sctp"}),
                "pass.unmatched",
                "pass",
                "classify",
                "no service",
            ),
            (
                json!({"destination": elsewhere}),
                "pass.unmatched",
                "pass",
                "classify",
                "no service",
            ),
            (
                json!({"destination": nobody}),
                "pass.not_vip",
                "pass",
                "classify",
                "no VIP",
            ),
            (
                json!({"hop_limit": 1}),
                "forward.time_exceeded_sent",
                "tx",
                "guard",
                "used up",
            ),
            (
                json!({"size": 3_000}),
                "forward.too_big_sent",
                "tx",
                "guard",
                "are more than",
            ),
        ] {
            let said = control.must("explain", &asked(more));
            assert_eq!(said["outcome"], json!(outcome), "{said:#}");
            assert_eq!(said["verdict"], json!(verdict), "{said:#}");
            assert!(stage(&said, name).contains(words), "{said:#}");
            assert_eq!(
                said["output"].is_null(),
                !matches!(verdict, "tx" | "redirect"),
                "{said:#}"
            );
        }
        for backend in 0..2 {
            let address = scene.backend(backend, vip).to_string();
            control.must(
                "backend.disable",
                &json!({"service": name(vip), "address": address}),
            );
        }
        let said = control.must("explain", &asked(json!({})));
        assert_eq!(said["outcome"], json!("drop.no_backend"), "{said:#}");
        assert!(stage(&said, "select").contains("no backend"), "{said:#}");
        control.must(
            "blocklist.add",
            &json!({"prefixes": [near(vip).to_string()]}),
        );
        let said = control.must("explain", &asked(json!({})));
        assert_eq!(said["outcome"], json!("drop.blocked"), "{said:#}");
        assert!(stage(&said, "guard").contains("blocklist"), "{said:#}");
    }
}

#[test]
fn questions_without_an_answer_are_refused() {
    let (_namespace, instance) = lone();
    let daemon = instance.start();
    let mut control = daemon.control();
    let refused = control.refused("explain", &json!({"source": "10.1.0.2:1"}));
    assert!(refused.message.contains("`destination`"), "{refused:?}");
    let refused = control.refused("explain", &json!({"packet": "00", "interface": "lo"}));
    assert!(
        refused.message.contains("not attached to interface lo"),
        "{refused:?}"
    );
}

#[test]
fn asking_leaves_no_trace_in_what_is_live() {
    if !kernel::is_5_15() {
        return kernel::skipped("the kernel cannot choose the ingress of a packet (5.15 can)");
    }
    let scene = Scene::new(2);
    let vip = VIPS[0];
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    let mut service = scene.service(Mode::Snat, vip);
    service["source_rate"] = json!(1_000);
    service.as_object_mut().expect("an object").remove("probe");
    control.must("service.add", &service);
    wait_serving(&mut control, &name(vip), 2);
    let from = SocketAddr::new(near(vip), PORTS[0]);
    let at_client = Tap::new(&scene.bed.client);
    scene.bed.client.enter(|| {
        let socket = UdpSocket::bind(from).expect("a port that nobody has");
        socket
            .send_to(b"leaves its traces", (vip, 80))
            .expect("a route")
    });
    at_client
        .frame_with(b"leaves its traces")
        .expect("the client's");
    lb_tests::wait::until("the packet is counted", crate::scene::LIMIT, || {
        ledger(&mut control).get("forward.forwarded") == Some(&1)
    });

    let before = (live(&scene), ledger(&mut control));
    for port in PORTS.into_iter().cycle().take(20) {
        let from = SocketAddr::new(near(vip), port).to_string();
        let to = SocketAddr::new(vip, 80).to_string();
        for hop_limit in [64, 1] {
            let asked = json!({"source": from, "destination": to, "protocol": "udp", "hop_limit": hop_limit});
            let said = control.must("explain", &asked);
            assert!(text(&said["outcome"]).starts_with("forward."), "{said:#}");
        }
    }
    let after = (live(&scene), ledger(&mut control));
    assert_eq!(after, before);
}

/// What the program has written that is live, as bpftool shows it.
fn live(scene: &Scene) -> BTreeMap<&'static str, String> {
    let maps = [
        names::FRESH_V4,
        names::FLOWS_V4,
        names::REPLIES_V4,
        names::FRAGMENTS_V4,
        names::SOURCES_V4,
        names::TRAFFIC,
        names::ERROR_BUDGET,
        names::TRANSLATIONS_V4,
    ];
    let dump = |name| {
        let pin = format!("maps-v{}/{name}", names::ABI_VERSION);
        let pin = scene.instance.bpffs().path().join(pin);
        let pin = pin.to_str().expect("a plain path");
        (
            name,
            netns::command("bpftool", &["map", "dump", "pinned", pin]),
        )
    };
    let shown: BTreeMap<_, _> = maps.into_iter().map(dump).collect();
    assert!(shown[names::FRESH_V4].contains("key"), "{shown:#?}");
    shown
}

/// What was counted, but for what the neighbours say among themselves.
fn ledger(control: &mut Control) -> BTreeMap<String, u64> {
    let stats = control.must("stats", &json!({}));
    let counted = stats["ledger"].as_object().expect("a ledger");
    let counted = counted
        .iter()
        .map(|(outcome, count)| (outcome.clone(), count.as_u64().expect("a count")));
    let chatter = ["pass.not_ip", "pass.not_vip", "pass.group_addressed"];
    counted
        .filter(|(outcome, count)| *count > 0 && !chatter.contains(&outcome.as_str()))
        .collect()
}

/// The client's address, of the IP version of `vip`.
fn near(vip: IpAddr) -> IpAddr {
    let [v4, v6] = NEAR;
    let address = if vip.is_ipv4() { v4 } else { v6 };
    address.parse().expect("an address")
}

fn backend_number(scene: &Scene, vip: IpAddr, backend: &str) -> usize {
    let mut numbers = 0..scene.bed.backends.len();
    let found = numbers.find(|number| scene.backend(*number, vip).to_string() == backend);
    found.unwrap_or_else(|| panic!("`{backend}` is no backend"))
}

/// The words of all stages of this name.
fn stage(explanation: &Value, name: &str) -> String {
    let stages = explanation["stages"].as_array().expect("stages");
    let named = stages.iter().filter(|stage| stage["stage"] == json!(name));
    let words: Vec<&str> = named.map(|stage| text(&stage["what"])).collect();
    words.join(" / ")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string");
        text
    })
}
