//! A thousand clients that mean no good: who means well is served all the same, and the daemon does not grow.

use std::{
    fs,
    io::{ErrorKind, Read as _, Write as _},
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use lb_tests::{control::Control, daemon::Instance, wait};
use rustix::{
    process::{Gid, Uid},
    thread::{set_thread_res_gid, set_thread_res_uid},
};
use serde_json::{Value, json};

use crate::scene::{LIMIT, lone};

const CROWD: usize = 1_000;
/// Seats for clients that may only ask.
const SEATS: usize = 256;
/// A user without rights of its own, and the group that may only ask.
const NOBODY: u32 = 65_534;
/// So much the daemon may grow, whatever is sent: far less than a line of each of the crowd.
const GROWTH_BYTES: u64 = 200 << 20;
/// Calls that each of the well-behaved makes.
const CALLS: usize = 50;

/// Runs `work` as a user that may only ask: the kernel tells the daemon who a connection's maker was.
fn as_reader<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let run = || {
        let (uid, gid) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
        set_thread_res_gid(gid, gid, gid).expect("another group");
        set_thread_res_uid(uid, uid, uid).expect("another user");
        work()
    };
    thread::scope(|scope| scope.spawn(run).join().expect("a reader"))
}

/// An instance whose readers are the group of [`NOBODY`], in a place that all may enter.
fn open_to_readers(instance: &Instance) {
    let groups = fs::read_to_string("/etc/group").expect("the host's groups");
    let name = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == NOBODY.to_string()).then_some(name)
    });
    let name = name.expect("a group with the number 65534");
    instance.configure(&format!("read_only_group = \"{name}\"\n"));
    let everybody = fs::Permissions::from_mode(0o755);
    fs::set_permissions(instance.directory(), everybody).expect("a mode");
}

fn connect(socket: &Path) -> UnixStream {
    let stream = UnixStream::connect(socket).expect("a connection");
    stream.set_nonblocking(true).expect("a mode of a socket");
    stream
}

/// Whether the daemon has said that it is busy, and closed.
fn is_turned_away(stream: &mut UnixStream) -> bool {
    let mut said = Vec::new();
    match stream.read_to_end(&mut said) {
        Ok(_) => {
            let said: Value = serde_json::from_slice(&said).expect("one line of JSON");
            assert_eq!(said["error"]["code"], json!(-32_007), "{said}");
            let message = said["error"]["message"].as_str().unwrap_or_default();
            assert!(message.contains("clients at once"), "{said}");
            true
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => false,
        Err(error) => panic!("{error}"),
    }
}

/// What a client of the crowd sends, again and again, without ever reading: nothing, half a line, questions with large
/// answers, nonsense, or a line without an end.
fn malice(number: usize) -> Vec<u8> {
    let question = br#"{"jsonrpc": "2.0", "id": 1, "method": "stats"}"#;
    match number % 5 {
        0 => Vec::new(),
        1 => br#"{"jsonrpc": "#.to_vec(),
        2 => [question.as_slice(), b"\n"].concat().repeat(100),
        3 => b"nonsense\n[[[[\n".repeat(100),
        _ => vec![b'x'; 1 << 16],
    }
}

/// Sends as much as the sockets take until told to stop. Those who are cut off come back.
fn pester(mut crowd: Vec<UnixStream>, socket: &Path, stop: &AtomicBool) {
    let malice: Vec<Vec<u8>> = (0..5).map(malice).collect();
    while !stop.load(Ordering::Relaxed) {
        for (number, client) in crowd.iter_mut().enumerate() {
            match client.write(&malice[number % malice.len()]) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => *client = connect(socket),
            }
        }
    }
}

#[test]
fn a_thousand_hostile_clients_hold_up_nobody() {
    let (_namespace, instance) = lone();
    open_to_readers(&instance);
    let daemon = instance.start();
    let socket = instance.socket();
    let mut early = daemon.control();
    early.must("version", &json!({}));
    let before = daemon.resident_bytes();

    let mut crowd = as_reader(|| -> Vec<_> { (0..CROWD).map(|_| connect(&socket)).collect() });
    wait::until("all but those with a seat are turned away", LIMIT, || {
        crowd.retain_mut(|client| !is_turned_away(client));
        crowd.len() < SEATS
    });
    assert_eq!(
        crowd.len(),
        SEATS - 1,
        "one seat is taken by who may change"
    );

    let stop = AtomicBool::new(false);
    let (slowest, grown) = thread::scope(|scope| {
        let attack = scope.spawn(|| as_reader(|| pester(crowd, &socket, &stop)));
        // Also if something fails here: the others would never end.
        let end = End(&stop);
        let mut slowest = Duration::ZERO;
        for number in 0..CALLS {
            let begun = Instant::now();
            let service =
                json!({"name": format!("s{number}"), "vips": [format!("192.0.2.{number}:80/tcp")]});
            early.must("service.add", &service);
            daemon.control().must("status", &json!({}));
            slowest = slowest.max(begun.elapsed());
        }
        let grown = daemon.resident_bytes().saturating_sub(before);
        drop(end);
        attack.join().expect("the crowd");
        (slowest, grown)
    });
    println!("slowest change and question: {slowest:?}; the daemon grew by {grown} bytes");
    assert!(grown < GROWTH_BYTES, "the daemon grew by {grown} bytes");

    // The crowd is gone: its seats are free again.
    as_reader(|| {
        wait::until("a reader is served", LIMIT, || {
            let control = Control::connect(&socket);
            control.is_ok_and(|mut control| control.call("status", &json!({})).is_ok())
        });
    });
    assert_eq!(
        early.must("service.list", &json!({}))["services"]
            .as_array()
            .map(Vec::len),
        Some(CALLS)
    );
}

/// Has the crowd stop when it is dropped.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
