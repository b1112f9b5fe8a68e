//! The backends' HTTP servers: each a process of its own that answers every request with its name.

use std::{
    convert::Infallible,
    ffi::OsString,
    fs::File,
    io::{BufRead, BufReader},
    net::{Ipv6Addr, SocketAddr},
    process::{Child, Stdio},
    time::Duration,
};

use anyhow::{Context, ensure};
use http_body_util::Full;
use hyper::{Response, body::Bytes, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, time::sleep};

use super::{addressing::Link, lab::Lab, netns};

/// Said on standard output when connections are accepted.
const READY: &str = "ready";

/// How long to wait when the system has no more file descriptors.
const ACCEPT_BACK_OFF: Duration = Duration::from_millis(50);

/// A running server. It outlives this value; the [`Guard`](super::guard::Guard) ends what is left.
pub(super) struct Server {
    child: Child,
}

impl Server {
    /// Starts `program` with `arguments`, which make it call [`serve`], in the backend's namespace, and waits
    /// until it accepts connections.
    ///
    /// # Errors
    /// It cannot be started, or ends at once.
    pub(super) fn start(lab: &Lab, backend: Link, program: &[OsString]) -> anyhow::Result<Self> {
        let name = backend.name;
        let (executable, arguments) = program.split_first().context("no program to serve with")?;
        let log_file = lab.log(name);
        let log =
            File::create(&log_file).with_context(|| format!("make {}", log_file.display()))?;
        let mut child = netns::command(&lab.netns_file(name), executable)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| {
                format!("start the server of {name}: is nsenter (util-linux) installed?")
            })?;
        let output = child.stdout.take().context("the server has no output")?;
        let mut line = String::new();
        BufReader::new(output)
            .read_line(&mut line)
            .with_context(|| format!("wait for the server of {name}"))?;
        ensure!(
            line.trim() == READY,
            "the server of {name} does not run: see {}",
            log_file.display()
        );
        Ok(Self { child })
    }

    /// The process's number.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends the process by SIGKILL: it closes nothing and says nothing.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(super) fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill().context("kill a server")?;
        self.child
            .wait()
            .context("wait for a killed server")
            .map(drop)
    }
}

/// The server's process itself: answers on `port`, in both families, until it is killed.
///
/// # Errors
/// The port is taken.
pub(super) async fn serve(name: &str, port: u16) -> anyhow::Result<()> {
    // Linux gives a listener on the unspecified IPv6 address the IPv4 connections too.
    let address = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("listen on {address}"))?;
    println!("{READY}");
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(ACCEPT_BACK_OFF).await;
            continue;
        };
        let body = Bytes::from(format!("{name}\n"));
        let answer = service_fn(move |_| {
            let body = body.clone();
            async move { Ok::<_, Infallible>(Response::new(Full::new(body))) }
        });
        // A client that breaks off concerns no other.
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
    }
}
