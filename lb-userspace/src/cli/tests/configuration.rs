//! Whole configurations and flows: what is typed, and what comes back.

use super::*;

#[test]
fn commands_on_the_whole_become_their_calls() {
    calls_are(&[
        (
            "config check -",
            "config.check",
            json!({ "toml": "[daemon]" }),
        ),
        (
            "config apply -",
            "config.apply",
            json!({ "toml": "[daemon]" }),
        ),
        ("config get", "config.get", json!({})),
        (
            "config get --number 3",
            "config.get",
            json!({ "number": 3 }),
        ),
        (
            "config plan - --max-moved-slots 10 --max-moved-flows 0",
            "config.plan",
            json!({ "toml": "[daemon]", "budget": { "moved_slots_percent": 10, "moved_flows": 0 } }),
        ),
        (
            "config apply - --max-moved-flows 5",
            "config.apply",
            json!({ "toml": "[daemon]", "budget": { "moved_flows": 5 } }),
        ),
        ("config diff", "config.diff", json!({})),
        (
            "config diff -",
            "config.diff",
            json!({ "toml": "[daemon]" }),
        ),
        (
            "config diff --number 2",
            "config.diff",
            json!({ "number": 2 }),
        ),
        ("config history", "config.history", json!({})),
        ("config rollback", "config.rollback", json!({})),
        (
            "config rollback 7 --max-moved-slots 1",
            "config.rollback",
            json!({ "number": 7, "budget": { "moved_slots_percent": 1 } }),
        ),
        (
            "flows list --service web --backend 10.0.0.11:80 --limit 5",
            "flows.list",
            json!({ "service": "web", "backend": "10.0.0.11:80", "limit": 5 }),
        ),
        (
            "flows count --source 192.0.2.7",
            "flows.count",
            json!({ "source": "192.0.2.7" }),
        ),
    ]);
}

#[test]
fn every_fault_of_a_configuration_has_its_line() {
    let faults = json!([
        { "place": "service[0].vips", "line": 3, "column": 8, "message": "no VIP" },
        { "place": "", "message": "two services `web`" },
    ]);
    let listed = "lbctl: line 3, column 8: service[0].vips: no VIP\nlbctl: two services `web`\n";
    let error = json!({ "code": -32004, "message": "2 faults", "data": { "faults": faults } });
    let (ran, request) = run_against("config apply -", &json!({ "error": error }));
    assert_eq!(
        (ran.exit, ran.errors.as_str()),
        (Exit::InvalidConfig, listed)
    );
    assert_eq!(request["params"], json!({ "toml": "service = []" }));

    let result = json!({ "valid": false, "faults": faults });
    let (ran, _) = run_against("config check -", &json!({ "result": result }));
    assert_eq!(
        (ran.exit, ran.errors.as_str()),
        (Exit::InvalidConfig, listed)
    );
    let (ran, _) = run_against("config check - --json", &json!({ "result": result }));
    assert_eq!((ran.exit, ran.errors.as_str()), (Exit::InvalidConfig, ""));
    let (ran, _) = run_against("config check -", &json!({ "result": { "valid": true } }));
    assert_eq!((ran.exit, ran.output.as_str()), (Exit::Done, "valid\n"));
}
