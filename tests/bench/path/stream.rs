//! TCP through a balancer: bytes and connections per second, over the same links, with the same servers, by different
//! balancers in the middle.
//!
//! ```text
//! client eth0 ---- client [balancer] b0 ---- eth0 backend 0
//! ```
//!
//! Links are veths with the offloads off that frames redirected by XDP cannot have, for all alike.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use lb_tests::{
    bed::{Bed, VIP_V4},
    traffic::{Connection, Server},
    wait,
};
use serde::Serialize;

use crate::{
    Figures, has,
    process::{self, Process},
};

/// Where the VIP answers connections, and where it takes bytes; the servers' ports are the same.
const WEB: u16 = 8_080;
const SINK: u16 = 8_081;
/// Clients at once that connect.
const CLIENTS: u32 = 4;
/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(15);

/// What stands in the middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    /// The kernel forwards: no VIP.
    None,
    /// The product, in a mode.
    Ours(&'static str),
    Nftables,
    Haproxy,
}

const SUBJECTS: [(&str, Subject); 5] = [
    ("none", Subject::None),
    ("ours-nat", Subject::Ours("nat")),
    ("ours-l2", Subject::Ours("l2")),
    ("nftables-dnat", Subject::Nftables),
    ("haproxy-tcp", Subject::Haproxy),
];

/// One subject.
#[derive(Serialize)]
pub(crate) struct Row {
    name: &'static str,
    rounds: u32,
    /// One connection that sends to the server, in gigabits of payload a second.
    gbit_per_second: Figures,
    /// From opening to the answer to one request, by four clients at once.
    connections_per_second: Figures,
    /// What such a connection takes, the median of all rounds.
    connection_p50_ms: f64,
    /// The greatest hundredth.
    connection_p99_ms: f64,
}

/// Measures all subjects in turn.
pub(crate) fn measure(quick: bool, not_measured: &mut Vec<String>) -> Result<Vec<Row>> {
    let (rounds, bytes, connections) = if quick {
        (2, 16 << 20, 100)
    } else {
        (10, 64 << 20, 500)
    };
    let mut paths = Vec::new();
    for (name, subject) in SUBJECTS {
        let (program, package) = match subject {
            Subject::Nftables => ("nft", "nftables"),
            Subject::Haproxy => ("haproxy", "haproxy"),
            Subject::None | Subject::Ours(_) => ("true", ""),
        };
        if has(program) {
            paths.push((Path::lay(subject)?, Taken::of(name)));
        } else {
            not_measured.push(format!(
                "{name}: there is no `{program}` (Debian: {package})"
            ));
        }
    }
    for (path, _) in &paths {
        path.await_answer();
    }
    for _ in 0..rounds {
        for (path, taken) in &mut paths {
            taken.gbit.push(path.pour(bytes)?);
            let (rate, each) = path.connect(connections)?;
            taken.rates.push(rate);
            taken.connections.extend(each);
        }
    }
    println!(
        "{:<16} {:>10} {:>8} {:>10} {:>14} {:>8} {:>8}",
        "path", "Gbit/s min", "median", "conn/s min", "conn/s median", "p50 ms", "p99 ms"
    );
    Ok(paths
        .into_iter()
        .map(|(_, taken)| taken.row(rounds))
        .collect())
}

/// What one subject's rounds have come to.
struct Taken {
    name: &'static str,
    gbit: Vec<f64>,
    rates: Vec<f64>,
    connections: Vec<f64>,
}

impl Taken {
    const fn of(name: &'static str) -> Self {
        Self {
            name,
            gbit: Vec::new(),
            rates: Vec::new(),
            connections: Vec::new(),
        }
    }

    fn row(mut self, rounds: u32) -> Row {
        self.connections.sort_unstable_by(f64::total_cmp);
        let at = |per_cent: usize| {
            let index = (self.connections.len() * per_cent).div_ceil(100).max(1) - 1;
            self.connections.get(index).copied().unwrap_or(f64::NAN)
        };
        let row = Row {
            name: self.name,
            rounds,
            gbit_per_second: Figures::of(&self.gbit),
            connections_per_second: Figures::of(&self.rates),
            connection_p50_ms: at(50),
            connection_p99_ms: at(99),
        };
        println!(
            "{:<16} {:>10.2} {:>8.2} {:>10.0} {:>14.0} {:>8.3} {:>8.3}",
            row.name,
            row.gbit_per_second.min,
            row.gbit_per_second.median,
            row.connections_per_second.min,
            row.connections_per_second.median,
            row.connection_p50_ms,
            row.connection_p99_ms
        );
        row
    }
}

/// A network with one subject, and where clients reach it.
struct Path {
    // Dropped first: what runs before where it runs.
    _process: Option<Process>,
    _servers: [Server; 2],
    bed: Bed,
    to: IpAddr,
}

impl Path {
    fn lay(subject: Subject) -> Result<Self> {
        let bed = Bed::new(1);
        let backend = bed.backends.first().context("a backend")?;
        let servers = [
            Server::http(&backend.namespace, WEB, "fine"),
            Server::sink(&backend.namespace, SINK),
        ];
        // Clients open more connections than there are ports to begin with, and come back to those that have ended.
        bed.client.sysctl("ipv4/ip_local_port_range", "1024 65535");
        bed.client.sysctl("ipv4/tcp_tw_reuse", "1");
        let address = backend.address_like(VIP_V4);
        let (process, to) = match subject {
            Subject::None => (None, address),
            Subject::Ours(mode) => (Some(ours(&bed, mode)?), VIP_V4),
            Subject::Nftables => {
                let (vip, to) = (VIP_V4.to_string(), address.to_string());
                process::nftables(&bed.balancer, &vip, &to);
                (None, VIP_V4)
            }
            Subject::Haproxy => (Some(haproxy(&bed, address)?), VIP_V4),
        };
        Ok(Self {
            _process: process,
            _servers: servers,
            bed,
            to,
        })
    }

    /// Waits until the path carries a request.
    fn await_answer(&self) {
        let to = SocketAddr::new(self.to, WEB);
        wait::until("the path carries a request", LIMIT, || {
            self.bed.client.enter(|| request(to).is_ok())
        });
    }

    /// Gigabits a second of one connection that sends so many bytes.
    fn pour(&self, bytes: usize) -> Result<f64> {
        let begin = Instant::now();
        let connection = Connection::open(&self.bed.client, (self.to, SINK).into());
        let taken = connection
            .and_then(|it| it.pour(bytes))
            .context("pouring")?;
        ensure!(taken == bytes, "{taken} of {bytes} bytes have arrived");
        let bits = u32::try_from(bytes).map_or(f64::NAN, f64::from) * 8.0;
        Ok(bits / begin.elapsed().as_secs_f64() / 1e9)
    }

    /// Connections a second, and the milliseconds of each, of so many by each client.
    fn connect(&self, connections: u32) -> Result<(f64, Vec<f64>)> {
        let to = SocketAddr::new(self.to, WEB);
        let begin = Instant::now();
        let client = || -> Result<Vec<f64>> {
            let each = (0..connections).map(|_| {
                let begin = Instant::now();
                request(to).with_context(|| format!("asking {to}"))?;
                Ok(begin.elapsed().as_secs_f64() * 1e3)
            });
            each.collect()
        };
        let clients: Vec<Result<Vec<f64>>> = thread::scope(|scope| {
            let start = |_| scope.spawn(|| self.bed.client.enter(client));
            let clients: Vec<_> = (0..CLIENTS).map(start).collect();
            let ended = clients.into_iter().map(|it| it.join().expect("a client"));
            ended.collect()
        });
        let seconds = begin.elapsed().as_secs_f64();
        let mut each = Vec::new();
        for client in clients {
            each.extend(client?);
        }
        Ok((f64::from(CLIENTS * connections) / seconds, each))
    }
}

/// Connects, asks, reads the answer, closes: from the calling thread's namespace.
fn request(to: SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&to, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_nodelay(true)?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n")?;
    let mut answer = BufReader::new(stream);
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        if answer.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    answer.read_exact(&mut [0; "fine".len()])
}

/// The product, with both services, once their backend serves and is set up.
fn ours(bed: &Bed, mode: &str) -> Result<Process> {
    let backend = bed.backends.first().context("a backend")?;
    let address = backend.address_like(VIP_V4);
    let services = [WEB, SINK].map(|port| {
        let (vip, backend) = (format!("{VIP_V4}:{port}/tcp"), format!("{address}:{port}"));
        process::service(&format!("s{port}"), &vip, mode, &backend)
    });
    let process = Process::product(&bed.balancer, bed.interfaces(), &services.concat())?;
    let socket = process.instance().context("a product")?.socket();
    for port in [WEB, SINK] {
        let _ = backend.set_up(&socket, &format!("s{port}"), (address, port).into(), &[]);
    }
    Ok(process)
}

/// The proxy, which takes the VIP for the host's own address.
fn haproxy(bed: &Bed, address: IpAddr) -> Result<Process> {
    bed.balancer.ip(&format!("address add {VIP_V4}/32 dev lo"));
    let proxies = [WEB, SINK].map(|port| {
        format!("listen s{port}\n  bind {VIP_V4}:{port}\n  server one {address}:{port}\n")
    });
    let text = format!(
        "global\n  maxconn 4096\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n{}",
        proxies.concat()
    );
    Process::haproxy(&bed.balancer, &text)
}
