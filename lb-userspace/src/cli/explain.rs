//! `lbctl explain`: what the running program would do with a packet, a line for each stage.

use std::{fmt::Write as _, net::SocketAddr};

use clap::{ArgGroup, Args};

use crate::{
    control::protocol::{self, Call, Explanation, TcpFlags, Verdict},
    model::Protocol,
};

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true).args(["source", "packet"]))]
pub(super) struct Explain {
    #[arg(help = "Who sends the packet, like 198.51.100.7:40000 or [2001:db8::7]:40000")]
    #[arg(long, value_name = "ADDRESS:PORT", requires = "destination")]
    source: Option<SocketAddr>,
    /// Who it is for
    #[arg(long, value_name = "ADDRESS:PORT", requires = "source")]
    destination: Option<SocketAddr>,
    /// Its transport [default: tcp]
    #[arg(long, value_parser = ["tcp", "udp", "sctp"], conflicts_with = "packet")]
    protocol: Option<String>,
    /// The first packet of a TCP connection: the default
    #[arg(long, conflicts_with_all = ["ack", "packet"])]
    syn: bool,
    /// A later packet of a TCP connection
    #[arg(long, conflicts_with = "packet")]
    ack: bool,
    /// TTL or hop limit [default: 64]
    #[arg(long, value_name = "HOPS", conflicts_with = "packet")]
    hop_limit: Option<u8>,
    /// Bytes of the whole frame [default: what its headers take]
    #[arg(long, value_name = "BYTES", conflicts_with = "packet")]
    size: Option<u16>,
    /// A whole Ethernet frame in hexadecimal digits, in place of all that
    #[arg(long, value_name = "HEX")]
    packet: Option<String>,
    /// The interface that it comes in by [default: the first one of lbd's]
    #[arg(long, value_name = "NAME")]
    interface: Option<String>,
}

impl Explain {
    pub(super) fn call(self) -> Call {
        let flags = match (self.syn, self.ack) {
            (_, true) => Some(TcpFlags::Ack),
            (true, false) => Some(TcpFlags::Syn),
            (false, false) => None,
        };
        let named = |it: &Protocol| Some(it.to_string()) == self.protocol;
        Call::Explain(protocol::Explain {
            source: self.source.map(|it| it.to_string()),
            destination: self.destination.map(|it| it.to_string()),
            protocol: Protocol::ALL.into_iter().find(named),
            flags,
            hop_limit: self.hop_limit,
            size: self.size,
            packet: self.packet,
            interface: self.interface,
        })
    }
}

/// A line for each stage, its name first, and what came of it at the end.
pub(super) fn text(explanation: &Explanation) -> String {
    let verdict = match explanation.verdict {
        Verdict::Pass => "passed to the host's stack",
        Verdict::Drop => "dropped",
        Verdict::Tx => "sent out of the interface it came in by",
        Verdict::Redirect => "sent out of another interface",
        Verdict::Aborted => "aborted by the kernel: a fault of the program",
    };
    let verdict = format!("{verdict} ({})", explanation.outcome);
    let stages = explanation.stages.iter();
    let stages = stages.map(|stage| (stage.stage.as_str(), stage.what.as_str()));
    let lines = stages.chain([("verdict", verdict.as_str())]);
    lines.fold(String::new(), |mut text, (name, what)| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name:<9}  {what}");
        text
    })
}
