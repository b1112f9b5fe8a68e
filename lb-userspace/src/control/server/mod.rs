//! The daemon's end of the control socket: takes connections, reads requests, hands them to the core one
//! at a time, writes the answers.
//!
//! Each client has its own task and bounded memory, and each wait has a deadline: a slow or broken client
//! holds up nobody but itself.

mod bind;
mod connection;
mod seldom;

use std::{
    fs,
    io::{self, Write as _},
    sync::Arc,
    time::Duration,
};

use serde_json::Value;
use tokio::{
    net::{UnixListener, UnixStream},
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tracing::{debug, error, info, warn};

pub use self::bind::{BindError, bind};
use self::{connection::Connection, seldom::Seldom};
use super::{
    access::{Access, Peer, Right},
    codec::Patience,
    feed::Feed,
    protocol::{
        Call, ErrorCode, RpcError,
        wire::{Id, Response},
    },
};

/// How long to wait after an accept that failed, so that a lack of file descriptors does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long clients may take to end what they are at when the daemon stops.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// A call that a client makes: the rights are checked, the parameters are well-formed.
#[derive(Debug)]
pub struct Request {
    /// What is asked.
    pub call: Call,
    /// Who asks.
    pub peer: Peer,
    /// Where the answer goes. The client may have given up waiting.
    pub answer: oneshot::Sender<Result<Value, RpcError>>,
}

/// What clients may take of the daemon's time and memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once of clients that may only ask. Those that may change take of these first.
    pub clients: usize,
    /// Connections more for clients that may change, so that no crowd of others keeps them out.
    pub reserved: usize,
    /// How long a client may take to send a line.
    pub patience: Patience,
    /// How long a client may take to read an answer.
    pub write: Duration,
    /// How long the core may take for a request.
    pub request: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            clients: 256,
            reserved: 16,
            patience: Patience {
                idle: Duration::from_hours(1),
                unfinished: Duration::from_mins(1),
            },
            write: Duration::from_secs(10),
            request: Duration::from_secs(30),
        }
    }
}

impl Limits {
    /// Connections at once, those of all clients counted, with which one of this right is still taken on.
    const fn seats(&self, right: Right) -> usize {
        match right {
            Right::None | Right::Read => self.clients,
            Right::Change => self.clients.saturating_add(self.reserved),
        }
    }
}

/// Serves clients until `shutdown` is true or its sender is gone; then lets them end the request they are
/// at, and takes the socket file away. Every call that a peer may make comes out of `requests`' other end, but those
/// about events: they are answered here, from `feed`.
pub async fn serve(
    listener: UnixListener,
    access: Access,
    limits: Limits,
    requests: mpsc::Sender<Request>,
    feed: Feed,
    mut shutdown: watch::Receiver<bool>,
) {
    let connection = Connection {
        access: Arc::new(access),
        limits,
        requests,
        shutdown: shutdown.clone(),
        feed,
    };
    let mut clients = Clients::default();
    loop {
        tokio::select! {
            biased;
            () = stopped(&mut shutdown) => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => match stream.peer_cred() {
                    Ok(credentials) => {
                        let peer = connection.access.peer(credentials);
                        clients.admit(stream, peer, &connection);
                    }
                    Err(error) => warn!(%error, "refused a client: cannot tell who it is"),
                },
                Err(error) => {
                    warn!(%error, "cannot accept a client on the control socket");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(ended) = clients.tasks.join_next() => note(ended),
        }
    }
    remove_file(&listener);
    let ending = async { while clients.tasks.join_next().await.is_some() {} };
    if timeout(STOP_GRACE, ending).await.is_err() {
        info!(
            clients = clients.tasks.len(),
            "clients of the control socket cut off"
        );
    }
}

/// Waits until the daemon stops.
async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, and with it the daemon.
    drop(shutdown.wait_for(|stop| *stop).await);
}

/// The clients that are served, and the log of those that are not.
#[derive(Debug, Default)]
struct Clients {
    tasks: JoinSet<()>,
    forbidden: Seldom,
    crowded_out: Seldom,
}

impl Clients {
    /// Takes a client on, or tells it why not.
    fn admit(&mut self, stream: UnixStream, peer: Peer, connection: &Connection) {
        while let Some(ended) = self.tasks.try_join_next() {
            note(ended);
        }
        let Peer {
            uid, pid, right, ..
        } = peer;
        let may_ask = connection
            .access
            .check(peer, Right::Read, "use this socket");
        let seats = connection.limits.seats(right);
        if let Err(error) = may_ask {
            if let Some(unsaid) = self.forbidden.say(Instant::now()) {
                warn!(uid, pid, unsaid, "refused a client: {error}");
            }
            turn_away(stream, error);
        } else if self.tasks.len() >= seats {
            if let Some(unsaid) = self.crowded_out.say(Instant::now()) {
                warn!(uid, pid, unsaid, "refused a client: too many at once");
            }
            let message =
                format!("{seats} clients at once are the most: close one, or try again later");
            turn_away(stream, RpcError::new(ErrorCode::Busy, message));
        } else {
            debug!(uid, pid, "a client connected");
            self.tasks.spawn(connection.clone().run(stream, peer));
        }
    }
}

/// Writes one error line and closes, without waiting: it has room in the buffer of a new connection.
fn turn_away(stream: UnixStream, error: RpcError) {
    let line = Response::error(Id::Null, error).to_json() + "\n";
    let written = stream
        .into_std()
        .and_then(|mut stream| stream.write_all(line.as_bytes()));
    if let Err(error) = written {
        debug!(%error, "the refused client is gone already");
    }
}

fn note(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        error!(%error, "a client's task failed");
    }
}

/// Takes the socket file away while the listener still holds it: no other daemon can have put its own there.
fn remove_file(listener: &UnixListener) {
    let address = listener.local_addr();
    let Some(path) = address
        .as_ref()
        .ok()
        .and_then(|address| address.as_pathname())
    else {
        return;
    };
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        warn!(path = %path.display(), %error, "cannot remove the control socket");
    }
}

#[cfg(test)]
mod tests;
