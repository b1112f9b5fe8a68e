//! Real sockets, and a core that answers by rote: the stage for [`requests`] and [`limits`].

mod events;
mod limits;
mod requests;

use std::path::PathBuf;

use serde_json::json;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    task::JoinHandle,
};

use super::*;
use crate::control::{
    client::{Client, ClientError},
    protocol::{Applied, MAX_CHANGE_LINE_BYTES, NoParams, ServiceRef},
};

/// Nothing in these tests takes so long unless it hangs.
const DEADLINE: Duration = Duration::from_secs(20);
/// More than the buffers of a Unix socket hold.
const LARGE_BYTES: usize = 4 << 20;

/// A server with a core that counts changes.
struct Daemon {
    directory: TempDir,
    shutdown: watch::Sender<bool>,
    feed: Feed,
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
        let feed = Feed::default();
        let server = serve(listener, access, limits, core(), feed.clone(), stop);
        Self {
            directory,
            shutdown,
            feed,
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

/// A server without a socket, for peers whose credentials are made up.
struct Door {
    connection: Connection,
    clients: Clients,
    _stop: watch::Sender<bool>,
}

impl Door {
    fn new(limits: Limits) -> Self {
        let (stop, shutdown) = watch::channel(false);
        let connection = Connection {
            access: Arc::new(Access::new(Some("no-such-group-here"), None)),
            limits,
            requests: core(),
            shutdown,
            feed: Feed::default(),
            forbidden: Arc::default(),
        };
        Self {
            connection,
            clients: Clients::default(),
            _stop: stop,
        }
    }

    /// The client's end of a connection.
    fn admit(&mut self, right: Right) -> Wire {
        let (near, far) = UnixStream::pair().unwrap();
        let peer = Peer {
            uid: 54_321,
            gid: 54_321,
            pid: None,
            right,
        };
        self.clients.admit(far, peer, &self.connection);
        Wire::new(near)
    }
}

/// A core that answers: changes with a generation, `stats` with much, `service.get` with the name asked
/// for, `config.get` not at all, and `service.list` by dropping the request.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a new method is answered like the others"
)]
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
                call => {
                    generation += u32::from(!call.is_read_only());
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
