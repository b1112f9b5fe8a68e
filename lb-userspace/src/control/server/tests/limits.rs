//! Who breaks a limit is told so and cut off; nobody else notices.

use super::*;

#[tokio::test]
async fn a_too_long_line_is_answered_once_and_ends_the_connection() {
    let daemon = Daemon::start(Limits::default()).await;
    let mut client = daemon.connect().await;
    client.send(&"x".repeat(MAX_CHANGE_LINE_BYTES + 1)).await;
    client.send(&format!("\n{REMOVE}\n")).await;
    let answer = client.answer().await.unwrap();
    assert_eq!(
        (&answer["error"]["code"], &answer["id"]),
        (&json!(-32006), &Value::Null)
    );
    assert_eq!(client.answer().await, None);
    daemon.stop().await;
}

#[tokio::test]
async fn bytes_that_are_no_text_end_the_connection() {
    let daemon = Daemon::start(Limits::default()).await;
    let mut client = daemon.connect().await;
    client.0.write_all(b"\"\xff\"\n").await.unwrap();
    assert_eq!(client.answer().await.unwrap()["error"]["code"], -32700);
    assert_eq!(client.answer().await, None);
    daemon.stop().await;
}

#[tokio::test]
async fn a_half_sent_line_is_cut_off_and_a_quiet_client_is_not() {
    let limits = Limits {
        patience: Patience {
            unfinished: Duration::from_millis(50),
            ..Limits::default().patience
        },
        ..Limits::default()
    };
    let daemon = Daemon::start(limits).await;
    let mut quiet = daemon.connect().await;
    let mut half = daemon.connect().await;
    half.send("{\"jsonrpc\"").await;
    assert_eq!(half.answer().await.unwrap()["error"]["code"], -32600);
    assert_eq!(half.answer().await, None);
    assert_eq!(
        quiet.ask(REMOVE).await["result"],
        json!({ "generation": 1 })
    );
    daemon.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off_and_holds_up_nobody() {
    let limits = Limits {
        write: Duration::from_millis(200),
        ..Limits::default()
    };
    let daemon = Daemon::start(limits).await;
    let mut deaf = daemon.connect().await;
    deaf.send(&format!("{}\n", request(1, "stats"))).await;
    let mut other = daemon.connect().await;
    assert_eq!(
        other.ask(REMOVE).await["result"],
        json!({ "generation": 1 })
    );
    // The server gives up first: only then is the rest read, and it breaks off.
    in_time(async {
        while deaf
            .0
            .get_ref()
            .ready(tokio::io::Interest::WRITABLE)
            .await
            .is_ok_and(|ready| !ready.is_write_closed())
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut rest = Vec::new();
    drop(in_time(deaf.0.read_to_end(&mut rest)).await);
    assert!(rest.len() < LARGE_BYTES, "{} bytes", rest.len());
    daemon.stop().await;
}

#[tokio::test]
async fn a_core_that_does_not_answer_costs_one_error() {
    let limits = Limits {
        request: Duration::from_millis(100),
        ..Limits::default()
    };
    let daemon = Daemon::start(limits).await;
    let mut client = daemon.connect().await;
    for method in ["config.get", "service.list"] {
        assert_eq!(
            client.code_of(&request(1, method)).await,
            (json!(-32603), json!(1)),
            "{method}"
        );
    }
    assert_eq!(
        client.ask(REMOVE).await["result"],
        json!({ "generation": 1 })
    );
    daemon.stop().await;
}

#[tokio::test]
async fn many_clients_are_served_at_once() {
    let daemon = Daemon::start(Limits::default()).await;
    let mut clients = Vec::new();
    for _ in 0..200 {
        clients.push(daemon.connect().await);
    }
    for client in &mut clients {
        client.send(&format!("{REMOVE}\n")).await;
    }
    let mut generations = Vec::new();
    for client in &mut clients {
        let answer = client.answer().await.unwrap();
        generations.push(answer["result"]["generation"].as_u64().unwrap());
    }
    generations.sort_unstable();
    assert_eq!(generations, (1..=200).collect::<Vec<u64>>());
    daemon.stop().await;
}

#[tokio::test]
async fn a_client_too_many_is_told_so_and_a_free_seat_is_given_again() {
    let limits = Limits {
        clients: 1,
        reserved: 0,
        ..Limits::default()
    };
    let daemon = Daemon::start(limits).await;
    let mut first = daemon.connect().await;
    first.ask(REMOVE).await;
    let mut second = daemon.connect().await;
    assert_eq!(second.answer().await.unwrap()["error"]["code"], -32007);
    assert_eq!(second.answer().await, None);
    drop(first);
    in_time(async {
        loop {
            let mut third = daemon.connect().await;
            third.send(&format!("{REMOVE}\n")).await;
            if third
                .answer()
                .await
                .is_some_and(|answer| answer["result"].is_object())
            {
                break;
            }
        }
    })
    .await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_crowd_that_may_only_ask_does_not_keep_out_who_may_change() {
    let limits = Limits {
        clients: 2,
        reserved: 1,
        ..Limits::default()
    };
    let mut door = Door::new(limits);
    let _crowd = [door.admit(Right::Read), door.admit(Right::Read)];
    let mut reader = door.admit(Right::Read);
    assert_eq!(reader.answer().await.unwrap()["error"]["code"], -32007);
    let mut operator = door.admit(Right::Change);
    assert_eq!(
        operator.ask(REMOVE).await["result"],
        json!({ "generation": 1 })
    );
    let mut second = door.admit(Right::Change);
    let error = second.answer().await.unwrap()["error"].clone();
    assert_eq!(error["code"], -32007);
    assert!(
        error["message"].to_string().contains("3 clients"),
        "{error}"
    );
}
