//! The exec probe: a command on this host, by an unprivileged user, without anything of the daemon's.

use std::{
    fs, io,
    net::SocketAddr,
    os::{fd::OwnedFd, unix::process::CommandExt},
    process::{Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::{io::AsyncReadExt, net::unix::pipe, sync::oneshot};

use super::{Deadline, Failure};
use crate::{health::Target, model::ExecCheck};

/// So much of what a command says is kept, in bytes.
const SAID_MAX_BYTES: usize = 512;

/// Who runs commands: never root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExecUser {
    uid: u32,
    gid: u32,
}

impl ExecUser {
    /// The user `name` of `/etc/passwd`.
    ///
    /// # Errors
    /// There is none, or it is root.
    pub fn named(name: &str) -> io::Result<Self> {
        let passwd = String::from_utf8_lossy(&fs::read("/etc/passwd")?).into_owned();
        Self::in_passwd(&passwd, name)
            .filter(|user| user.uid != 0 && user.gid != 0)
            .ok_or_else(|| {
                io::Error::other(format!(
                    "`{name}` is no unprivileged user of /etc/passwd: create it, or write another exec_user"
                ))
            })
    }

    fn in_passwd(passwd: &str, name: &str) -> Option<Self> {
        passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next()? == name).then_some(())?;
            let (uid, gid) = (fields.nth(1)?, fields.next()?);
            let (uid, gid) = (uid.parse().ok()?, gid.parse().ok()?);
            Some(Self { uid, gid })
        })
    }
}

/// Runs the command, and waits for exit code 0. Whatever it started is killed with it, at its end or the deadline.
pub(super) async fn probe(
    check: &ExecCheck,
    target: &Target,
    endpoint: SocketAddr,
    user: Option<ExecUser>,
    deadline: Deadline,
) -> Result<(), Failure> {
    let Some(user) = user else {
        let words = "exec probes are not allowed: write allow_exec_probes = true in [daemon] of the configuration file, and restart lbd";
        return Err(Failure::Local(words.to_owned()));
    };
    let run = async {
        let (status, said) = run(check, target, endpoint, user).await.map_err(|error| {
            let program = check.command.first().map_or("", String::as_str);
            Failure::Local(format!("cannot run {program}: {error}"))
        })?;
        if status.success() {
            return Ok(());
        }
        let how = status
            .code()
            .map_or_else(|| status.to_string(), |code| format!("exit code {code}"));
        Err(Failure::Backend(match first_line(&said) {
            line if line.is_empty() => how,
            line => format!("{how}: {line}"),
        }))
    };
    let during = || "waiting for the command's end".to_owned();
    deadline.limit(run, during).await
}

/// How the command ended, and the begin of what it said.
async fn run(
    check: &ExecCheck,
    target: &Target,
    endpoint: SocketAddr,
    user: ExecUser,
) -> io::Result<(ExitStatus, Vec<u8>)> {
    let (reader, writer) = io::pipe()?;
    let mut words = check.command.iter();
    let mut command = Command::new(words.next().map_or("", String::as_str));
    // A change of user takes supplementary groups away, too (`CommandExt::uid`), and all capabilities
    // (capabilities(7)). Descriptors of ours are all closed on exec.
    command
        .args(words)
        .uid(user.uid)
        .gid(user.gid)
        .process_group(0)
        .current_dir("/")
        .env_clear()
        .env("LB_SERVICE", target.service.as_str())
        .env("LB_ADDRESS", endpoint.ip().to_string())
        .env("LB_PORT", endpoint.port().to_string())
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer);
    let mut output = pipe::Receiver::from_owned_fd(OwnedFd::from(reader))?;
    let (_group, mut ended) = start(command)?;
    let mut said = Vec::new();
    let mut buffer = [0; SAID_MAX_BYTES];
    let mut is_open = true;
    let status = loop {
        tokio::select! {
            status = &mut ended => {
                let died = |_| Err(io::Error::other("the thread that waits for it has died"));
                break status.unwrap_or_else(died)?;
            }
            // What is too much is read and forgotten: nobody waits for room in the pipe.
            read = output.read(&mut buffer), if is_open => {
                let read = read?;
                is_open = read > 0;
                keep(&mut said, &buffer, read);
            }
        }
    };
    while said.len() < SAID_MAX_BYTES
        && let Ok(read @ 1..) = output.try_read(&mut buffer)
    {
        keep(&mut said, &buffer, read);
    }
    Ok((status, said))
}

fn keep(said: &mut Vec<u8>, buffer: &[u8], read: usize) {
    said.extend_from_slice(buffer.get(..read).unwrap_or_default());
    said.truncate(SAID_MAX_BYTES);
}

/// The first line that is not empty, without control characters.
fn first_line(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    let line = said.lines().map(str::trim).find(|line| !line.is_empty());
    let visible = line.unwrap_or_default().chars().filter(|c| !c.is_control());
    visible.collect()
}

/// How a command ended, when it has.
type Ended = oneshot::Receiver<io::Result<ExitStatus>>;

/// Has `command` run by a thread of its own, which then waits for it.
fn start(command: Command) -> io::Result<(Group, Ended)> {
    let group = Group(Arc::default());
    let (done, ended) = oneshot::channel();
    let of_thread = Arc::clone(&group.0);
    thread::Builder::new()
        .name("exec-probe".to_owned())
        .spawn(move || {
            // Nobody may be waiting any more.
            let _ = done.send(run_to_end(command, &of_thread));
        })?;
    Ok((group, ended))
}

/// Runs `command` without new privileges: programs with the set-user-ID bit or capabilities give it nothing
/// (`PR_SET_NO_NEW_PRIVS`). It inherits that from the thread, which cannot take it back and ends with it.
fn run_to_end(mut command: Command, life: &Mutex<Life>) -> io::Result<ExitStatus> {
    rustix::thread::set_no_new_privs(true)?;
    let mut child = command.spawn()?;
    // Its ends of the pipe are ours until then.
    drop(command);
    let leader = Pid::from_child(&child);
    {
        let mut life = lock(life);
        if matches!(*life, Life::Over) {
            kill(leader);
        } else {
            *life = Life::Running(leader);
        }
    }
    // Until it is waited for, its number is not given to another: nobody else can be hit.
    waitid(
        WaitId::Pid(leader),
        WaitIdOptions::EXITED | WaitIdOptions::NOWAIT,
    )?;
    let mut life = lock(life);
    kill(leader);
    *life = Life::Over;
    child.wait()
}

/// Where a command is in its life.
#[derive(Debug, Default)]
enum Life {
    #[default]
    Starting,
    /// It leads a process group with all that it has started.
    Running(Pid),
    /// It has ended, or nobody waits for it.
    Over,
}

/// Nothing that could panic is done under the lock.
fn lock(life: &Mutex<Life>) -> MutexGuard<'_, Life> {
    life.lock().unwrap_or_else(PoisonError::into_inner)
}

fn kill(leader: Pid) {
    // All of them may have ended by themselves.
    let _ = kill_process_group(leader, Signal::KILL);
}

/// A command and all that it has started; killed when nobody waits for it any more.
#[derive(Debug)]
struct Group(Arc<Mutex<Life>>);

impl Drop for Group {
    fn drop(&mut self) {
        let mut life = lock(&self.0);
        if let Life::Running(leader) = *life {
            kill(leader);
        }
        *life = Life::Over;
    }
}
