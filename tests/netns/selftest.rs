//! The self-test of the program leaves no trace in the maps that it runs over.

use lb_tests::published::Published;
use serde_json::{Value, json};

use crate::scene::lone;

#[test]
fn a_start_and_a_change_of_program_leave_nothing_behind() {
    let (_namespace, instance) = lone();
    let daemon = instance.start();
    let mut control = daemon.control();
    let mut published = Published::of(instance.bpffs());
    // The first needs another program, which knows `nat` and `snat`, the second none.
    for (name, vip, mode) in [
        ("translated", "192.0.2.10:80/tcp", "snat"),
        ("direct", "[2001:db8::10]:80/tcp", "l2"),
    ] {
        let mut service = json!({"name": name, "vips": [vip], "mode": mode});
        if name == "translated" {
            service["backend"] = json!([{"address": "10.9.9.9:80"}]);
        }
        control.must("service.add", &service);
        let vip = vip.rsplit_once('/').expect("a protocol").0;
        let vip: std::net::SocketAddr = vip.parse().expect("a VIP");
        published.vips.insert((vip.ip(), vip.port(), 6));
        assert_eq!(Published::of(instance.bpffs()), published, "{name}");
        assert_eq!(Published::remembered(instance.bpffs()), 0, "{name}");
        let stats = control.must("stats", &json!({}));
        assert_eq!(stats["other"], Value::Null, "{name}: {stats:#}");
    }
    // It is told of, and only if it has passed does the program come to an interface.
    let status = control.must("status", &json!({}));
    assert_eq!(
        status["interfaces"][0]["xdp_mode"],
        json!("native"),
        "{status:#}"
    );
    let generation = status["generation"].as_u64().expect("a generation");
    assert!(
        generation <= 4,
        "its publications are not counted: {generation}"
    );
}
