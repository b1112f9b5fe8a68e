//! Traffic that never pauses and is counted exactly: numbered datagrams, and numbers over connections that stay open.
//!
//! Servers answer each number with itself and their name. A datagram that is not answered in time is lost, for nobody
//! sends it again; a flow that is answered by another server than before has moved; a connection that must be opened
//! anew was broken.
#![expect(
    clippy::indexing_slicing,
    reason = "what is out of bounds in a test fails it"
)]

use std::{
    collections::BTreeMap,
    io::{self, Read as _, Write as _},
    net::{self, IpAddr, Ipv6Addr, SocketAddr},
    ops::Sub,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rustix::net::sockopt::set_socket_recv_buffer_size_force;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UdpSocket},
    runtime,
    task::JoinSet,
    time::{Interval, MissedTickBehavior, interval, sleep, timeout},
};

use crate::{netns::Namespace, traffic::Server, wait};

/// Between two numbers of a flow or connection.
const PACE: Duration = Duration::from_millis(20);
/// What has not been answered after this is lost.
const OVERDUE: Duration = Duration::from_secs(3);
/// A connection on which nothing has come for so long is given up: longer than TCP pauses after a short break.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long traffic may take to flow again.
const LIMIT: Duration = Duration::from_secs(40);

/// Bytes of a number, and of a server's name after it.
const NUMBER: usize = 8;
const NAME: usize = 16;

/// What has become of the traffic so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Datagrams and numbers that were sent.
    pub sent: u64,
    /// Datagrams that nobody has answered.
    pub lost: u64,
    /// Answers by another server than the flow had before.
    pub moved: u64,
    /// Connections that had to be opened anew.
    pub broken: u64,
}

impl Sub for Counts {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            sent: self.sent - before.sent,
            lost: self.lost - before.lost,
            moved: self.moved - before.moved,
            broken: self.broken - before.broken,
        }
    }
}

/// A flow of datagrams, or a connection.
#[derive(Debug, Default)]
struct Flow {
    /// Sent and not answered yet.
    pending: BTreeMap<u64, Instant>,
    /// Who answered last.
    server: Option<[u8; NAME]>,
    /// When the last number was sent that has been answered.
    heard: Option<Instant>,
}

#[derive(Debug, Default)]
struct State {
    counts: Counts,
    flows: Vec<Flow>,
}

/// What the tasks of a meter share.
#[derive(Clone, Debug, Default)]
struct Shared(Arc<Mutex<State>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sending(&self, flow: usize, number: u64) {
        let mut state = self.lock();
        state.counts.sent += 1;
        state.flows[flow].pending.insert(number, Instant::now());
    }

    fn answered(&self, flow: usize, number: u64, server: [u8; NAME]) {
        let mut state = self.lock();
        let State { counts, flows } = &mut *state;
        let flow = &mut flows[flow];
        // An answer that comes too late, or twice, is none.
        let Some(sent) = flow.pending.remove(&number) else {
            return;
        };
        flow.heard = flow.heard.max(Some(sent));
        if flow.server.is_some_and(|before| before != server) {
            counts.moved += 1;
        }
        flow.server = Some(server);
    }

    /// Gives up what is overdue.
    fn expire(&self, flow: usize) {
        let mut state = self.lock();
        let State { counts, flows } = &mut *state;
        let overdue = wait::patient(OVERDUE);
        let before = flows[flow].pending.len();
        flows[flow]
            .pending
            .retain(|_, sent| sent.elapsed() < overdue);
        counts.lost += (before - flows[flow].pending.len()) as u64;
    }

    fn broken(&self, flow: usize) {
        let mut state = self.lock();
        state.counts.broken += 1;
        state.flows[flow] = Flow::default();
    }
}

/// The traffic. Ends when dropped.
#[derive(Debug)]
pub struct Meter {
    shared: Shared,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Meter {
    /// Begins, from within the namespace, with so many flows of datagrams and as many connections to each destination;
    /// answers when all of them are served.
    #[must_use]
    pub fn begin(namespace: &Namespace, to: &[SocketAddr], flows: usize) -> Self {
        Self::paced(namespace, to, flows, PACE)
    }

    /// The same, with so much time between two numbers of a flow or connection.
    #[must_use]
    pub fn paced(namespace: &Namespace, to: &[SocketAddr], flows: usize, pace: Duration) -> Self {
        let (shared, stop) = (Shared::default(), Arc::<AtomicBool>::default());
        let to: Vec<SocketAddr> = to.iter().flat_map(|to| vec![*to; flows]).collect();
        shared.lock().flows = (0..to.len() * 2).map(|_| Flow::default()).collect();
        let (theirs, stopped) = (shared.clone(), Arc::clone(&stop));
        let thread = namespace.spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let mut tasks = JoinSet::new();
                for (number, to) in to.into_iter().enumerate() {
                    tasks.spawn(datagrams(theirs.clone(), 2 * number, to, pace));
                    tasks.spawn(connections(theirs.clone(), 2 * number + 1, to, pace));
                }
                while !stopped.load(Ordering::Relaxed) {
                    sleep(PACE).await;
                }
            });
        });
        let meter = Self {
            shared,
            stop,
            thread: Some(thread),
        };
        let _ = meter.settle();
        meter
    }

    /// How many flows of datagrams, and how many connections, the server of this name has answered last.
    #[must_use]
    pub fn served_by(&self, name: &str) -> [u64; 2] {
        let name = padded(name);
        let state = self.shared.lock();
        let count = |first| {
            let flows = state.flows.iter().skip(first).step_by(2);
            flows.filter(|flow| flow.server == Some(name)).count() as u64
        };
        [count(0), count(1)]
    }

    /// Waits until something that was sent from now on has been answered on every flow and connection, and until
    /// nothing that was sent before is still under way; what has become of everything so far.
    #[must_use]
    pub fn settle(&self) -> Counts {
        let mark = Instant::now();
        let is_settled = |flow: &Flow| {
            let is_under_way = flow.pending.values().any(|sent| *sent <= mark);
            flow.heard > Some(mark) && !is_under_way
        };
        wait::until_some("traffic flows on every connection", LIMIT, || {
            let state = self.shared.lock();
            state.flows.iter().all(is_settled).then_some(state.counts)
        })
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Connections one after the other, each for one number. Ends when dropped.
#[derive(Debug)]
pub struct ShortConnections {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<(u64, Vec<String>)>>,
}

impl ShortConnections {
    /// Begins, from within the namespace.
    #[must_use]
    pub fn begin<const N: usize>(namespace: &Namespace, to: [SocketAddr; N]) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let stopped = Arc::clone(&stop);
        let thread = namespace.spawn(move || {
            let (mut made, mut failures) = (0, Vec::new());
            for to in to.into_iter().cycle() {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                made += 1;
                failures.extend(short_connection(to).err().map(|it| format!("{to}: {it}")));
                std::thread::sleep(PACE / 4);
            }
            (made, failures)
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }

    /// Ends: how many were made, and what failed.
    ///
    /// # Panics
    /// If making them did.
    #[must_use]
    pub fn end(mut self) -> (u64, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("it has not ended");
        thread.join().expect("connections")
    }
}

impl Drop for ShortConnections {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn short_connection(to: SocketAddr) -> io::Result<()> {
    let patience = wait::patient(PATIENCE);
    let mut stream = net::TcpStream::connect_timeout(&to, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.write_all(&0_u64.to_be_bytes())?;
    stream.read_exact(&mut [0; NUMBER + NAME])
}

/// One flow of datagrams from a port of its own.
async fn datagrams(shared: Shared, flow: usize, to: SocketAddr, pace: Duration) {
    let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).await.expect("a socket");
    socket.connect(to).await.expect("a way to the service");
    widen(&socket);
    let mut pace = paced(pace);
    let mut buffer = [0; NUMBER + NAME];
    for number in 0_u64.. {
        // What has come while this task did not run is not lost.
        while let Ok(length) = socket.try_recv(&mut buffer) {
            if length == buffer.len() {
                let (number, server) = read(&buffer);
                shared.answered(flow, number, server);
            }
        }
        shared.expire(flow);
        shared.sending(flow, number);
        // What cannot be sent, or is refused by the network, is not answered either.
        let _ = socket.send(&number.to_be_bytes()).await;
        loop {
            tokio::select! {
                _ = pace.tick() => break,
                received = socket.recv(&mut buffer) => {
                    if received.is_ok_and(|length| length == buffer.len()) {
                        let (number, server) = read(&buffer);
                        shared.answered(flow, number, server);
                    }
                }
            }
        }
    }
}

/// One connection after the other: as long as nothing is amiss, one.
async fn connections(shared: Shared, flow: usize, to: SocketAddr, pace: Duration) {
    loop {
        let _ = connection(&shared, flow, to, pace).await;
        shared.broken(flow);
        sleep(PACE).await;
    }
}

async fn connection(
    shared: &Shared,
    flow: usize,
    to: SocketAddr,
    pace: Duration,
) -> io::Result<()> {
    let patience = wait::patient(PATIENCE);
    let mut stream = timeout(patience, TcpStream::connect(to)).await??;
    stream.set_nodelay(true)?;
    let mut pace = paced(pace);
    let mut buffer = [0; NUMBER + NAME];
    for number in 0_u64.. {
        shared.sending(flow, number);
        stream.write_all(&number.to_be_bytes()).await?;
        timeout(patience, stream.read_exact(&mut buffer)).await??;
        let (number, server) = read(&buffer);
        shared.answered(flow, number, server);
        pace.tick().await;
    }
    Ok(())
}

/// Of a client that was held up, nobody gets all at once what it has missed.
fn paced(pace: Duration) -> Interval {
    let mut pace = interval(pace);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pace
}

/// Room for what arrives while a busy machine does not let the receiver run: nothing may be lost but on the way.
fn widen(socket: &UdpSocket) {
    let bytes = 4 << 20;
    set_socket_recv_buffer_size_force(socket, bytes).expect("a larger buffer, as root");
}

fn read(answer: &[u8; NUMBER + NAME]) -> (u64, [u8; NAME]) {
    let (number, name) = answer.split_at(NUMBER);
    let number = number.try_into().map(u64::from_be_bytes);
    (
        number.expect("eight bytes"),
        name.try_into().expect("a name"),
    )
}

/// Answers numbers over TCP, on all addresses of the namespace.
#[must_use]
pub fn tcp_server(namespace: &Namespace, port: u16, name: &str) -> Server {
    let name = padded(name);
    Server::start(namespace, move || async move {
        let address = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port);
        let listener = TcpListener::bind(address).await?;
        Ok(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                connections.spawn(async move {
                    let mut number = [0; NUMBER];
                    stream.set_nodelay(true)?;
                    // Until the client ends: probes do at once.
                    while stream.read_exact(&mut number).await.is_ok() {
                        let answer = [number.as_slice(), &name].concat();
                        stream.write_all(&answer).await?;
                    }
                    io::Result::Ok(())
                });
            }
        })
    })
}

/// Answers numbers over UDP, sent to this address.
#[must_use]
pub fn udp_server(namespace: &Namespace, address: SocketAddr, name: &str) -> Server {
    let name = padded(name);
    Server::start(namespace, move || async move {
        let socket = UdpSocket::bind(address).await?;
        widen(&socket);
        Ok(async move {
            let mut number = [0; NUMBER];
            loop {
                // An error is about a client that is gone.
                if let Ok((NUMBER, client)) = socket.recv_from(&mut number).await {
                    let answer = [number.as_slice(), &name].concat();
                    let _ = socket.send_to(&answer, client).await;
                }
            }
        })
    })
}

fn padded(name: &str) -> [u8; NAME] {
    let mut padded = [0; NAME];
    for (byte, letter) in padded.iter_mut().zip(name.bytes()) {
        *byte = letter;
    }
    padded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_and_moves_are_counted_once() {
        let shared = Shared::default();
        shared.lock().flows.push(Flow::default());
        let [one, other] = ["b0", "b1"].map(padded);
        for number in 0..4 {
            shared.sending(0, number);
        }
        shared.answered(0, 0, one);
        shared.answered(0, 0, other);
        shared.answered(0, 1, other);
        shared.answered(0, 2, other);
        shared.expire(0);
        let counts = |lost| Counts {
            sent: 4,
            lost,
            moved: 1,
            broken: 0,
        };
        assert_eq!(shared.lock().counts, counts(0));
        let long_ago = Instant::now().checked_sub(wait::patient(OVERDUE) * 2);
        let mut state = shared.lock();
        state.flows[0].pending.insert(3, long_ago.expect("a time"));
        drop(state);
        shared.expire(0);
        assert_eq!(shared.lock().counts, counts(1));
        shared.broken(0);
        assert_eq!(shared.lock().counts.broken, 1);
    }
}
