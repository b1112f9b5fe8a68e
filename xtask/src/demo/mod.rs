//! The demo: real HTTP clients reach real HTTP servers through the XDP program, in namespaces of its own.
//!
//! | module | what it owns |
//! |---|---|
//! | [`addressing`], [`lab`] | addresses; names and places of one run (pure) |
//! | [`topology`], [`peers`] | the network, and the program at the links' far ends |
//! | [`guard`] | taking everything down, however the demo ends |
//! | [`server`], [`daemon`], [`load`] | backends, `lbd`, clients |
//! | [`control`] | the JSON control socket |
//! | [`story`] | what happens, in order |
//! | [`tally`], [`ledger`], [`summary`] | what it shows, and whether that is what it should |
//! | [`screen`], [`table`], [`keep`] | what one sees |
//! | [`role`] | the subcommands by which this program starts itself again |

use std::{cell::RefCell, path::PathBuf};

use anyhow::{Context, bail, ensure};
use tokio::{
    select,
    signal::unix::{SignalKind, signal},
};

use crate::{ebpf, workspace};

mod addressing;
mod control;
mod daemon;
mod guard;
mod keep;
mod lab;
mod ledger;
mod load;
mod netns;
mod peers;
mod role;
mod screen;
mod server;
mod story;
mod summary;
mod table;
mod tally;
mod topology;

pub(crate) use role::Role;

use addressing::BACKENDS;
use control::Control;
use daemon::Daemon;
use guard::Guard;
use lab::Lab;
use ledger::Counts;
use load::Load;
use screen::Screen;
use server::Server;
use story::Story;
use summary::{Figures, Summary};

/// How the demo is to run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    /// Leave everything up, and print how to use it and how to take it down.
    pub(crate) keep: bool,
    /// Write the figures to this file.
    pub(crate) json: Option<PathBuf>,
}

/// Runs the demo; `lbd`, `lbctl` and the eBPF object are built already.
///
/// # Errors
/// It cannot be set up, is interrupted (everything is taken down then, whatever [`Options::keep`] says), or
/// does not show what it should.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "the demo makes network namespaces and loads an XDP program: run it as root"
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.context("start tokio")?.block_on(async {
        select! {
            done = demonstrate(options) => done,
            interrupted = interrupted() => interrupted,
        }
    })
}

async fn interrupted() -> anyhow::Result<()> {
    let listen = |kind| signal(kind).context("listen for signals");
    let (mut int, mut term) = (
        listen(SignalKind::interrupt())?,
        listen(SignalKind::terminate())?,
    );
    let mut hup = listen(SignalKind::hangup())?;
    select! {
        _ = int.recv() => {}
        _ = term.recv() => {}
        _ = hup.recv() => {}
    }
    bail!("interrupted; everything has been taken down")
}

async fn demonstrate(options: &Options) -> anyhow::Result<()> {
    let screen = RefCell::new(Screen::new());
    let lab = Lab::own();
    let guard = Guard::start(role::guard_arguments(&lab))?;
    topology::build(&lab)?;
    peers::attach(&lab, &ebpf::object_path())?;
    screen
        .borrow_mut()
        .say("made namespaces for a client, the balancer and three backends");

    let mut servers = Vec::with_capacity(BACKENDS.len());
    for backend in BACKENDS {
        servers.push(Some(Server::start(
            &lab,
            backend,
            &role::server_command(backend)?,
        )?));
    }
    let (mut daemon, mut control) = Daemon::start(&lab, &workspace::release_binary("lbd")).await?;
    screen.borrow_mut().say(format!(
        "started HTTP servers, and lbd (process {})",
        daemon.pid()
    ));

    let figures = match act(&lab, &screen, &mut control, &mut servers).await {
        Ok(figures) => figures,
        Err(error) => {
            let fate = daemon.fate().await;
            return Err(error.context(format!("the demo cannot go on; {fate}")));
        }
    };
    let summary = Summary::new(&figures);
    if let Some(file) = &options.json {
        summary.write(file)?;
    }
    print!("{}", summary.text(&screen.borrow()));
    if options.keep {
        println!(
            "{}",
            keep::instructions(&lab, &daemon, &servers, &workspace::release_binary("lbctl"))
        );
        guard.release()?;
    } else {
        daemon.stop().await?;
    }
    summary.verdict()
}

/// From an empty daemon to all figures.
async fn act(
    lab: &Lab,
    screen: &RefCell<Screen>,
    control: &mut Control,
    servers: &mut [Option<Server>],
) -> anyhow::Result<Figures> {
    let mut watching = Control::connect(&lab.socket()).await?;
    let mut story = Story {
        lab,
        screen,
        control,
        servers,
    };
    story.attached().await?;
    let before = Counts::read(lab, story.control).await?;
    story.configure().await?;
    let load = Load::start(lab);
    let shown = select! {
        shown = story.play(&load) => shown?,
        failed = table::show(screen, &load, &mut watching) => bail!(failed.err().context("the table ended")?),
    };
    let tally = load.stop()?;
    let account = Counts::read(lab, control).await?.since(before);
    let status = control.status().await?;
    Ok(Figures {
        shown,
        tally,
        account,
        xdp_mode: status.xdp_mode(),
        generation: status.generation,
    })
}
