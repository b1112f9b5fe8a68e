//! From the command line to a running daemon, and its end.

use std::{
    fs,
    io::{self, IsTerminal, Write as _},
    time::Duration,
};

use anyhow::{Context, anyhow};
use clap::CommandFactory as _;
use lb_common::settings::Settings;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
};
use tracing::{debug, info, warn};
use tracing_subscriber::EnvFilter;

use super::{
    announce::Announcer,
    check,
    core::{Core, Edges, End},
    decap,
    event::Event,
    exit::{ExitCode, Failure},
    interfaces::{self, Interfaces},
    notify,
    options::{Command, LogFormat, Options, RunOptions},
    paths::Paths,
    preflight,
    prepare::Prepared,
    privileges::{Privileges, Role},
    saved::Beginning,
};
use crate::{
    config::{DaemonSettings, Unmatched},
    control::{
        feed::Feed,
        server::{self, Limits},
    },
    dataplane::{
        Capacity, Dataplane, Pins,
        kernel::{Kernel, Origin},
    },
    health::{agent::Agents, probe::ExecUser, task::Prober},
    manual,
    model::Scope,
    neighbor::{self, InterfaceEvents, Link, Resolver},
    plan,
    reconcile::Reconciler,
};

/// Events that may wait for the core before senders wait too.
const QUEUE: usize = 1_024;
/// How long to wait after listening for interface events has failed.
const LISTEN_PAUSE: Duration = Duration::from_secs(1);

/// Runs `lbd`.
///
/// # Errors
/// Why it ended, with the exit code.
pub fn run(options: Options) -> Result<(), Failure> {
    match options.command {
        Command::Run(options) => {
            log(options.log_format);
            preflight::check()?;
            raise_limits();
            let prepared = Prepared::new(&options)?;
            let runtime = prepared.runtime()?;
            runtime.block_on(serve(options, prepared))
        }
        Command::Decap(options) => {
            log(options.log_format);
            preflight::check()?;
            raise_limits();
            Privileges::reduce(Role::Decap)?;
            runtime()?.block_on(decap::serve(options))
        }
        Command::Check { file, elsewhere } => {
            log(LogFormat::Text);
            runtime()?.block_on(check::check(file, elsewhere))?;
            printed(writeln!(io::stdout(), "valid"))
        }
        Command::Detach { bpffs } => {
            preflight::check()?;
            let pins = Pins::at(&bpffs)?;
            let _lock = preflight::lock(pins.root())?;
            Ok(pins.remove()?)
        }
        Command::Completions { shell } => printed(manual::completions(
            Options::command(),
            shell,
            &mut io::stdout(),
        )),
        Command::Man { directory } => printed(manual::pages(
            Options::command(),
            directory.as_deref(),
            &mut io::stdout(),
        )),
    }
}

/// A runtime without other threads.
fn runtime() -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the runtime")
}

/// Whoever closes the pipe has read enough.
fn printed(printed: io::Result<()>) -> Result<(), Failure> {
    match printed {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(anyhow!(error).into()),
        _ => Ok(()),
    }
}

fn log(format: LogFormat) {
    let filter = EnvFilter::try_from_env("LB_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr);
    match format {
        LogFormat::Text => subscriber.with_target(false).init(),
        LogFormat::Json => subscriber.json().init(),
    }
}

/// Probes need descriptors; maps on kernels before 5.11 count as locked memory.
fn raise_limits() {
    let unlimited = Rlimit {
        current: None,
        maximum: None,
    };
    let descriptors = getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: descriptors.maximum,
        ..descriptors
    };
    for (resource, limit) in [(Resource::Memlock, unlimited), (Resource::Nofile, all)] {
        // Refused without CAP_SYS_RESOURCE; what the limit is then too low for says so itself.
        if let Err(error) = setrlimit(resource, limit) {
            debug!(?resource, %error, "cannot raise a limit");
        }
    }
}

async fn serve(options: RunOptions, prepared: Prepared) -> Result<(), Failure> {
    // First of all: a signal that comes early waits until the core can take it.
    let (events, queue) = mpsc::channel(QUEUE);
    signals(&events)?;
    let Prepared {
        beginning,
        access,
        pins,
        locks: _locks,
        privileges,
    } = prepared;
    let interface_events = InterfaceEvents::listen().map_err(|error| anyhow!(error))?;
    let links = neighbor::links().await.map_err(|error| anyhow!(error))?;
    let names = interface_names(&options, &beginning.settings);
    interfaces::check(&names, &links)?;
    let listener = server::bind(&options.socket, &access)
        .await
        .map_err(|error| anyhow!(error))?;
    privileges.settle().context("give up capabilities")?;

    let feed = Feed::default();
    let announcer = Announcer::new(feed.clone());
    let begun = begin(
        &options, beginning, &pins, names, &links, &events, announcer,
    )
    .await;
    let mut core = begun.inspect_err(|_| {
        // Nobody listens on it any more; if it stays, the next start takes it away.
        let _ = fs::remove_file(&options.socket);
    })?;
    let (shutdown, stopping) = watch::channel(false);
    let (requests, calls) = mpsc::channel(QUEUE);
    let server = tokio::spawn(server::serve(
        listener,
        access,
        Limits::default(),
        requests,
        feed,
        stopping,
    ));
    forward(calls, events.clone(), |request| {
        Event::Call(Box::new(request))
    });
    tokio::spawn(watch_interfaces(interface_events, events.clone()));
    info!("ready");
    notify::ready();
    let end = core.run(queue).await;

    notify::stopping();
    let _ = shutdown.send(true);
    drop(core);
    let _ = server.await;
    match end {
        End::Stopped if options.detach_on_stop => {
            pins.remove()?;
            info!("stopped; the data plane is off");
        }
        End::Stopped => info!("stopped; the data plane goes on"),
        End::Detached => info!("the data plane is off, as a client has asked"),
    }
    Ok(())
}

fn interface_names(options: &RunOptions, settings: &DaemonSettings) -> Vec<String> {
    let names = match options.interfaces.as_slice() {
        [] => settings.interfaces.clone(),
        named => named.to_vec(),
    };
    if names.is_empty() {
        warn!("no interface is configured: nothing will be balanced");
    }
    names
}

/// Loads or adopts the data plane, publishes what is wanted, and attaches. If that fails, maps that were made for
/// it go again; adopted ones stay as they are.
async fn begin(
    options: &RunOptions,
    beginning: Beginning,
    pins: &Pins,
    names: Vec<String>,
    links: &[Link],
    events: &mpsc::Sender<Event>,
    announcer: Announcer,
) -> Result<Core, Failure> {
    let settings = &beginning.settings;
    info!("loading the program: the kernel's verifier takes some seconds");
    let (mut kernel, mut attachments, origin) = Kernel::load(
        pins,
        program_settings(settings),
        plan::features(&beginning.desired, &Scope::All),
        capacity(settings),
        beginning.generation,
    )
    .map_err(explain_load)?;
    if origin != Origin::Made {
        info!("took over the maps of an earlier process");
        kernel.hand_over(&mut attachments).map_err(explain_load)?;
    }
    if kernel.capacity() != capacity(settings) {
        warn!(wanted = ?capacity(settings), have = ?kernel.capacity(), "the maps keep the sizes they were made with: to change them, stop lbd and `lbd detach`");
    }
    #[cfg(feature = "log")]
    crate::dataplane::log::follow(&mut attachments)?;
    let mode = options.xdp_mode.map_or(settings.xdp_mode, Into::into);
    let (observations, observed) = mpsc::channel(QUEUE);
    let (answers, answered) = mpsc::channel(QUEUE);
    let (updates, next_hop_updates) = mpsc::channel(QUEUE);
    let exec_user = settings.exec_user.as_deref().map(ExecUser::named);
    let exec_user = exec_user.transpose().context("find who runs exec probes")?;
    let mut core = Core::new(
        Edges {
            interfaces: Interfaces::new(announcer.clone(), attachments, mode, names),
            paths: Paths::new(settings.probe_aliases),
            announcer,
            sources: crate::model::ChosenSources {
                tunnel: settings.tunnel_sources,
                snat: settings.snat.sources,
            },
            prober: Prober::new(observations, exec_user),
            agents: Agents::new(answers),
            resolver: Resolver::spawn(updates).map_err(|error| anyhow!(error))?,
            next_hop_updates,
            file: options.config_file().0,
            state_dir: options.state_dir.clone(),
        },
        Reconciler::new(kernel),
    );
    forward(observed, events.clone(), Event::Observed);
    forward(answered, events.clone(), |(target, answer)| {
        Event::Asked(target, answer)
    });
    if let Err(failure) = core.begin(beginning, links).await {
        match origin {
            Origin::Made => pins.remove()?,
            Origin::Adopted => {}
            Origin::Older(_) => pins.discard()?,
        }
        return Err(failure);
    }
    pins.settle()
        .context("take the maps of other versions away")?;
    Ok(core)
}

/// A kernel that refuses for lack of rights is told apart from one that refuses the program.
pub(super) fn explain_load(error: anyhow::Error) -> Failure {
    let denied = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::PermissionDenied);
    let code = if denied {
        ExitCode::NotAllowed
    } else {
        ExitCode::Failed
    };
    Failure::new(code, error)
}

fn program_settings(settings: &DaemonSettings) -> Settings {
    Settings {
        hash_seed: settings.hash_seed,
        drop_unmatched: match settings.unmatched {
            Unmatched::Pass => 0,
            Unmatched::Drop => 1,
        },
        icmp_errors_per_second: Settings::ICMP_ERRORS_PER_SECOND,
        gue_port: settings.gue_port,
        snat: settings.snat.to_program(super::host::host().cpus),
        // For `Kernel`, which knows what is in use, and how large the maps are.
        ..Settings::DEFAULT
    }
}

const fn capacity(settings: &DaemonSettings) -> Capacity {
    Capacity {
        slots: settings.max_slots,
        backends: settings.max_backends,
        vips: settings.max_vips,
        sources: settings.max_sources,
        flows: settings.max_flows,
    }
}

/// Turns what comes out of `source` into events, until either end is gone.
fn forward<T: Send + 'static>(
    mut source: mpsc::Receiver<T>,
    events: mpsc::Sender<Event>,
    event: fn(T) -> Event,
) {
    tokio::spawn(async move {
        while let Some(item) = source.recv().await {
            if events.send(event(item)).await.is_err() {
                return;
            }
        }
    });
}

async fn watch_interfaces(mut source: InterfaceEvents, events: mpsc::Sender<Event>) {
    loop {
        match source.changed().await {
            Ok(links) => {
                if events.send(Event::Interfaces(links)).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                warn!(%error, "cannot follow interfaces; trying again");
                tokio::time::sleep(LISTEN_PAUSE).await;
                if let Ok(listening) = InterfaceEvents::listen() {
                    source = listening;
                }
            }
        }
    }
}

fn signals(events: &mpsc::Sender<Event>) -> Result<(), Failure> {
    let kinds: [(SignalKind, fn() -> Event); 3] = [
        (SignalKind::hangup(), || Event::Reload),
        (SignalKind::terminate(), || Event::Stop),
        (SignalKind::interrupt(), || Event::Stop),
    ];
    for (kind, event) in kinds {
        let mut signal = signal(kind).context("listen for signals")?;
        let events = events.clone();
        tokio::spawn(async move {
            while signal.recv().await.is_some() {
                if events.send(event()).await.is_err() {
                    return;
                }
            }
        });
    }
    Ok(())
}
