//! Real sockets, a core that answers by rote: each client gets its answers, whatever the others do.

use std::{os::unix::fs::PermissionsExt as _, path::Path, path::PathBuf};

use serde_json::json;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    task::JoinHandle,
};

use super::*;
use crate::control::{
    client::{Client, ClientError},
    protocol::{Applied, MAX_LINE_BYTES, NoParams, ServiceRef},
};

/// Nothing in these tests takes so long unless it hangs.
const DEADLINE: Duration = Duration::from_secs(20);
/// More than the buffers of a Unix socket hold.
const LARGE_BYTES: usize = 4 << 20;

/// A server with a core that counts changes.
struct Daemon {
    directory: TempDir,
    shutdown: watch::Sender<bool>,
    server: JoinHandle<()>,
}

impl Daemon {
    async fn start(limits: Limits) -> Self {
        let directory = TempDir::new().unwrap();
        let access = Access::new(None, None);
        let listener = bind(&directory.path().join("run/lb.sock"), &access)
            .await
            .unwrap();
        let (shutdown, stop) = watch::channel(false);
        let server = serve(listener, access, limits, core(), stop);
        Self {
            directory,
            shutdown,
            server: tokio::spawn(server),
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("run/lb.sock")
    }

    async fn connect(&self) -> Wire {
        Wire::new(UnixStream::connect(self.path()).await.unwrap())
    }

    async fn stop(self) {
        self.shutdown.send(true).unwrap();
        in_time(self.server).await.unwrap();
    }
}

/// A core that answers: changes with a generation, `stats` with much, `service.get` with the name asked
/// for, `config.get` not at all, and `service.list` by dropping the request.
fn core() -> mpsc::Sender<Request> {
    let (requests, mut incoming) = mpsc::channel::<Request>(16);
    tokio::spawn(async move {
        let mut generation = 0;
        let mut unanswered = Vec::new();
        while let Some(Request { call, answer, .. }) = incoming.recv().await {
            let outcome = match call {
                Call::ConfigGet(_) => {
                    unanswered.push(answer);
                    continue;
                }
                Call::ServiceList(_) => continue,
                Call::Stats(_) => Ok(json!("x".repeat(LARGE_BYTES))),
                Call::ServiceGet(service) => Ok(json!(service.name)),
                Call::BackendDrain(_) => Err(RpcError::new(ErrorCode::NotFound, "no such backend")),
                call if call.is_read_only() => Ok(json!({ "generation": generation })),
                _ => {
                    generation += 1;
                    Ok(json!({ "generation": generation }))
                }
            };
            drop(answer.send(outcome));
        }
    });
    requests
}

/// A client that sends what it likes.
struct Wire(BufReader<UnixStream>);

impl Wire {
    fn new(stream: UnixStream) -> Self {
        Self(BufReader::new(stream))
    }

    async fn send(&mut self, text: &str) {
        in_time(self.0.write_all(text.as_bytes())).await.unwrap();
    }

    /// The next line as JSON; `None` if the server has closed.
    async fn answer(&mut self) -> Option<Value> {
        let mut line = String::new();
        match in_time(self.0.read_line(&mut line)).await {
            Ok(length) => (length > 0).then(|| serde_json::from_str(&line).unwrap()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("{error}"),
        }
    }

    async fn ask(&mut self, line: &str) -> Value {
        self.send(&format!("{line}\n")).await;
        self.answer().await.expect("an answer")
    }

    async fn code_of(&mut self, line: &str) -> (Value, Value) {
        let answer = self.ask(line).await;
        (answer["error"]["code"].clone(), answer["id"].clone())
    }
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    timeout(DEADLINE, future).await.expect("it hangs")
}

fn request(id: u32, method: &str) -> String {
    json!({ "jsonrpc": "2.0", "id": id, "method": method }).to_string()
}

const REMOVE: &str =
    r#"{"jsonrpc": "2.0", "id": 1, "method": "service.remove", "params": {"name": "web"}}"#;
const REMOVE_SILENTLY: &str =
    r#"{"jsonrpc": "2.0", "method": "service.remove", "params": {"name": "web"}}"#;

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
async fn a_too_long_line_is_answered_once_and_ends_the_connection() {
    let daemon = Daemon::start(Limits::default()).await;
    let mut client = daemon.connect().await;
    client.send(&"x".repeat(MAX_LINE_BYTES + 1)).await;
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

/// A client's end, and the server's tasks, for a peer whose credentials are made up.
fn admitted(right: Right) -> (Wire, JoinSet<()>, watch::Sender<bool>) {
    let (near, far) = UnixStream::pair().unwrap();
    let (stop, shutdown) = watch::channel(false);
    let connection = Connection {
        access: Arc::new(Access::new(Some("no-such-group-here"), None)),
        limits: Limits::default(),
        requests: core(),
        shutdown,
    };
    let peer = Peer {
        uid: 54_321,
        pid: None,
        right,
    };
    let mut clients = JoinSet::new();
    admit(far, peer, &connection, &mut clients);
    (Wire::new(near), clients, stop)
}

#[tokio::test]
async fn who_may_only_read_is_refused_changes_and_told_who_may() {
    let (mut reader, _clients, _stop) = admitted(Right::Read);
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
    let (mut stranger, clients, _stop) = admitted(Right::None);
    assert!(clients.is_empty());
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
async fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("a/b/lb.sock");
    let access = Access::new(None, None);
    let first = bind(&path, &access).await.unwrap();
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let error = bind(&path, &access).await.unwrap_err();
    assert!(
        matches!(&error, BindError::InUse(at) if *at == path),
        "{error}"
    );
    assert!(
        error.to_string().starts_with("another daemon listens on"),
        "{error}"
    );
    drop(first);
    assert!(path.exists());
    let second = bind(&path, &access).await.unwrap();
    drop(second);
}

#[tokio::test]
async fn what_is_no_socket_is_left_alone() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("precious");
    fs::write(&path, "text").unwrap();
    let access = Access::new(None, None);
    let error = bind(&path, &access).await.unwrap_err();
    assert!(matches!(error, BindError::NotASocket(_)), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "text");
    let error = bind(Path::new("/dev/null/lb.sock"), &access)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("/dev/null"), "{error}");
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
            name: "x".repeat(MAX_LINE_BYTES),
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
        assert!(error.to_string().ends_with("is lbd running?"), "{error}");
    });
    in_time(calls).await.unwrap();
    daemon.stop().await;
}
