//! Weights that follow how backends do: what their agents say, and how fast they answer probes.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use lb_tests::{
    bed::{Host, VIP_V4},
    control::Control,
    kernel,
    traffic::{self, Load, Server},
    wait,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpListener,
};

use crate::scene::{
    LIMIT, Mode, PORT, Scene, backends, name, probe_time, wait_moved, wait_serving,
};

/// Where agents answer.
const AGENT_PORT: u16 = 9_990;
/// Flows that are spread.
const FLOWS: usize = 600;

/// An agent on `host` that answers every question with `word`.
fn agent(host: &Host, word: &Arc<Mutex<&'static str>>) -> Server {
    let word = Arc::clone(word);
    Server::start(&host.namespace, move || async move {
        let address = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), AGENT_PORT);
        let listener = TcpListener::bind(address).await?;
        Ok(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let line = format!("{}\n", word.lock().expect("no panic"));
                let _ = stream.write_all(line.as_bytes()).await;
            }
        })
    })
}

/// An HTTP server on `host` that takes so many milliseconds for each answer.
fn slow_server(host: &Host, delay_ms: &Arc<AtomicU64>) -> Server {
    let delay_ms = Arc::clone(delay_ms);
    Server::start(&host.namespace, move || async move {
        let address = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), PORT);
        let listener = TcpListener::bind(address).await?;
        Ok(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let delay = Duration::from_millis(delay_ms.load(Ordering::Relaxed));
                tokio::spawn(async move {
                    let mut stream = BufReader::new(stream);
                    let mut line = String::new();
                    while line != "\r\n" {
                        line.clear();
                        if stream.read_line(&mut line).await? == 0 {
                            return Ok(());
                        }
                    }
                    // To sleep for no time takes a millisecond, too.
                    if !delay.is_zero() {
                        tokio::time::sleep(delay).await;
                    }
                    let answer =
                        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                    stream.write_all(answer).await
                });
            }
        })
    })
}

/// The service with dynamic weights.
fn service(scene: &Scene, weights: Value) -> Value {
    let mut service = scene.service(Mode::L2, VIP_V4);
    service["dynamic_weights"] = weights;
    service["max_step"] = json!(50);
    service
}

/// The current weights of both backends, in per cent.
fn weights(control: &mut Control) -> [u64; 2] {
    let rows = backends(control, &name(VIP_V4));
    [0, 1].map(|number| {
        let percent = &rows[number]["current_weight"]["percent"];
        percent.as_u64().expect("a weight that is dynamic")
    })
}

fn wait_weights(control: &mut Control, what: &str, is_so: impl Fn([u64; 2]) -> bool) {
    wait::until(what, LIMIT, || is_so(weights(control)));
    wait_moved(control, &name(VIP_V4), false);
}

/// What each of the two backends gets of new flows.
fn spread(scene: &Scene) -> [usize; 2] {
    let to = SocketAddr::new(VIP_V4, PORT);
    let mut shares: BTreeMap<String, usize> = BTreeMap::new();
    for answer in traffic::ask_udp(&scene.bed.client, to, FLOWS) {
        *shares.entry(answer.expect("an answer")).or_default() += 1;
    }
    ["b0", "b1"].map(|name| shares.get(name).copied().unwrap_or_default())
}

/// The first backend's share is `weights`' within five standard deviations.
fn assert_spread(what: &str, weights: [u64; 2], shares: [usize; 2]) {
    let [first, second, had] = [
        weights[0],
        weights[1],
        u64::try_from(shares[0]).expect("a few"),
    ]
    .map(|number| f64::from(u32::try_from(number).expect("a few")));
    let count = f64::from(u32::try_from(FLOWS).expect("a few"));
    let part = first / (first + second);
    kernel::say(&format!(
        "{what}: weights {weights:?} %, new flows {shares:?}, expected {:.0} of {FLOWS}",
        count * part
    ));
    let off = (had - count * part).abs();
    let bound = 5.0 * (count * part * (1.0 - part)).sqrt();
    assert!(off <= bound, "{what}: {off} off, {bound} allowed");
}

#[test]
fn new_flows_follow_what_an_agent_says() {
    let scene = Scene::new(2);
    let _servers = scene.servers();
    let word = Arc::new(Mutex::new("ready up 100%"));
    let first = agent(&scene.bed.backends[0], &word);
    let _second = agent(&scene.bed.backends[1], &Arc::new(Mutex::new("100%")));
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    let mut events = daemon.control();
    events.must("events.subscribe", &json!({"kinds": ["weight"]}));
    let rules = json!({"agent_port": AGENT_PORT, "interval": probe_time(), "step": 25});
    scene.bring_up(&mut control, &service(&scene, rules), VIP_V4);
    let _datagrams = scene.udp_servers(Mode::L2, VIP_V4);
    assert_spread("at first", [100, 100], spread(&scene));
    let to = SocketAddr::new(VIP_V4, PORT);
    // Connections that never pause for long: no step of a weight may break one.
    let load = Load::begin(&scene.bed.client, vec![to], 16);
    let say = |said: &'static str| *word.lock().expect("no panic") = said;
    say("50%");
    wait_weights(&mut control, "the weight follows", |it| it == [50, 100]);
    assert_spread("the agent says 50 %", [50, 100], spread(&scene));
    let row = &backends(&mut control, &name(VIP_V4))[0];
    assert_eq!(row["weight"], json!(1), "{row:#}");
    assert_eq!(
        row["current_weight"]["reason"],
        json!("its agent reports 50 %")
    );
    let step = events.event();
    assert_eq!(step["kind"], json!("weight"), "{step:#}");
    assert_eq!(
        (&step["from_percent"], &step["to_percent"]),
        (&json!(100), &json!(75)),
        "{step:#}"
    );

    say("drain");
    wait_serving(&mut control, &name(VIP_V4), 1);
    assert_eq!(spread(&scene), [0, FLOWS]);
    let row = &backends(&mut control, &name(VIP_V4))[0];
    assert_eq!(row["state"], json!("up"), "{row:#}");
    assert_eq!(
        row["not_serving_because"],
        json!("its agent takes no new flows"),
        "{row:#}"
    );
    load.turn();

    say("ready 100%");
    wait_serving(&mut control, &name(VIP_V4), 2);
    wait_weights(&mut control, "the weight is whole again", |it| {
        it == [100; 2]
    });
    assert_spread("the agent is ready", [100, 100], spread(&scene));

    load.turn();
    let failures = load.end();
    assert!(failures.is_empty(), "{failures:#?}");

    // Silence ends at the configured weight.
    say("20%");
    wait_weights(&mut control, "the weight follows", |it| it == [20, 100]);
    drop(first);
    wait_weights(&mut control, "silence is no report", |it| it == [100; 2]);
    assert_spread("the agent is silent", [100, 100], spread(&scene));

    let off = json!({"name": name(VIP_V4), "no_dynamic_weights": true});
    control.must("service.update", &off);
    let row = &backends(&mut control, &name(VIP_V4))[0];
    assert_eq!(row["current_weight"], Value::Null, "{row:#}");
}

#[test]
fn an_agents_drain_holds_at_once_and_over_a_restart() {
    let scene = Scene::new(2);
    let _servers = scene.servers();
    let word = Arc::new(Mutex::new("drain"));
    let _first = agent(&scene.bed.backends[0], &word);
    let _second = agent(&scene.bed.backends[1], &Arc::new(Mutex::new("100%")));
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    scene.bring_up(&mut control, &scene.service(Mode::L2, VIP_V4), VIP_V4);
    let _datagrams = scene.udp_servers(Mode::L2, VIP_V4);
    // The first question comes within a second, the first step in an hour.
    let rules = json!({"agent_port": AGENT_PORT, "interval": "1h"});
    let on = json!({"name": name(VIP_V4), "dynamic_weights": rules});
    control.must("service.update", &on);
    wait_serving(&mut control, &name(VIP_V4), 1);
    assert_eq!(spread(&scene), [0, FLOWS]);

    assert!(daemon.stop().success());
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    let reason = |control: &mut Control| {
        let row = backends(control, &name(VIP_V4)).swap_remove(0);
        assert_eq!(row["serving"], json!(false), "{row:#}");
        row["current_weight"]["reason"].clone()
    };
    wait::until("the agent is heard", LIMIT, || {
        reason(&mut control) == json!("its agent wants it drained")
    });
    assert_eq!(spread(&scene), [0, FLOWS]);

    // Who is ready after a restart begins with all of its weight.
    *word.lock().expect("no panic") = "ready";
    assert!(daemon.stop().success());
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    wait_serving(&mut control, &name(VIP_V4), 2);
    wait_weights(&mut control, "the weights are whole", |it| it == [100; 2]);
    assert_spread("after a restart", [100, 100], spread(&scene));
}

#[test]
fn new_flows_leave_a_backend_that_answers_slowly_and_come_back() {
    let scene = Scene::new(2);
    let delay = Arc::new(AtomicU64::new(0));
    let _slow = slow_server(&scene.bed.backends[0], &delay);
    let _fast = scene.server(1);
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    let mut plain = scene.service(Mode::L2, VIP_V4);
    plain["max_step"] = json!(50);
    scene.bring_up(&mut control, &plain, VIP_V4);
    let _datagrams = scene.udp_servers(Mode::L2, VIP_V4);
    // Its probes have told of failures alone until now.
    let rules =
        json!({"response_time": true, "interval": probe_time(), "step": 50, "dead_band": 20});
    let on = json!({"name": name(VIP_V4), "dynamic_weights": rules});
    control.must("service.update", &on);

    delay.store(100, Ordering::Relaxed);
    wait_weights(&mut control, "the weights follow", |[slow, fast]| {
        slow <= 75 && fast >= 150
    });
    assert_steady(&scene, &mut control, "one answers slowly");
    delay.store(0, Ordering::Relaxed);
    wait_weights(&mut control, "the weights come back", |it| it == [100; 2]);
    assert_steady(&scene, &mut control, "both are fast");
}

/// Flows are spread as the weights say, which stay while that is looked at.
fn assert_steady(scene: &Scene, control: &mut Control, what: &str) {
    let mut seen = ([0; 2], [0; 2]);
    wait::until("weights stay while flows are spread", LIMIT, || {
        let before = weights(control);
        wait_moved(control, &name(VIP_V4), false);
        seen = (before, spread(scene));
        weights(control) == before
    });
    assert_spread(what, seen.0, seen.1);
}

#[test]
fn weights_that_follow_nothing_or_what_nobody_measures_are_refused() {
    let scene = Scene::new(1);
    let daemon = scene.instance.start();
    let mut control = daemon.control();
    let refused = control.refused("service.add", &service(&scene, json!({})));
    assert!(refused.message.contains("follow nothing"), "{refused:?}");
    control.must(
        "service.add",
        &service(&scene, json!({"response_time": true})),
    );
    let no_probe = json!({"name": name(VIP_V4), "no_probe": true});
    let refused = control.refused("service.update", &no_probe);
    assert!(refused.message.contains("without a probe"), "{refused:?}");
}
