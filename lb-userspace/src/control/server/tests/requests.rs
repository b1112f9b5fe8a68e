//! Each request gets its answer, if its peer may make it.

use super::*;

#[tokio::test]
async fn bad_requests_get_their_error_and_the_connection_goes_on() {
    let daemon = Daemon::start(Limits::default()).await;
    let mut client = daemon.connect().await;
    for (line, code, id) in [
        ("{nonsense", -32700, Value::Null),
        (r#"{"jsonrpc": "2.0", "id": 1}"#, -32600, json!(1)),
        (
            r#"{"jsonrpc": "2.0", "id": 2, "method": "version", "extra": 1}"#,
            -32600,
            json!(2),
        ),
        (
            r#"{"jsonrpc": "2.0", "id": "x", "method": "no.such"}"#,
            -32601,
            json!("x"),
        ),
        (
            r#"{"jsonrpc": "2.0", "id": 3, "method": "service.get", "params": {"nme": "a"}}"#,
            -32602,
            json!(3),
        ),
        (
            r#"{"jsonrpc": "2.0", "id": 4, "method": "service.get", "params": ["a"]}"#,
            -32602,
            json!(4),
        ),
        ("[]", -32600, Value::Null),
    ] {
        assert_eq!(client.code_of(line).await, (json!(code), id), "{line}");
    }
    let unknown = r#"{"jsonrpc": "2.0", "id": 3, "method": "service.get", "params": {"nme": "a"}}"#;
    let message = client.ask(unknown).await["error"]["message"].to_string();
    assert!(message.contains("`nme`"), "{message}");
    assert_eq!(
        client.ask(REMOVE).await["result"],
        json!({ "generation": 1 })
    );
    daemon.stop().await;
}

#[tokio::test]
async fn a_batch_is_carried_out_in_order_and_answered_in_one_line() {
    let daemon = Daemon::start(Limits::default()).await;
    let mut client = daemon.connect().await;
    let batch = format!(
        "[{REMOVE}, {REMOVE_SILENTLY}, 1, {}, {REMOVE}]",
        request(2, "no.such")
    );
    let answers = client.ask(&batch).await;
    let short: Vec<Value> = answers
        .as_array()
        .unwrap()
        .iter()
        .map(|answer| {
            let result = &answer["result"]["generation"];
            let outcome = if result.is_null() {
                &answer["error"]["code"]
            } else {
                result
            };
            json!([answer["id"], outcome])
        })
        .collect();
    assert_eq!(
        json!(short),
        json!([[1, 1], [null, -32600], [2, -32601], [1, 3]])
    );
    daemon.stop().await;
}

#[tokio::test]
async fn notifications_are_carried_out_and_not_answered() {
    let daemon = Daemon::start(Limits::default()).await;
    let mut client = daemon.connect().await;
    let unknown = r#"{"jsonrpc": "2.0", "method": "no.such"}"#;
    client
        .send(&format!(
            "{REMOVE_SILENTLY}\n{unknown}\n[{REMOVE_SILENTLY}]\n\n"
        ))
        .await;
    assert_eq!(
        client.ask(REMOVE).await["result"],
        json!({ "generation": 3 })
    );
    daemon.stop().await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_and_the_last_needs_no_newline() {
    let daemon = Daemon::start(Limits::default()).await;
    let mut client = daemon.connect().await;
    let lines: Vec<String> = (0..100).map(|id| request(id, "status")).collect();
    client.send(&lines.join("\n")).await;
    client.0.get_mut().shutdown().await.unwrap();
    for id in 0..100 {
        assert_eq!(client.answer().await.unwrap()["id"], id);
    }
    assert_eq!(client.answer().await, None);
    daemon.stop().await;
}

#[tokio::test]
async fn who_may_only_read_is_refused_changes_and_told_who_may() {
    let mut door = Door::new(Limits::default());
    let mut reader = door.admit(Right::Read);
    assert_eq!(
        reader.ask(&request(1, "status")).await["result"],
        json!({ "generation": 0 })
    );
    let error = reader.ask(REMOVE).await["error"].clone();
    assert_eq!(error["code"], -32001);
    let message = error["message"].to_string();
    assert!(
        message.contains("service.remove") && message.contains("no-such-group-here"),
        "{message}"
    );
    reader.send(&format!("{REMOVE_SILENTLY}\n")).await;
    assert_eq!(
        reader.ask(&request(2, "status")).await["result"],
        json!({ "generation": 0 })
    );
}

#[tokio::test]
async fn who_has_no_right_gets_one_line() {
    let mut door = Door::new(Limits::default());
    let mut stranger = door.admit(Right::None);
    assert!(door.clients.tasks.is_empty());
    let error = stranger.answer().await.unwrap()["error"].clone();
    assert_eq!(error["code"], -32001);
    let message = error["message"].to_string();
    assert!(
        message.contains("uid 54321") && message.contains("no-such-group-here"),
        "{message}"
    );
    assert_eq!(stranger.answer().await, None);
}

#[tokio::test]
async fn stopping_ends_idle_clients_and_removes_the_socket() {
    let daemon = Daemon::start(Limits::default()).await;
    let path = daemon.path();
    let mut idle = daemon.connect().await;
    idle.ask(REMOVE).await;
    daemon.shutdown.send(true).unwrap();
    assert_eq!(idle.answer().await, None);
    in_time(daemon.server).await.unwrap();
    assert!(!path.exists());
}

#[tokio::test]
async fn the_blocking_client_tells_its_errors_apart() {
    let daemon = Daemon::start(Limits::default()).await;
    let path = daemon.path();
    let calls = tokio::task::spawn_blocking(move || {
        let remove = Call::decode("service.remove", Some(json!({ "name": "web" }))).unwrap();
        let drain = json!({ "service": "web", "address": "10.0.0.1:80" });
        let drain = Call::decode("backend.drain", Some(drain)).unwrap();
        let long = Call::ServiceGet(ServiceRef {
            name: "x".repeat(MAX_CHANGE_LINE_BYTES),
        });

        let mut client = Client::connect(&path).unwrap();
        let applied: Applied = client.call_as(&remove).unwrap();
        assert_eq!(applied.generation, 1);
        let error = client.call(&drain).unwrap_err();
        assert!(
            matches!(&error, ClientError::Refused(error) if error.code == -32002),
            "{error}"
        );
        let error = client.call(&long).unwrap_err();
        assert!(
            matches!(&error, ClientError::Refused(error) if error.code == -32006),
            "{error}"
        );
        let error = client
            .call_as::<Applied>(&Call::Stats(NoParams {}))
            .unwrap_err();
        assert!(matches!(error, ClientError::Protocol { .. }), "{error}");
        assert!(client.call(&remove).is_ok());

        let error = Client::connect(&path.with_extension("gone")).unwrap_err();
        assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
        assert!(error.to_string().ends_with("(is lbd running?)"), "{error}");
    });
    in_time(calls).await.unwrap();
    daemon.stop().await;
}
