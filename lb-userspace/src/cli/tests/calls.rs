//! Commands on services and backends, and the calls that they become.

use super::*;

#[test]
fn commands_on_services_become_their_calls() {
    calls_are(&[
        ("version", "version", json!({})),
        ("status", "status", json!({})),
        ("stats --all", "stats", json!({})),
        (
            "service add web --vip 192.0.2.10:443/tcp --vip [2001:db8::10]:443/tcp,192.0.2.10:443/udp",
            "service.add",
            json!({ "name": "web", "vips": ["192.0.2.10:443/tcp", "[2001:db8::10]:443/tcp", "192.0.2.10:443/udp"] }),
        ),
        (
            "service add web --vip 192.0.2.10:443/tcp --mode nat --table-slots 4093 --probe http --probe-port 80 \
             --probe-path /up --probe-host web.example --probe-status 200-204 --probe-interval 500ms \
             --probe-timeout 200ms --rise 1 --fall 4 --probe-jitter 0 --probe-via vip",
            "service.add",
            json!({
                "name": "web", "vips": ["192.0.2.10:443/tcp"], "mode": "nat", "table_slots": 4093,
                "probe": {
                    "type": "http", "port": 80, "path": "/up", "host": "web.example", "status": "200-204",
                    "interval": "500ms", "timeout": "200ms", "rise": 1, "fall": 4, "jitter_percent": 0, "via": "vip",
                },
            }),
        ),
        (
            "service add web --vip 192.0.2.10:443/tcp --probe grpc --probe-with tls=true --probe-with verify=false \
             --probe-with grpc_service=a=b --probe-with hold_down=0s",
            "service.add",
            json!({
                "name": "web", "vips": ["192.0.2.10:443/tcp"],
                "probe": { "type": "grpc", "tls": true, "verify": false, "grpc_service": "a=b", "hold_down": "0s" },
            }),
        ),
        (
            "service update web --probe exec --probe-with command=/bin/check --probe-with command=--fast",
            "service.update",
            json!({ "name": "web", "probe": { "type": "exec", "command": ["/bin/check", "--fast"] } }),
        ),
        (
            "service add web --vip 192.0.2.10:443/tcp --source-rate 1000 --source-burst 5000",
            "service.add",
            json!({
                "name": "web", "vips": ["192.0.2.10:443/tcp"], "source_rate": 1000, "source_burst": 5000,
            }),
        ),
        (
            "service update web --source-rate 1000",
            "service.update",
            json!({ "name": "web", "source_rate": 1000 }),
        ),
        (
            "service update web --no-source-rate",
            "service.update",
            json!({ "name": "web", "no_source_rate": true }),
        ),
        (
            "service update web --table-slots auto --no-probe",
            "service.update",
            json!({ "name": "web", "table_slots": "auto", "no_probe": true }),
        ),
        (
            "service update web --vip 192.0.2.11:80/tcp --probe tcp",
            "service.update",
            json!({ "name": "web", "vips": ["192.0.2.11:80/tcp"], "probe": { "type": "tcp" } }),
        ),
        (
            "service remove web",
            "service.remove",
            json!({ "name": "web" }),
        ),
        (
            "service remove --force web",
            "service.remove",
            json!({ "name": "web", "force": true }),
        ),
        ("service get web", "service.get", json!({ "name": "web" })),
        ("service list", "service.list", json!({})),
        (
            "blocklist add 203.0.113.0/24 2001:db8::7",
            "blocklist.add",
            json!({ "prefixes": ["203.0.113.0/24", "2001:db8::7"] }),
        ),
        (
            "blocklist remove 203.0.113.0/24",
            "blocklist.remove",
            json!({ "prefixes": ["203.0.113.0/24"] }),
        ),
        ("blocklist list", "blocklist.list", json!({})),
    ]);
}

#[test]
fn commands_on_backends_become_their_calls() {
    let backend = json!({ "service": "web", "address": "10.0.0.11:8443" });
    calls_are(&[
        (
            "backend add web 10.0.0.11:8443",
            "backend.add",
            backend.clone(),
        ),
        (
            "backend add web [fd00::11]:80 --weight 2 --mode nat --state drain",
            "backend.add",
            json!({ "service": "web", "address": "[fd00::11]:80", "weight": 2, "mode": "nat", "state": "drain" }),
        ),
        (
            "backend update web 10.0.0.11:8443 --weight 1000",
            "backend.update",
            json!({ "service": "web", "address": "10.0.0.11:8443", "weight": 1000 }),
        ),
        (
            "backend remove web 10.0.0.11:8443 --drain-timeout 5m",
            "backend.remove",
            json!({ "service": "web", "address": "10.0.0.11:8443", "drain_timeout": "5m" }),
        ),
        (
            "backend remove web 10.0.0.11:8443 --force",
            "backend.remove",
            json!({ "service": "web", "address": "10.0.0.11:8443", "force": true }),
        ),
        (
            "backend drain web 10.0.0.11:8443",
            "backend.drain",
            backend.clone(),
        ),
        (
            "backend undrain web 10.0.0.11:8443",
            "backend.undrain",
            backend.clone(),
        ),
        (
            "backend enable web 10.0.0.11:8443",
            "backend.enable",
            backend.clone(),
        ),
        (
            "backend disable web 10.0.0.11:8443",
            "backend.disable",
            backend.clone(),
        ),
        ("backend list", "backend.list", json!({})),
        (
            "backend-setup web 10.0.0.11:8443",
            "backend.setup",
            json!({ "service": "web", "address": "10.0.0.11:8443", "with": "decap" }),
        ),
        (
            "backend-setup web 10.0.0.11:8443 --with kernel --from 10.0.0.0/24 --from fd00::1 --undo",
            "backend.setup",
            json!({
                "service": "web", "address": "10.0.0.11:8443", "with": "kernel",
                "from": ["10.0.0.0/24", "fd00::1"], "undo": true,
            }),
        ),
        (
            "backend list web --json",
            "backend.list",
            json!({ "service": "web" }),
        ),
    ]);
}
