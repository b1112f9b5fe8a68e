//! What `--keep` prints: how to try things by hand, and how to take the demo down.

use std::path::Path;

use super::{
    addressing::{BACKENDS, CLIENT, Family},
    daemon::Daemon,
    lab::{BALANCER, Lab},
    role,
    server::Server,
};

/// The text, with every command as one can type it.
pub(super) fn instructions(
    lab: &Lab,
    daemon: &Daemon,
    servers: &[Option<Server>],
    lbctl: &Path,
) -> String {
    let (client, balancer) = (lab.netns(CLIENT.name), lab.netns(BALANCER));
    let socket = lab.socket().display().to_string();
    let lbctl = format!("{} --socket {socket}", lbctl.display());
    let backend = BACKENDS[0].server(Family::V4);
    let service = Family::V4.service();
    let removed = BACKENDS[2].server(Family::V4);
    let (vip4, vip6) = (Family::V4.vip(), Family::V6.vip());
    let pids = BACKENDS
        .iter()
        .zip(servers)
        .filter_map(|(backend, server)| {
            Some(format!(
                "\n    kill -KILL {}    # {}",
                server.as_ref()?.pid(),
                backend.name
            ))
        });
    let kill: String = pids.collect();
    let request = r#"{"jsonrpc":"2.0","id":1,"method":"status"}"#;
    format!(
        "
  Everything is still up. Ask the backends, from the client:
    ip netns exec {client} curl http://{vip4}/
    ip netns exec {client} curl -g 'http://{vip6}/'
  Speak with the daemon (process {pid}, log {log}):
    {lbctl} status
    {lbctl} backend add {service} {removed}
    {lbctl} backend drain {service} {backend}
    echo '{request}' | socat -t 5 - UNIX-CONNECT:{socket}
  Kill a backend's server:{kill}
  Look at what is in the kernel:
    ip -n {balancer} -s link show to-client
    bpftool map dump pinned {pins}/maps-v*/VIPS_V4 | grep -A 10 'ticket.: [1-9]'
  Take everything down:
    {take_down}
",
        pid = daemon.pid(),
        log = lab.log("lbd").display(),
        pins = lab.daemon_pins().display(),
        take_down = role::take_down_command(lab),
    )
}
