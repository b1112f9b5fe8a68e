//! `lbctl backend-setup` as a shell script: each step with its reason, and a look at what is in effect.
//!
//! POSIX `sh`, read whole before it is run, so that it can be piped into a remote shell. What stands in it is
//! numbers, addresses and names of the model's own types: nothing needs quoting.

use std::{fmt::Write as _, net::IpAddr};

use crate::{
    control::protocol::{Room, Setup, Step, TunnelKind},
    model::Prefix,
};

/// The routing table of replies, and the preference of the rules that lead to it: `LB` in ASCII.
const TABLE: u32 = 0x4c42;

const BEGIN: &str = include_str!("script/begin.sh");
const VIP: &str = include_str!("script/vip.sh");
const SYSCTL: &str = include_str!("script/sysctl.sh");
const REVERSE_PATH: &str = include_str!("script/reverse_path.sh");
const TUNNEL: &str = include_str!("script/tunnel.sh");
const DECAP: &str = include_str!("script/decap.sh");
const REPLY: &str = include_str!("script/reply.sh");

/// The script that does what `setup` says.
pub(super) fn script(setup: &Setup) -> String {
    let mut text = head(setup);
    if setup.steps.is_empty() && setup.undo.is_empty() {
        line(&mut text, 0, "echo 'backend-setup: nothing to do'");
        return text;
    }
    text.push_str(BEGIN);
    let all = || setup.undo.iter().chain(&setup.steps);
    let mut functions: Vec<&str> = all().filter_map(function).collect();
    functions.sort_unstable();
    functions.dedup();
    for function in functions {
        text.push('\n');
        text.push_str(function);
    }
    text.push_str("\nmain() {\n");
    line(&mut text, 1, "need ip id cat tr grep");
    if all().any(|step| matches!(step, Step::Decap { .. })) {
        line(&mut text, 1, "need \"$lbd\" nohup sort mkdir tail");
    }
    let address = setup.backend.ip();
    line(&mut text, 1, &format!("find_interface {address}"));
    section(&mut text, &setup.undo, undo);
    section(&mut text, &setup.steps, perform);
    let (service, backend, mode) = (&setup.service, &setup.backend, setup.mode);
    let what = format!("backend {backend} of service {service}, mode {mode}");
    if !setup.undo.is_empty() {
        let is_left = "is no longer set up on this host; settings of ARP and rp_filter were left";
        line(&mut text, 1, &format!("echo \"{what}, {is_left}\""));
    }
    if !setup.steps.is_empty() {
        text.push('\n');
        line(
            &mut text,
            1,
            &format!("echo \"in effect for {what}, interface $dev:\""),
        );
    }
    for step in &setup.steps {
        line(&mut text, 1, &check(step));
    }
    text.push_str("}\n\nmain </dev/null\n");
    text
}

fn head(setup: &Setup) -> String {
    let mut text = String::from("#!/bin/sh\n");
    let (service, backend, mode) = (&setup.service, &setup.backend, setup.mode);
    let mut comment = |words: &str| {
        let _ = writeln!(text, "# {words}");
    };
    comment(&if setup.undo.is_empty() {
        format!("What the host of backend {backend} of service {service} needs in mode {mode}.")
    } else {
        format!(
            "Takes from the host of backend {backend} what only service {service} needed in mode {mode}."
        )
    });
    comment("Run it there as root, as often as you like; a reboot undoes it.");
    for note in &setup.notes {
        comment(&format!("Note: {note}."));
    }
    if let Some(room) = &setup.room {
        for words in advice(room) {
            comment(&words);
        }
    }
    text.push_str("set -eu\n");
    text
}

/// What to do about packets that do not fit into a tunnel.
fn advice(room: &Room) -> Vec<String> {
    let Room {
        mtu,
        overhead,
        packet,
        ..
    } = room;
    let full = u32::from(*mtu) + u32::from(*overhead);
    let mut words = vec![
        format!(
            "MTU: the balancer's interface carries {mtu} bytes, the outer headers take {overhead}: {packet} are left."
        ),
        format!(
            "Larger packets are answered with that size. Better: {full} bytes on the way from the balancer to here,"
        ),
    ];
    for (version, mss) in [("IPv4", room.mss_v4), ("IPv6", room.mss_v6)] {
        if let Some(mss) = mss {
            words.push(format!(
                "or clients are told of {mss} bytes a TCP segment over {version}: `advmss {mss}` on this host's routes to them."
            ));
        }
    }
    words
}

/// Steps of one kind stand together, after the reason for them.
fn section(text: &mut String, steps: &[Step], command: fn(&Step) -> String) {
    let mut last = "";
    for step in steps {
        let reason = reason(step);
        if reason != last {
            text.push('\n');
            line(text, 1, &format!("# {reason}"));
            last = reason;
        }
        for words in command(step).lines() {
            line(text, 1, words);
        }
    }
}

/// The functions that a step's commands call.
fn function(step: &Step) -> Option<&'static str> {
    Some(match step {
        Step::Vip { .. } => VIP,
        Step::Sysctl { .. } => SYSCTL,
        Step::ReversePath { .. } => REVERSE_PATH,
        Step::Fou { .. } | Step::Tunnel { .. } => TUNNEL,
        Step::Decap { .. } => DECAP,
        Step::ReplyRoute { .. } | Step::ReplyRule { .. } => REPLY,
        Step::SourceRoute { .. } => return None,
    })
}

fn reason(step: &Step) -> &'static str {
    match step {
        Step::Vip { .. } => "The host takes packets to the VIP for its own.",
        Step::Sysctl { .. } => "Every backend has the VIP: none may tell of it by ARP.",
        Step::ReversePath { .. } => {
            "Clients' packets come from the balancer, wherever the route to the clients leads."
        }
        Step::Fou { .. } => "The kernel takes the UDP header off.",
        Step::Tunnel { .. } => "The kernel takes the outer IP header off.",
        Step::Decap { .. } => {
            "The tunnels are taken off, if they come from a balancer and hold a packet to a VIP."
        }
        Step::ReplyRoute { .. } => {
            "Replies go to the balancer, which makes them come from the VIP."
        }
        Step::ReplyRule { .. } => {
            "All that comes from the backend's address does, ICMP errors among it."
        }
        Step::SourceRoute { .. } => {
            "Packets come from addresses that only the balancer has: replies go there by it."
        }
    }
}

fn perform(step: &Step) -> String {
    match step {
        Step::Vip { addresses } if addresses.is_single() => format!("vip {}", single(*addresses)),
        Step::Vip { addresses } => format!("ip {}", local_route("replace", *addresses)),
        Step::Sysctl { key, value, or } => {
            let values = [value].into_iter().chain(or);
            let values: Vec<String> = values.map(u32::to_string).collect();
            format!("setting {} {}", path(key), values.join(" "))
        }
        Step::ReversePath { device } => format!("loosen {}", device_or_dev(device.as_deref())),
        Step::Fou { port, ipv6 } => format!("fou {} {port}", family(*ipv6)),
        Step::Tunnel { kind, local } => format!("tunnel {} {local}", device_and_type(*kind)),
        Step::Decap {
            from,
            to,
            vips,
            gue_port,
        } => {
            let from = from.iter().map(|prefix| format!(" --from={prefix}"));
            let vips = vips.iter().map(|vip| format!(" --vip={vip}"));
            let rest: String = from.chain(vips).collect();
            format!("decap {to} --iface=\"$dev\" --to={to} --gue-port={gue_port}{rest}")
        }
        Step::ReplyRoute { via } => format!(
            "ip {} route replace default via {via} dev \"$dev\" table {TABLE}",
            family(via.is_ipv6())
        ),
        Step::ReplyRule { from } => {
            format!("reply_rule {} {}", family(from.is_ipv6()), rule(*from))
        }
        Step::SourceRoute { to, via } => format!("ip {}", source_route("replace", *to, *via)),
    }
}

fn undo(step: &Step) -> String {
    match step {
        Step::Vip { addresses } if addresses.is_single() => {
            format!("no_vip {}", single(*addresses))
        }
        Step::Vip { addresses } => {
            format!("ip {} 2>/dev/null || :", local_route("del", *addresses))
        }
        // They stay.
        Step::Sysctl { .. } | Step::ReversePath { .. } => String::new(),
        Step::Fou { port, ipv6 } => {
            format!("ip {} fou del port {port} 2>/dev/null || :", family(*ipv6))
        }
        Step::Tunnel { kind, .. } => {
            format!("ip link del {} 2>/dev/null || :", kind.device())
        }
        Step::Decap { to, .. } => format!("no_decap {to}"),
        Step::ReplyRoute { via } => format!(
            "ip {} route flush table {TABLE} 2>/dev/null || :",
            family(via.is_ipv6())
        ),
        Step::ReplyRule { from } => format!(
            "ip {} rule del {} 2>/dev/null || :",
            family(from.is_ipv6()),
            rule(*from)
        ),
        Step::SourceRoute { to, via } => {
            format!("ip {} 2>/dev/null || :", source_route("del", *to, *via))
        }
    }
}

/// Shows what a step has brought about; fails if it is not there.
fn check(step: &Step) -> String {
    match step {
        Step::Vip { addresses } if addresses.is_single() => {
            let address = addresses.address();
            format!("show \"VIP {address}\" ip -o address show dev lo to {address}")
        }
        Step::Vip { addresses } => format!(
            "show \"VIP {addresses}\" ip {} route show table local {addresses}",
            family(!addresses.is_ipv4())
        ),
        Step::Sysctl { key, .. } => format!("show {key} cat /proc/sys/{}", path(key)),
        Step::ReversePath { device } => {
            let device = device_or_dev(device.as_deref());
            format!(
                "show \"rp_filter of all and {device}, the greater counts\" cat /proc/sys/net/ipv4/conf/all/rp_filter \"/proc/sys/net/ipv4/conf/{device}/rp_filter\""
            )
        }
        Step::Fou { port, .. } => format!("show \"GUE port {port}\" ip fou show"),
        Step::Tunnel { kind, .. } => {
            let device = kind.device();
            format!("show \"tunnel {device}\" ip -o -d link show dev {device} up")
        }
        Step::Decap { .. } => {
            "show \"lbd decap, process $(cat \"$run/pid\")\" cat \"$run/arguments\"".to_owned()
        }
        Step::ReplyRoute { via } => format!(
            "show \"route of replies\" ip {} route show table {TABLE}",
            family(via.is_ipv6())
        ),
        Step::ReplyRule { from } => format!(
            "show \"rule of replies\" rules_of {} {TABLE} {from}",
            family(from.is_ipv6())
        ),
        Step::SourceRoute { to, .. } => format!(
            "show \"route to {to}\" ip {} route show {to}",
            family(!to.is_ipv4())
        ),
    }
}

/// A rule as `ip rule` takes it.
fn rule(from: IpAddr) -> String {
    format!("pref {TABLE} from {from} lookup {TABLE}")
}

fn single(address: Prefix) -> String {
    format!("{} {}", address.address(), address.bits())
}

/// A route as `ip` takes it, by which the host takes addresses for its own.
fn local_route(verb: &str, addresses: Prefix) -> String {
    format!(
        "{} route {verb} local {addresses} dev lo",
        family(!addresses.is_ipv4())
    )
}

/// The route to our sources, likewise.
fn source_route(verb: &str, to: Prefix, via: IpAddr) -> String {
    format!(
        "{} route {verb} {to} via {via} dev \"$dev\"",
        family(!to.is_ipv4())
    )
}

/// A setting's file below `/proc/sys`.
fn path(key: &str) -> String {
    key.replace('.', "/")
}

const fn family(ipv6: bool) -> &'static str {
    if ipv6 { "-6" } else { "-4" }
}

fn device_or_dev(device: Option<&str>) -> &str {
    device.unwrap_or("$dev")
}

fn device_and_type(kind: TunnelKind) -> String {
    let arguments = match kind {
        TunnelKind::Ipip => "ipip",
        TunnelKind::Sit => "sit",
        TunnelKind::Ip6tnl => "ip6tnl",
    };
    format!("{} {arguments}", kind.device())
}

fn line(text: &mut String, depth: usize, words: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{:1$}{words}", "", 4 * depth);
}

#[cfg(test)]
mod tests;
