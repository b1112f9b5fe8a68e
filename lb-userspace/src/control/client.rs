//! The client's end of the control socket: blocking, one call at a time.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::protocol::{
    Call, ErrorCode, EventsSubscribe, MAX_CHANGE_LINE_BYTES, RpcError, Subscribed,
    wire::{self, Id, Notification, Response},
};
use crate::config::Fault;

/// Where the daemon listens if nothing else is said.
pub const DEFAULT_SOCKET: &str = "/run/lb/control.sock";

/// How long the daemon may take to read a request or to answer it: more than it takes at most.
const PATIENCE: Duration = Duration::from_mins(1);

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers, or not any more.
    #[error("cannot reach the daemon at {} (is lbd running?)", path.display())]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file's permissions or the daemon say no.
    #[error("{0}")]
    NotAllowed(String),
    /// The daemon says no.
    #[error(transparent)]
    Refused(RpcError),
    /// What answers does not speak this protocol.
    #[error("what answers at {} does not speak this protocol: {what}", path.display())]
    Protocol {
        /// The socket.
        path: PathBuf,
        /// What was wrong with the answer.
        what: String,
    },
}

impl ClientError {
    /// The faults of a configuration that was refused with [`ErrorCode::InvalidConfig`]; else none.
    #[must_use]
    pub fn faults(&self) -> Vec<Fault> {
        let Self::Refused(error) = self else {
            return Vec::new();
        };
        let faults = error.data.as_ref().and_then(|data| data.get("faults"));
        faults
            .and_then(|faults| serde_json::from_value(faults.clone()).ok())
            .unwrap_or_default()
    }
}

/// A connection to the daemon.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    stream: BufReader<UnixStream>,
    last_id: u64,
}

impl Client {
    /// Connects to the daemon that listens on `path`.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`]; [`ClientError::NotAllowed`] if the file's permissions forbid it.
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        let connect = || {
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            Ok(stream)
        };
        let stream = connect().map_err(|source: io::Error| {
            if source.kind() == io::ErrorKind::PermissionDenied {
                ClientError::NotAllowed(format!(
                    "you may not use {}: become root, or a member of the socket's group",
                    path.display()
                ))
            } else {
                unreachable(path, source)
            }
        })?;
        Ok(Self {
            path: path.to_owned(),
            stream: BufReader::new(stream),
            last_id: 0,
        })
    }

    /// Makes a call and waits for its answer, for a minute at most.
    ///
    /// # Errors
    /// See [`ClientError`]. After anything but a refusal the connection is of no more use.
    pub fn call(&mut self, call: &Call) -> Result<Value, ClientError> {
        self.last_id += 1;
        let line = wire::request_line(self.last_id, call);
        if line.len() > MAX_CHANGE_LINE_BYTES {
            let message = format!(
                "the request has {} bytes, more than the {MAX_CHANGE_LINE_BYTES} that the daemon takes",
                line.len()
            );
            let error = RpcError::new(ErrorCode::TooLong, message);
            return Err(ClientError::Refused(error));
        }
        let written = self.stream.get_mut().write_all(line.as_bytes());
        // A daemon that turns us away says why before it closes, even if it never read the request.
        match (self.answer(), written) {
            (Err(ClientError::Unreachable { .. }), Err(source)) => {
                Err(unreachable(&self.path, source))
            }
            (answer, _) => answer,
        }
    }

    /// As [`Client::call`], with the answer as the type that the method answers with.
    ///
    /// # Errors
    /// As [`Client::call`]; [`ClientError::Protocol`] if the answer is not a `T`.
    pub fn call_as<T: DeserializeOwned>(&mut self, call: &Call) -> Result<T, ClientError> {
        let answer = self.call(call)?;
        serde_json::from_value(answer).map_err(|error| self.protocol(error.to_string()))
    }

    /// Has events told on this connection, which is for nothing else from then on.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn subscribe(mut self, wanted: EventsSubscribe) -> Result<Events, ClientError> {
        self.call_as::<Subscribed>(&Call::EventsSubscribe(wanted))?;
        // The next event may be days away.
        self.stream
            .get_ref()
            .set_read_timeout(None)
            .map_err(|source| unreachable(&self.path, source))?;
        Ok(Events(self))
    }

    fn answer(&mut self) -> Result<Value, ClientError> {
        let line = self.line()?;
        let response: Response =
            serde_json::from_str(&line).map_err(|error| self.protocol(error.to_string()))?;
        match response.outcome {
            Err(error) if error.code == ErrorCode::NotAllowed.number() => {
                Err(ClientError::NotAllowed(error.message))
            }
            // An error that concerns the connection as a whole has the id null.
            Err(error) => Err(ClientError::Refused(error)),
            Ok(result) if response.id == Id::Number(self.last_id.into()) => Ok(result),
            Ok(_) => Err(self.protocol(format!(
                "the answer has the id {} instead of {}",
                response.id, self.last_id
            ))),
        }
    }

    /// The next line.
    fn line(&mut self) -> Result<String, ClientError> {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(0) => {
                let source = io::Error::other("it closed the connection");
                return Err(unreachable(&self.path, source));
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(self.protocol(error.to_string()));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let message = format!("no answer within {} s", PATIENCE.as_secs());
                return Err(unreachable(&self.path, io::Error::other(message)));
            }
            Err(source) => return Err(unreachable(&self.path, source)),
        }
        Ok(line)
    }

    fn protocol(&self, what: String) -> ClientError {
        ClientError::Protocol {
            path: self.path.clone(),
            what,
        }
    }
}

/// What is told on a connection that has subscribed.
#[derive(Debug)]
pub struct Events(Client);

impl Events {
    /// Waits for the next event, however long it takes: the `params` of its notification, an
    /// [`Event`](super::protocol::Event).
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] when the daemon ends.
    pub fn wait(&mut self) -> Result<Value, ClientError> {
        let line = self.0.line()?;
        let notification: Result<Notification<Value>, _> = serde_json::from_str(&line);
        let notification = notification.map_err(|error| self.0.protocol(error.to_string()))?;
        Ok(notification.params)
    }
}

fn unreachable(path: &Path, source: io::Error) -> ClientError {
    ClientError::Unreachable {
        path: path.to_owned(),
        source,
    }
}
