//! A client of the daemon's JSON control socket, as small as one can be: JSON-RPC 2.0, one object a line.
//!
//! Written from the protocol's reference and not with the daemon's own types, as a stranger would write it.

use std::path::Path;

use anyhow::{Context, bail};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
};

/// A connection to the daemon.
pub(super) struct Control {
    answers: Lines<BufReader<OwnedReadHalf>>,
    requests: OwnedWriteHalf,
    last_id: u64,
}

/// The parts of `status` that the demo shows.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Status {
    /// The last publication.
    pub(super) generation: u32,
    pub(super) interfaces: Vec<Interface>,
    pub(super) services: Vec<Service>,
}

/// An interface and how the program is attached to it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Interface {
    pub(super) xdp_mode: String,
}

/// A service.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Service {
    pub(super) name: String,
    /// The lookup table's size.
    pub(super) table_slots: u32,
    pub(super) backends: Vec<Backend>,
}

/// A backend of a service.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Backend {
    pub(super) address: String,
    /// `unknown`, `up` or `down`.
    pub(super) health: String,
    /// `up`, `drain` or `down`: what the operator wants.
    pub(super) state: String,
    /// Whether new flows can go to it.
    pub(super) serving: bool,
    /// Why not.
    pub(super) not_serving_because: Option<String>,
    /// Its part of the lookup table.
    pub(super) slots: u32,
}

/// The parts of `stats` that the demo shows.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Stats {
    /// The ledger's sum.
    pub(super) packets: u64,
    pub(super) services: Vec<ServiceTraffic>,
}

/// Traffic of a service.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct ServiceTraffic {
    pub(super) name: String,
    pub(super) backends: Vec<BackendTraffic>,
}

/// Traffic of a backend.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct BackendTraffic {
    pub(super) address: String,
    /// Packets forwarded to it.
    pub(super) packets: u64,
}

/// The answer to every change.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Applied {
    /// The publication that carries the change.
    pub(super) generation: u32,
}

/// A line from the daemon.
#[derive(Deserialize)]
struct Answer {
    id: Value,
    result: Option<Value>,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    code: i32,
    message: String,
}

impl Control {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens on `socket`.
    pub(super) async fn connect(socket: &Path) -> anyhow::Result<Self> {
        let stream = UnixStream::connect(socket)
            .await
            .with_context(|| format!("connect to the control socket {}", socket.display()))?;
        let (answers, requests) = stream.into_split();
        Ok(Self {
            answers: BufReader::new(answers).lines(),
            requests,
            last_id: 0,
        })
    }

    /// Calls a method and waits for its answer.
    ///
    /// # Errors
    /// The daemon refuses, or breaks off, or answers something else.
    pub(super) async fn call<R: DeserializeOwned>(
        &mut self,
        method: &str,
        params: Value,
    ) -> anyhow::Result<R> {
        self.exchange(method, params)
            .await
            .with_context(|| format!("call {method}"))
    }

    /// Calls `status`.
    ///
    /// # Errors
    /// As [`Control::call`].
    pub(super) async fn status(&mut self) -> anyhow::Result<Status> {
        self.call("status", json!({})).await
    }

    /// Calls `stats`.
    ///
    /// # Errors
    /// As [`Control::call`].
    pub(super) async fn stats(&mut self) -> anyhow::Result<Stats> {
        self.call("stats", json!({})).await
    }

    async fn exchange<R: DeserializeOwned>(
        &mut self,
        method: &str,
        params: Value,
    ) -> anyhow::Result<R> {
        self.last_id += 1;
        let request =
            json!({"jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params});
        self.requests
            .write_all(format!("{request}\n").as_bytes())
            .await
            .context("send")?;
        let line = self.answers.next_line().await.context("receive")?;
        let line = line.context("the daemon closed the connection")?;
        let answer: Answer =
            serde_json::from_str(&line).with_context(|| format!("read `{line}`"))?;
        if let Some(refusal) = answer.error {
            bail!("{} (error {})", refusal.message, refusal.code);
        }
        if answer.id != self.last_id {
            bail!(
                "the answer is to request {} and not to {}",
                answer.id,
                self.last_id
            );
        }
        let result = answer
            .result
            .context("the answer has neither result nor error")?;
        serde_json::from_value(result).context("read the answer")
    }
}

impl Status {
    /// The backend with this address in this service.
    pub(super) fn backend(&self, service: &str, address: &str) -> Option<&Backend> {
        let service = self
            .services
            .iter()
            .find(|candidate| candidate.name == service)?;
        service
            .backends
            .iter()
            .find(|backend| backend.address == address)
    }

    /// How the program is attached: one word if it is the same on all interfaces.
    pub(super) fn xdp_mode(&self) -> String {
        let mut modes: Vec<_> = self
            .interfaces
            .iter()
            .map(|interface| interface.xdp_mode.as_str())
            .collect();
        modes.sort_unstable();
        modes.dedup();
        modes.join(" and ")
    }
}

impl Stats {
    /// Packets forwarded to the backend with this address in this service.
    pub(super) fn forwarded(&self, service: &str, address: &str) -> u64 {
        let service = self
            .services
            .iter()
            .find(|candidate| candidate.name == service);
        let backends = service.map_or(&[][..], |service| &service.backends);
        backends
            .iter()
            .find(|backend| backend.address == address)
            .map_or(0, |backend| backend.packets)
    }
}
