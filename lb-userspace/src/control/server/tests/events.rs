//! Subscribers are told what happens, between whole answers, and hold up nobody.

use super::*;
use crate::control::protocol::Happening;

const SUBSCRIBE: &str = r#"{"jsonrpc": "2.0", "id": 9, "method": "events.subscribe"}"#;

fn failed(what: impl Into<String>) -> Happening {
    Happening::Error {
        what: what.into(),
        retry_ms: None,
        recovered: false,
    }
}

fn subscribe(params: &Value) -> String {
    json!({ "jsonrpc": "2.0", "id": 9, "method": "events.subscribe", "params": params }).to_string()
}

#[tokio::test]
async fn events_come_as_notifications_between_answers_until_unsubscribed() {
    let daemon = Daemon::start(Limits::default()).await;
    let mut client = daemon.connect().await;
    daemon.feed.tell(failed("before"));
    assert_eq!(
        client.ask(SUBSCRIBE).await,
        json!({ "jsonrpc": "2.0", "id": 9, "result": { "sequence": 1 } })
    );
    daemon.feed.tell(failed("after"));
    let mut event = client.answer().await.unwrap();
    assert!(event["params"]["time_ms"].take().is_u64(), "{event}");
    assert_eq!(
        event,
        json!({
            "jsonrpc": "2.0",
            "method": "event",
            "params": { "sequence": 2, "time_ms": null, "kind": "error", "what": "after", "recovered": false },
        })
    );
    assert_eq!(
        client.ask(REMOVE).await["result"],
        json!({ "generation": 1 })
    );
    let unsubscribed = client.ask(&request(10, "events.unsubscribe")).await;
    assert_eq!(unsubscribed["result"], json!({}));
    daemon.feed.tell(failed("not for us"));
    assert_eq!(
        client.ask(REMOVE).await["result"],
        json!({ "generation": 2 })
    );
    daemon.stop().await;
}

#[tokio::test]
async fn only_what_is_wanted_comes_and_a_later_subscription_replaces_the_first() {
    let daemon = Daemon::start(Limits::default()).await;
    let mut client = daemon.connect().await;
    let published = Happening::Publication {
        generation: 4,
        steps: 1,
        reaction_us: None,
    };
    client
        .ask(&subscribe(&json!({ "kinds": ["publication"] })))
        .await;
    daemon.feed.tell(failed("no"));
    daemon.feed.tell(published.clone());
    assert_eq!(client.answer().await.unwrap()["params"]["sequence"], 2);
    client.ask(&subscribe(&json!({ "kinds": ["error"] }))).await;
    daemon.feed.tell(published);
    daemon.feed.tell(failed("yes"));
    assert_eq!(client.answer().await.unwrap()["params"]["sequence"], 4);
    daemon.stop().await;
}

#[tokio::test]
async fn bad_subscriptions_are_refused_with_what_is_wrong() {
    let daemon = Daemon::start(Limits::default()).await;
    let mut client = daemon.connect().await;
    for (params, named) in [
        (json!({ "kinds": ["helth"] }), "helth"),
        (json!({ "service": "a b" }), "a b"),
        (json!({ "services": "web" }), "services"),
    ] {
        let error = client.ask(&subscribe(&params)).await["error"].clone();
        assert_eq!(error["code"], -32602, "{params}");
        assert!(error["message"].to_string().contains(named), "{error}");
    }
    daemon.stop().await;
}

#[tokio::test]
async fn who_may_only_read_may_subscribe() {
    let mut door = Door::new(Limits::default());
    let mut reader = door.admit(Right::Read);
    assert_eq!(
        reader.ask(SUBSCRIBE).await["result"],
        json!({ "sequence": 0 })
    );
    door.connection.feed.tell(failed("it"));
    assert_eq!(reader.answer().await.unwrap()["params"]["what"], "it");
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_may_be_quiet_for_longer_than_others() {
    let patience = Limits::default().patience;
    let mut door = Door::new(Limits::default());
    let mut quiet = door.admit(Right::Read);
    let mut subscriber = door.admit(Right::Read);
    subscriber.ask(SUBSCRIBE).await;
    tokio::time::advance(patience.idle * 3).await;
    assert_eq!(quiet.answer().await, None);
    door.connection.feed.tell(failed("it"));
    assert_eq!(subscriber.answer().await.unwrap()["params"]["what"], "it");
    // A line that was begun must be ended in time all the same, whatever is told meanwhile.
    subscriber.send("{").await;
    let mut told = 0;
    let answer = loop {
        door.connection.feed.tell(failed("it"));
        tokio::time::advance(patience.unfinished / 10).await;
        let line = subscriber.answer().await.unwrap();
        if line["method"] != "event" {
            break line;
        }
        told += 1;
        assert!(told < 100, "the half-sent line is never cut off");
    };
    assert_eq!(answer["error"]["code"], -32600);
}

#[tokio::test]
async fn a_subscriber_that_does_not_read_holds_up_nobody_and_is_told_what_it_lost() {
    let daemon = Daemon::start(Limits::default()).await;
    let mut deaf = daemon.connect().await;
    deaf.ask(SUBSCRIBE).await;
    // More than the socket's buffers and the queue hold; telling never waits.
    let text = "x".repeat(4_096);
    for _ in 0..4_096 {
        daemon.feed.tell(failed(text.as_str()));
        tokio::task::yield_now().await;
    }
    let mut other = daemon.connect().await;
    assert_eq!(
        other.ask(REMOVE).await["result"],
        json!({ "generation": 1 })
    );
    let (mut newest, mut lost) = (0, 0);
    while newest < 4_096 {
        let event = deaf.answer().await.unwrap()["params"].clone();
        let sequence = event["sequence"].as_u64().unwrap();
        let count = event["count"].as_u64().unwrap_or(1);
        assert_eq!(
            sequence,
            newest + count,
            "nothing is missing without being counted"
        );
        lost += if event["kind"] == "lost" { count } else { 0 };
        newest = sequence;
    }
    assert!(lost > 1_000, "{lost} lost");
    daemon.stop().await;
}
