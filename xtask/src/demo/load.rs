//! Real HTTP clients: several at once, in both families, a new TCP connection for every request.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, bail};
use http_body_util::{BodyExt, Empty};
use hyper::{Request as HttpRequest, StatusCode, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep, timeout},
};

use super::{
    addressing::{BACKENDS, CLIENT, Family},
    lab::Lab,
    netns,
    tally::{Request, Tally},
};

/// Clients at work at once in each family.
const WORKERS: u32 = 4;

/// From the begin of one request of a client to the begin of its next.
const PACE: Duration = Duration::from_millis(12);

/// A request without an answer after this has failed.
const TIMEOUT: Duration = Duration::from_secs(1);

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(20);

/// The clients at work, on a thread in the client's namespace. Dropping it stops them.
pub(super) struct Load {
    tally: Arc<Mutex<Tally>>,
    stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
}

impl Load {
    /// Sets the clients to work.
    pub(super) fn start(lab: &Lab) -> Self {
        let tally = Arc::new(Mutex::new(Tally::default()));
        let stopped = Arc::new(AtomicBool::new(false));
        let netns_file = lab.netns_file(CLIENT.name);
        let thread = thread::spawn({
            let (tally, stopped) = (Arc::clone(&tally), Arc::clone(&stopped));
            move || {
                netns::enter(&netns_file)?;
                tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .context("start tokio")?
                    .block_on(all_clients(&tally, &stopped));
                Ok(())
            }
        });
        Self {
            tally,
            stopped,
            thread: Some(thread),
        }
    }

    /// Asks something of what the clients have seen so far.
    pub(super) fn ask<T>(&self, question: impl FnOnce(&Tally) -> T) -> T {
        question(&self.tally.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until the clients have seen something.
    ///
    /// # Errors
    /// They have not seen it after `deadline`; `what` says what it is.
    pub(super) async fn until(
        &self,
        what: &str,
        deadline: Duration,
        condition: impl Fn(&Tally) -> bool,
    ) -> anyhow::Result<()> {
        let begun = Instant::now();
        while !self.ask(&condition) {
            if begun.elapsed() > deadline {
                bail!("waited {} s in vain for {what}", deadline.as_secs());
            }
            if self.thread.as_ref().is_none_or(JoinHandle::is_finished) {
                bail!("the clients have ended while waiting for {what}");
            }
            sleep(POLL).await;
        }
        Ok(())
    }

    /// Lets the clients end their requests, and takes the tally.
    ///
    /// # Errors
    /// The clients could not work.
    pub(super) fn stop(mut self) -> anyhow::Result<Tally> {
        self.join()?;
        Ok(self.ask(Tally::clone))
    }

    fn join(&mut self) -> anyhow::Result<()> {
        self.stopped.store(true, Ordering::Relaxed);
        match self.thread.take() {
            Some(thread) => thread
                .join()
                .map_err(|_| anyhow!("the clients' thread panicked"))?,
            None => Ok(()),
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // Whoever wants to know calls `stop`.
        let _ = self.join();
    }
}

async fn all_clients(tally: &Arc<Mutex<Tally>>, stopped: &Arc<AtomicBool>) {
    let mut clients = JoinSet::new();
    for worker in 0..WORKERS {
        for family in Family::ALL {
            let (tally, stopped) = (Arc::clone(tally), Arc::clone(stopped));
            let late = PACE * worker / WORKERS;
            clients.spawn(async move {
                sleep(late).await;
                client(family, &tally, &stopped).await;
            });
        }
    }
    clients.join_all().await;
}

async fn client(family: Family, tally: &Mutex<Tally>, stopped: &AtomicBool) {
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !stopped.load(Ordering::Relaxed) {
        pace.tick().await;
        let started = Instant::now();
        let answer = timeout(TIMEOUT, ask(family.vip())).await;
        let answer = answer.unwrap_or_else(|_| Err(anyhow!("no answer in {TIMEOUT:?}")));
        let request = Request {
            family,
            started,
            ended: Instant::now(),
            answer: answer.map_err(|error| format!("{error:#}")),
        };
        tally
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .add(request);
    }
}

/// One request on a connection of its own: which backend answered.
async fn ask(vip: SocketAddr) -> anyhow::Result<usize> {
    let stream = TcpStream::connect(vip).await.context("connect")?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .context("begin HTTP")?;
    // Ends with its connection; what goes wrong there shows in the answer.
    tokio::spawn(connection);
    let request = HttpRequest::get("/")
        .header(header::HOST, vip.to_string())
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .context("write the request")?;
    let response = sender
        .send_request(request)
        .await
        .context("send the request")?;
    let status = response.status();
    let body = response
        .into_body()
        .collect()
        .await
        .context("read the answer")?
        .to_bytes();
    if status != StatusCode::OK {
        bail!("the answer is {status}");
    }
    let body = String::from_utf8_lossy(&body);
    let answered = BACKENDS
        .iter()
        .position(|backend| backend.name == body.trim());
    answered.with_context(|| format!("`{}` is not the name of a backend", body.trim()))
}
