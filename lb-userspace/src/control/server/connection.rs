//! One client: its lines in; its answers out, in order, and between them the events that it has subscribed to.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::Serialize;
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
use tracing::{debug, warn};

use super::{Limits, Request, seldom::Seldom, stopped};
use crate::{
    control::{
        access::{Access, Peer, Right},
        codec::{LineError, Lines},
        feed::{Feed, Subscription},
        protocol::{
            Call, ErrorCode, Event, EventsSubscribe, MAX_CHANGE_LINE_BYTES, MAX_LINE_BYTES,
            RpcError, Subscribed, Unsubscribed,
            wire::{self, Id, Invalid, Message, Response},
        },
    },
    model::ServiceName,
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
    pub(super) feed: Feed,
    /// Of calls that their clients may not make: one for all, so that coming anew brings no more lines.
    pub(super) forbidden: Arc<Mutex<Seldom>>,
}

/// A client that is served.
struct Client {
    connection: Connection,
    peer: Peer,
    writer: OwnedWriteHalf,
    subscription: Option<Subscription>,
}

/// What there is to do for a client.
enum Next {
    /// The daemon stops.
    Stop,
    /// A line came, or none can.
    Line(Result<Option<String>, LineError>),
    /// Something happened.
    Event(Option<Arc<Event>>),
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
    pub(super) async fn run(self, stream: UnixStream, peer: Peer) {
        let (reader, writer) = stream.into_split();
        let longest = match peer.right {
            Right::Change => MAX_CHANGE_LINE_BYTES,
            Right::None | Right::Read => MAX_LINE_BYTES,
        };
        let lines = Lines::new(reader, self.limits.patience, longest);
        let client = Client {
            connection: self,
            peer,
            writer,
            subscription: None,
        };
        match client.converse(lines).await {
            Ok(()) => debug!(%peer, "a client left"),
            Err(error) => debug!(%peer, %error, "a client was cut off"),
        }
    }
}

impl Client {
    /// Answers line after line; the error says why what is to be said could not be written.
    async fn converse(mut self, mut lines: Lines<OwnedReadHalf>) -> io::Result<()> {
        loop {
            let next = tokio::select! {
                biased;
                () = stopped(&mut self.connection.shutdown) => Next::Stop,
                line = lines.next() => Next::Line(line),
                event = happening(self.subscription.as_mut()) => Next::Event(event),
            };
            match next {
                Next::Stop | Next::Line(Ok(None)) => return Ok(()),
                Next::Line(Ok(Some(line))) => self.answer(line).await?,
                Next::Event(Some(event)) => self.write(wire::event_line(&event)).await?,
                Next::Event(None) => self.subscription = None,
                // Who has subscribed waits for us, not we for it.
                Next::Line(Err(LineError::Idle(_))) if self.subscription.is_some() => {}
                Next::Line(Err(error)) => {
                    debug!(peer = %self.peer, "{error}");
                    return self.part(&error, lines.into_reader()).await;
                }
            }
        }
    }

    /// Tells a client that has broken a limit so, and closes.
    async fn part(mut self, error: &LineError, mut rest: OwnedReadHalf) -> io::Result<()> {
        if let Some(answer) = error.answer() {
            let response = Response::error(Id::Null, answer);
            self.write(response.to_json() + "\n").await?;
            self.writer.shutdown().await?;
            // Whatever still comes, and however this ends, it is thrown away.
            drop(timeout(LINGER, copy(&mut rest, &mut sink())).await);
        }
        Ok(())
    }

    /// Carries out what stands in one line, and answers in one line.
    async fn answer(&mut self, line: String) -> io::Result<()> {
        let message = Message::parse(&line);
        drop(line);
        match message {
            Err(invalid) => {
                let response = Response::error(invalid.id, *invalid.error);
                self.write(response.to_json() + "\n").await
            }
            Ok(Message::Single(request)) => {
                let prepared = self.prepare(request);
                match self.carry_out(prepared).await {
                    Some(response) => self.write(response.to_json() + "\n").await,
                    None => Ok(()),
                }
            }
            Ok(Message::Batch(requests)) => {
                let prepared = requests.into_iter();
                let prepared = prepared.map(|request| self.prepare(request)).collect();
                self.answer_batch(prepared).await
            }
        }
    }

    /// Carries out a batch in order. The line is written as the answers come, so that only one is in memory;
    /// notifications alone get no line at all (section 6).
    async fn answer_batch(&mut self, batch: Vec<Prepared>) -> io::Result<()> {
        let mut before = "[";
        for prepared in batch {
            if let Some(response) = self.carry_out(prepared).await {
                let answer = format!("{before}{}", response.to_json());
                self.write(answer).await?;
                before = ",";
            }
        }
        if before == "[" {
            return Ok(());
        }
        self.write("]\n".to_owned()).await
    }

    /// Reads the call, and checks whether the client may make it.
    fn prepare(&self, request: Result<wire::Request, Invalid>) -> Prepared {
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
                    let access = &self.connection.access;
                    let checked = access.check(self.peer, needed, &what);
                    checked
                        .inspect_err(|error| self.note_refusal(error))
                        .map(|()| call)
                }),
            },
            Err(invalid) => Prepared {
                id: Some(invalid.id),
                call: Err(*invalid.error),
            },
        }
    }

    fn note_refusal(&self, error: &RpcError) {
        // A count is whole, whoever panicked beside it.
        let mut forbidden = self
            .connection
            .forbidden
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(unsaid) = forbidden.say(Instant::now()) {
            let Peer { uid, pid, .. } = self.peer;
            warn!(uid, pid, unsaid, "refused a call: {error}");
        }
    }

    async fn carry_out(&mut self, prepared: Prepared) -> Option<Response> {
        let outcome = match prepared.call {
            Ok(Call::EventsSubscribe(wanted)) => self.subscribe(wanted),
            Ok(Call::EventsUnsubscribe(_)) => {
                self.subscription = None;
                result(&Unsubscribed {})
            }
            Ok(call) => self.ask_core(call).await,
            Err(error) => Err(error),
        };
        let id = prepared.id?;
        Some(Response { id, outcome })
    }

    /// Has events sent from now on; in place of what was subscribed to before.
    fn subscribe(&mut self, wanted: EventsSubscribe) -> Result<Value, RpcError> {
        if let Some(Err(error)) = wanted.service.as_deref().map(str::parse::<ServiceName>) {
            return Err(RpcError::new(ErrorCode::InvalidParams, error.to_string()));
        }
        let subscription = self.connection.feed.subscribe(wanted);
        let sequence = subscription.sequence();
        self.subscription = Some(subscription);
        result(&Subscribed { sequence })
    }

    async fn ask_core(&self, call: Call) -> Result<Value, RpcError> {
        let (limits, peer) = (self.connection.limits, self.peer);
        let busy = |message| Err(RpcError::new(ErrorCode::Busy, message));
        let internal = |message| Err(RpcError::new(ErrorCode::Internal, message));
        let deadline = Instant::now() + limits.request;
        let (answer, answered) = oneshot::channel();
        let request = Request { call, peer, answer };
        match timeout_at(deadline, self.connection.requests.send(request)).await {
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
    async fn write(&mut self, text: String) -> io::Result<()> {
        let limit = self.connection.limits.write;
        timeout(limit, self.writer.write_all(text.as_bytes()))
            .await
            .unwrap_or_else(|_| Err(io::Error::other("it does not read what it is sent")))
    }
}

/// What happens next for a subscriber; never anything for others.
async fn happening(subscription: Option<&mut Subscription>) -> Option<Arc<Event>> {
    match subscription {
        Some(subscription) => subscription.next().await,
        None => std::future::pending().await,
    }
}

fn result(answer: &impl Serialize) -> Result<Value, RpcError> {
    serde_json::to_value(answer)
        .map_err(|error| RpcError::new(ErrorCode::Internal, error.to_string()))
}
