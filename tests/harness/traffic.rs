//! Servers and clients inside namespaces: real sockets, real kernels.
//!
//! Servers answer with their name. The TCP ones speak enough HTTP/1.1 for clients and probes alike, and keep
//! connections open.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{IpAddr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, UdpSocket as AsyncUdpSocket},
    runtime,
    sync::oneshot,
    task::JoinSet,
};

use crate::{netns::Namespace, wait};

/// How long a client waits for anything.
const LIMIT: Duration = Duration::from_secs(3);

/// The longest datagram (RFC 768).
const DATAGRAM: usize = 65_535;

/// A server in a namespace. Its sockets are closed at once when it is dropped.
#[derive(Debug)]
pub struct Server {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves HTTP on all addresses of the namespace, IPv4 and IPv6.
    #[must_use]
    pub fn http(namespace: &Namespace, port: u16, name: &str) -> Self {
        // Made once: it may be megabytes, and every probe is a connection.
        let length = name.len();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{name}");
        let answer: Arc<str> = answer.into();
        Self::start(namespace, move || async move {
            let address = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port);
            let listener = TcpListener::bind(address).await?;
            Ok(async move {
                let mut connections = JoinSet::new();
                while let Ok((stream, _)) = listener.accept().await {
                    connections.spawn(serve(stream, Arc::clone(&answer)));
                }
            })
        })
    }

    /// Takes what comes on each connection until its end, then answers how many bytes that were; on all addresses.
    #[must_use]
    pub fn sink(namespace: &Namespace, port: u16) -> Self {
        Self::start(namespace, move || async move {
            let address = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port);
            let listener = TcpListener::bind(address).await?;
            Ok(async move {
                let mut connections = JoinSet::new();
                while let Ok((mut stream, _)) = listener.accept().await {
                    connections.spawn(async move {
                        let taken = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
                        stream.write_all(taken.to_string().as_bytes()).await
                    });
                }
            })
        })
    }

    /// Answers datagrams to this address with the server's name.
    #[must_use]
    pub fn udp(namespace: &Namespace, address: SocketAddr, name: &str) -> Self {
        let name = name.to_owned();
        Self::start(namespace, move || async move {
            let socket = AsyncUdpSocket::bind(address).await?;
            Ok(async move {
                let mut buffer = vec![0; DATAGRAM];
                while let Ok((_, client)) = socket.recv_from(&mut buffer).await {
                    let _ = socket.send_to(name.as_bytes(), client).await;
                }
            })
        })
    }

    /// Starts a thread in the namespace; `bind` opens the sockets, what it gives serves them.
    #[must_use]
    pub fn start<B, F, S>(namespace: &Namespace, bind: B) -> Self
    where
        B: FnOnce() -> F + Send + 'static,
        F: Future<Output = io::Result<S>>,
        S: Future<Output = ()>,
    {
        let (stop, stopped) = oneshot::channel();
        let bound = Arc::new(AtomicBool::new(false));
        let is_bound = Arc::clone(&bound);
        let thread = namespace.spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let serve = bind().await.expect("binding a server's socket");
                is_bound.store(true, Ordering::Release);
                tokio::select! {
                    () = serve => {}
                    _ = stopped => {}
                }
            });
        });
        wait::until("a server is bound", LIMIT, || bound.load(Ordering::Acquire));
        Self {
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Answers every request on a connection by `answer`.
async fn serve(stream: tokio::net::TcpStream, answer: Arc<str>) -> io::Result<()> {
    let mut stream = tokio::io::BufReader::new(stream);
    loop {
        let mut line = String::new();
        // A request ends with an empty line; nothing here has a body.
        loop {
            line.clear();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            if line == "\r\n" {
                break;
            }
        }
        stream.write_all(answer.as_bytes()).await?;
    }
}

/// A client's connection that stays open.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    /// Connects, from within the namespace.
    ///
    /// # Errors
    /// Nobody answers.
    pub fn open(namespace: &Namespace, to: SocketAddr) -> io::Result<Self> {
        namespace.enter(|| Self::open_here(to))
    }

    fn open_here(to: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&to, wait::patient(LIMIT))?;
        stream.set_read_timeout(Some(wait::patient(LIMIT)))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    /// Sends so many bytes to a [sink](Server::sink): how many it has taken.
    ///
    /// # Errors
    /// The connection is broken, or no answer came in time.
    pub fn pour(mut self, bytes: usize) -> io::Result<usize> {
        let stream = self.stream.get_mut();
        stream.set_write_timeout(Some(LIMIT))?;
        stream.set_read_timeout(Some(4 * LIMIT))?;
        stream.write_all(&vec![0x5a; bytes])?;
        stream.shutdown(std::net::Shutdown::Write)?;
        let mut taken = String::new();
        self.stream.read_to_string(&mut taken)?;
        taken.parse().map_err(io::Error::other)
    }

    /// Asks once more: the name of the server that answered.
    ///
    /// # Errors
    /// The connection is broken, or no answer came in time.
    pub fn ask(&mut self) -> io::Result<String> {
        self.stream
            .get_mut()
            .write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")?;
        let mut length = 0;
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if line == "\r\n" {
                break;
            }
            if let Some(value) = line.strip_prefix("Content-Length: ") {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }
}

/// So many requests, each on a new connection: who answered each.
#[must_use]
pub fn ask(namespace: &Namespace, to: SocketAddr, count: usize) -> Vec<io::Result<String>> {
    namespace.enter(|| {
        (0..count)
            .map(|_| Connection::open_here(to)?.ask())
            .collect()
    })
}

/// So many datagrams, each from a new port: who answered each.
#[must_use]
pub fn ask_udp(namespace: &Namespace, to: SocketAddr, count: usize) -> Vec<io::Result<String>> {
    let one = || {
        let name = answer(to, b"who is there?")?;
        Ok(String::from_utf8_lossy(&name).into_owned())
    };
    namespace.enter(|| (0..count).map(|_| one()).collect())
}

/// Asks by a datagram that is no other than `question`, from a new port; the answer.
///
/// # Errors
/// None came.
pub fn ask_by(namespace: &Namespace, to: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    namespace.enter(|| answer(to, question))
}

fn answer(to: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any)?;
    socket.set_read_timeout(Some(wait::patient(LIMIT)))?;
    socket.connect(to)?;
    socket.send(question)?;
    let mut buffer = vec![0; DATAGRAM];
    let length = socket.recv(&mut buffer)?;
    buffer.truncate(length);
    Ok(buffer)
}

/// Requests in the background, without a break: each turn one on a new connection and one on each of some
/// connections that stay open.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    turns: Arc<AtomicU64>,
    thread: Option<JoinHandle<Vec<String>>>,
}

impl Load {
    /// Begins, with so many lasting connections spread over the destinations.
    #[must_use]
    pub fn begin(namespace: &Namespace, to: Vec<SocketAddr>, lasting: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let turns = Arc::new(AtomicU64::new(0));
        let (stopped, turned) = (Arc::clone(&stop), Arc::clone(&turns));
        let thread = namespace.spawn(move || {
            let mut failures = Vec::new();
            let mut lasting: Vec<_> = to
                .iter()
                .copied()
                .cycle()
                .take(lasting)
                .map(Lasting::open)
                .collect();
            while !stopped.load(Ordering::Relaxed) {
                for to in &to {
                    let asked = Connection::open_here(*to).and_then(|mut open| open.ask());
                    failures.extend(asked.err().map(|error| format!("new to {to}: {error}")));
                }
                failures.extend(lasting.iter_mut().filter_map(Lasting::failure));
                turned.fetch_add(1, Ordering::Relaxed);
            }
            failures
        });
        let load = Self {
            stop,
            turns,
            thread: Some(thread),
        };
        load.turn();
        load
    }

    /// Waits until every connection has been used at least once from now on.
    pub fn turn(&self) {
        let seen = self.turns.load(Ordering::Relaxed);
        wait::until("clients go on", 4 * LIMIT, || {
            self.turns.load(Ordering::Relaxed) > seen + 2
        });
    }

    /// Ends, and says what failed.
    #[must_use]
    pub fn end(mut self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("a load that runs");
        thread.join().expect("a load's thread")
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A connection that must stay open, and with the same server.
struct Lasting {
    to: SocketAddr,
    connection: io::Result<Connection>,
    server: Option<String>,
}

impl Lasting {
    fn open(to: SocketAddr) -> Self {
        Self {
            to,
            connection: Connection::open_here(to),
            server: None,
        }
    }

    fn failure(&mut self) -> Option<String> {
        let asked = match &mut self.connection {
            Ok(connection) => connection.ask(),
            Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
        };
        match (asked, &self.server) {
            (Err(error), _) => Some(format!("lasting to {}: {error}", self.to)),
            (Ok(now), Some(before)) if now != *before => Some(format!(
                "lasting to {}: moved from {before} to {now}",
                self.to
            )),
            (Ok(now), _) => {
                self.server = Some(now);
                None
            }
        }
    }
}
