//! The view of `ipvsadm`, line by line.

use serde_json::{Value, json};

use super::*;

fn backend(address: &str, mode: &str, state: &str, serving: bool) -> Value {
    json!({
        "service": "web", "address": address, "weight": 2, "mode": mode, "state": state, "removing": false,
        "health": "up", "health_reason": "", "serving": serving, "slots": 0,
    })
}

fn status() -> Status {
    serde_json::from_value(json!({
        "generation": 7, "uptime_ms": 0, "in_sync": true, "interfaces": [],
        "services": [{
            "name": "web", "vips": ["192.0.2.10:80/tcp", "[2001:db8::10]:53/udp"], "table_slots": 13, "generation": 7,
            "backends": [
                backend("10.0.0.11:80", "l2", "up", true),
                backend("10.0.0.12:80", "gue", "drain", false),
                backend("10.0.0.13:80", "nat", "up", false),
            ],
        }],
    }))
    .unwrap()
}

#[test]
fn every_vip_is_a_virtual_service_with_all_backends() {
    let flows = json!({"flows": 5, "backends": [{"service": "web", "backend": "10.0.0.11:80", "flows": 5}]});
    let flows: FlowCounts = serde_json::from_value(flows).unwrap();
    let text = text(&status(), &flows);
    let lines: Vec<&str> = text.lines().skip(1).collect();
    let expected = "\
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  192.0.2.10:80 mh
  -> 10.0.0.11:80                 Route   2      5          -
  -> 10.0.0.12:80                 Tunnel  0      0          -
  -> 10.0.0.13:80                 Masq    0      0          -
UDP  [2001:db8::10]:53 mh";
    let expected: Vec<&str> = expected.lines().collect();
    assert_eq!(lines[..expected.len()], expected);
    assert_eq!(lines.len(), expected.len() + 3);
}

#[test]
fn algorithms_have_the_names_of_schedulers() {
    let mut status = status();
    let flows: FlowCounts = serde_json::from_value(json!({"flows": 0, "backends": []})).unwrap();
    for (algorithm, name) in Algorithm::ALL
        .into_iter()
        .zip(["mh", "sh", "random", "wrr"])
    {
        status.services[0].algorithm = algorithm;
        let line = format!("TCP  192.0.2.10:80 {name}\n");
        assert!(text(&status, &flows).contains(&line), "{algorithm}");
    }
}
