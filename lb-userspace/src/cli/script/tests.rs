//! Every script is one that a shell understands, and says what it is for.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use super::*;

/// Every step there is.
fn steps() -> Value {
    json!([
        {"step": "sysctl", "key": "net.ipv4.conf.all.arp_ignore", "value": 1, "or": [2, 8]},
        {"step": "reverse_path"},
        {"step": "vip", "addresses": "192.0.2.10"},
        {"step": "vip", "addresses": "2001:db8::10"},
        {"step": "vip", "addresses": "203.0.113.0/28"},
        {"step": "fou", "port": 6080, "ipv6": true},
        {"step": "tunnel", "kind": "ip6tnl", "local": "fd00::2"},
        {"step": "reverse_path", "device": "lb-ip6tnl"},
        {"step": "decap", "from": ["10.0.0.0/24"], "to": "10.0.0.2", "vips": ["192.0.2.10"], "gue_port": 6080},
        {"step": "reply_route", "via": "10.0.0.1"},
        {"step": "reply_rule", "from": "10.0.0.2"},
        {"step": "source_route", "to": "10.98.0.0/28", "via": "10.0.0.1"},
    ])
}

fn script_of(undo: &Value, steps: &Value) -> String {
    let setup = json!({
        "service": "web", "backend": "10.0.0.2:80", "mode": "ipip", "undo": undo, "steps": steps,
        "room": {"mtu": 1500, "overhead": 20, "packet": 1480, "mss_v4": 1440},
        "notes": ["mind the gap"],
    });
    script(&serde_json::from_value(setup).unwrap())
}

/// Has a shell read the script without running it.
fn parses(script: &str) {
    let mut shell = Command::new("sh")
        .arg("-n")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = shell.stdin.take().unwrap();
    stdin.write_all(script.as_bytes()).unwrap();
    drop(stdin);
    let output = shell.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{script}");
}

#[test]
fn every_step_is_done_explained_and_checked() {
    let script = script_of(&json!([]), &steps());
    parses(&script);
    for words in [
        "#!/bin/sh\n# What the host of backend 10.0.0.2:80 of service web needs in mode ipip.\n",
        "# Note: mind the gap.\n",
        "1480 are left",
        "`advmss 1440`",
        "\nset -eu\n",
        "\n    find_interface 10.0.0.2\n",
        "\n    setting net/ipv4/conf/all/arp_ignore 1 2 8\n",
        "\n    loosen $dev\n",
        "\n    loosen lb-ip6tnl\n",
        "\n    vip 192.0.2.10 32\n",
        "\n    vip 2001:db8::10 128\n",
        "\n    ip -4 route replace local 203.0.113.0/28 dev lo\n",
        "\n    ip -4 route replace 10.98.0.0/28 via 10.0.0.1 dev \"$dev\"\n",
        "\n    fou -6 6080\n",
        "\n    tunnel lb-ip6tnl ip6tnl fd00::2\n",
        "\n    decap 10.0.0.2 --iface=\"$dev\" --to=10.0.0.2 --gue-port=6080 --from=10.0.0.0/24 --vip=192.0.2.10\n",
        "\n    ip -4 route replace default via 10.0.0.1 dev \"$dev\" table 19522\n",
        "\n    reply_rule -4 pref 19522 from 10.0.0.2 lookup 19522\n",
        "\n    show \"VIP 192.0.2.10\" ip -o address show dev lo to 192.0.2.10\n",
    ] {
        assert!(script.contains(words), "no {words:?} in\n{script}");
    }
    assert!(script.ends_with("\nmain </dev/null\n"), "{script}");
}

#[test]
fn the_way_back_undoes_and_then_does_what_is_left() {
    let left = json!([
        {"step": "decap", "from": ["10.0.0.0/24"], "to": "10.0.0.2", "vips": ["192.0.2.53"], "gue_port": 6080},
    ]);
    let script = script_of(&steps(), &left);
    parses(&script);
    for words in [
        "\n    no_vip 192.0.2.10 32\n",
        "\n    ip -4 route del local 203.0.113.0/28 dev lo",
        "\n    ip -4 route del 10.98.0.0/28 via 10.0.0.1",
        "\n    ip link del lb-ip6tnl",
        "\n    ip -6 fou del port 6080",
        "\n    no_decap 10.0.0.2\n",
        "\n    ip -4 rule del pref 19522 from 10.0.0.2 lookup 19522",
        "--vip=192.0.2.53\n",
        "no longer set up",
    ] {
        assert!(script.contains(words), "no {words:?} in\n{script}");
    }
    assert!(!script.contains("    setting "), "settings stay:\n{script}");
}

#[test]
fn nothing_to_do_is_said() {
    let script = script_of(&json!([]), &json!([]));
    parses(&script);
    assert!(
        script.contains("echo 'backend-setup: nothing to do'"),
        "{script}"
    );
}
