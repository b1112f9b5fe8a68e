//! `lbctl explain`.

use super::*;

#[test]
fn packets_are_asked_about_by_their_ends_or_as_they_are() {
    calls_are(&[
        (
            "explain --source 198.51.100.7:40000 --destination 192.0.2.10:80 --ack --interface eth0",
            "explain",
            json!({
                "source": "198.51.100.7:40000", "destination": "192.0.2.10:80", "flags": "ack", "interface": "eth0",
            }),
        ),
        (
            "explain --source [2001:db8::7]:9 --destination [2001:db8::10]:53 --protocol udp --hop-limit 1 --size 99",
            "explain",
            json!({
                "source": "[2001:db8::7]:9", "destination": "[2001:db8::10]:53", "protocol": "udp", "hop_limit": 1,
                "size": 99,
            }),
        ),
        (
            "explain --packet 0a0b",
            "explain",
            json!({ "packet": "0a0b" }),
        ),
    ]);
}

#[test]
fn half_a_question_and_two_at_once_are_refused() {
    for words in [
        "explain",
        "explain --source 198.51.100.7:40000",
        "explain --source 198.51.100.7 --destination 192.0.2.10:80",
        "explain --packet 0a --source 198.51.100.7:4 --destination 192.0.2.10:80",
        "explain --packet 0a --ack",
        "explain --source 198.51.100.7:4 --destination 192.0.2.10:80 --syn --ack",
    ] {
        let arguments: Vec<&str> = words.split_whitespace().collect();
        assert_eq!(run_with_input(&arguments, b"").exit, Exit::Usage, "{words}");
    }
}

#[test]
fn stages_are_lines_and_the_verdict_is_the_last() {
    let answer = json!({ "result": {
        "verdict": "drop", "outcome": "drop.blocked", "input": "0a",
        "stages": [
            { "stage": "parse", "what": "TCP" },
            { "stage": "classify", "what": "VIP", "facts": { "service": "web" } },
        ],
    } });
    let (ran, asked) = run_against("explain --packet 0a", &answer);
    assert_eq!(asked["method"], "explain");
    assert_eq!(ran.exit, Exit::Done, "{}", ran.errors);
    assert_eq!(
        ran.output,
        "parse      TCP\nclassify   VIP\nverdict    dropped (drop.blocked)\n"
    );
}
