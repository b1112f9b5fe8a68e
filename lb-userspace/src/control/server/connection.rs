//! One client: its lines in, its answers out, in order.

use std::{io, sync::Arc, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncWriteExt as _, copy, sink},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, oneshot, watch},
    time::{Instant, timeout, timeout_at},
};
use tracing::debug;

use super::{Limits, Request, stopped};
use crate::control::{
    access::{Access, Peer, Right},
    codec::Lines,
    protocol::{
        Call, ErrorCode, RpcError,
        wire::{self, Id, Invalid, Message, Response},
    },
};

/// How long a client that is cut off may go on sending into the void, so that it comes to reading why.
const LINGER: Duration = Duration::from_secs(1);

/// What every client's task has in common.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    pub(super) access: Arc<Access>,
    pub(super) limits: Limits,
    /// To the core.
    pub(super) requests: mpsc::Sender<Request>,
    pub(super) shutdown: watch::Receiver<bool>,
}

/// A request before it is carried out: no larger than the line it came in.
struct Prepared {
    /// Absent: no answer is wanted.
    id: Option<Id>,
    /// The call, or why it is not made.
    call: Result<Call, RpcError>,
}

impl Connection {
    /// Serves one client until it leaves, breaks a limit, or the daemon stops.
    pub(super) async fn run(mut self, stream: UnixStream, peer: Peer) {
        let (reader, mut writer) = stream.into_split();
        let lines = Lines::new(reader, self.limits.patience);
        match self.converse(lines, &mut writer, peer).await {
            Ok(()) => debug!(%peer, "a client left"),
            Err(error) => debug!(%peer, %error, "a client was cut off"),
        }
    }

    /// Answers line after line; the error says why the answer could not be written.
    async fn converse(
        &mut self,
        mut lines: Lines<OwnedReadHalf>,
        writer: &mut OwnedWriteHalf,
        peer: Peer,
    ) -> io::Result<()> {
        loop {
            let line = tokio::select! {
                biased;
                () = stopped(&mut self.shutdown) => return Ok(()),
                line = lines.next() => line,
            };
            match line {
                Ok(Some(line)) => self.answer(line, writer, peer).await?,
                Ok(None) => return Ok(()),
                Err(error) => {
                    debug!(%peer, "{error}");
                    if let Some(answer) = error.answer() {
                        let response = Response::error(Id::Null, answer);
                        self.write(writer, response.to_json() + "\n").await?;
                        writer.shutdown().await?;
                        let mut rest = lines.into_reader();
                        // Whatever still comes, and however this ends, it is thrown away.
                        drop(timeout(LINGER, copy(&mut rest, &mut sink())).await);
                    }
                    return Ok(());
                }
            }
        }
    }

    /// Carries out what stands in one line, and answers in one line.
    async fn answer(
        &self,
        line: String,
        writer: &mut OwnedWriteHalf,
        peer: Peer,
    ) -> io::Result<()> {
        let message = Message::parse(&line);
        drop(line);
        match message {
            Err(invalid) => {
                let response = Response::error(invalid.id, *invalid.error);
                self.write(writer, response.to_json() + "\n").await
            }
            Ok(Message::Single(request)) => {
                let prepared = self.prepare(request, peer);
                match self.carry_out(prepared, peer).await {
                    Some(response) => self.write(writer, response.to_json() + "\n").await,
                    None => Ok(()),
                }
            }
            Ok(Message::Batch(requests)) => {
                let prepared = requests.into_iter();
                let prepared = prepared
                    .map(|request| self.prepare(request, peer))
                    .collect();
                self.answer_batch(prepared, writer, peer).await
            }
        }
    }

    /// Carries out a batch in order. The line is written as the answers come, so that only one is in memory;
    /// notifications alone get no line at all (section 6).
    async fn answer_batch(
        &self,
        batch: Vec<Prepared>,
        writer: &mut OwnedWriteHalf,
        peer: Peer,
    ) -> io::Result<()> {
        let mut before = "[";
        for prepared in batch {
            if let Some(response) = self.carry_out(prepared, peer).await {
                let answer = format!("{before}{}", response.to_json());
                self.write(writer, answer).await?;
                before = ",";
            }
        }
        if before == "[" {
            return Ok(());
        }
        self.write(writer, "]\n".to_owned()).await
    }

    /// Reads the call, and checks whether `peer` may make it.
    fn prepare(&self, request: Result<wire::Request, Invalid>, peer: Peer) -> Prepared {
        match request {
            Ok(request) => Prepared {
                id: request.id,
                call: Call::decode(&request.method, request.params).and_then(|call| {
                    let needed = if call.is_read_only() {
                        Right::Read
                    } else {
                        Right::Change
                    };
                    let what = format!("call {}", request.method);
                    self.access.check(peer, needed, &what).map(|()| call)
                }),
            },
            Err(invalid) => Prepared {
                id: Some(invalid.id),
                call: Err(*invalid.error),
            },
        }
    }

    async fn carry_out(&self, prepared: Prepared, peer: Peer) -> Option<Response> {
        let outcome = match prepared.call {
            Ok(call) => self.ask_core(call, peer).await,
            Err(error) => Err(error),
        };
        let id = prepared.id?;
        Some(Response { id, outcome })
    }

    async fn ask_core(&self, call: Call, peer: Peer) -> Result<Value, RpcError> {
        let busy = |message| Err(RpcError::new(ErrorCode::Busy, message));
        let internal = |message| Err(RpcError::new(ErrorCode::Internal, message));
        let deadline = Instant::now() + self.limits.request;
        let (answer, answered) = oneshot::channel();
        let request = Request { call, peer, answer };
        match timeout_at(deadline, self.requests.send(request)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return busy("the daemon is stopping: nothing has changed"),
            Err(_) => return busy("the daemon is busy: nothing has changed, try again later"),
        }
        match timeout_at(deadline, answered).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => internal(
                "the daemon dropped the request: it is stopping, or its log says why; `status` tells what holds",
            ),
            Err(_) => internal(
                "the daemon took too long: the request may still be carried out; `status` tells what holds",
            ),
        }
    }

    /// Writes `text` as a whole, or fails when the client does not read it in time.
    async fn write(&self, writer: &mut OwnedWriteHalf, text: String) -> io::Result<()> {
        timeout(self.limits.write, writer.write_all(text.as_bytes()))
            .await
            .unwrap_or_else(|_| Err(io::Error::other("it does not read its answers")))
    }
}
