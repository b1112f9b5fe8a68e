//! `explain`: the packet that is asked about, made and tried beside the core, which goes on meanwhile.

use std::{collections::BTreeMap, net::SocketAddr};

use serde_json::Value;

use super::{answers::value, core::Core, reading::Reading, report::ledger_label};
use crate::{
    control::protocol::{ErrorCode, Explain, RpcError, TcpFlags},
    dataplane::{
        Dataplane,
        trial::{Bench, Packet, Subject},
    },
    explain::{
        Known, explain,
        frame::{Recipe, Seen},
    },
    model::Protocol,
    neighbor,
};

/// What the headers of a made packet say if nobody has said otherwise.
const HOP_LIMIT: u8 = 64;
/// The largest frame that fits one buffer on every kernel.
const MAX_SIZE: usize = 3_500;
/// An Ethernet header: the kernel tries nothing shorter.
const MIN_SIZE: usize = 14;

impl Core {
    /// What becomes of a packet.
    ///
    /// # Errors
    /// There is no such interface, or the packet cannot be made.
    pub(super) async fn explain(&mut self, asked: &Explain) -> Result<Reading, RpcError> {
        let question = self.prepare(asked).await?;
        let bench = self.bench.clone();
        Ok(Box::new(move |_| question.answer(&bench)))
    }

    /// Everything that the answer is made from.
    async fn prepare(&mut self, asked: &Explain) -> Result<Question, RpcError> {
        // Pins that are gone are put back: the maps are found by them.
        self.look_at_interfaces().await;
        let links = neighbor::links().await;
        let links = links.map_err(|error| RpcError::new(ErrorCode::Kernel, error.to_string()))?;
        let attached = self.edges.interfaces.indexes();
        let attached = links.iter().filter(|link| attached.contains(&link.index));
        let named = |name: &String| attached.clone().find(|link| link.name == *name);
        let ingress = if let Some(name) = &asked.interface {
            named(name)
        } else {
            let first = self.settings.interfaces.first().and_then(named);
            first.or_else(|| attached.clone().next())
        };
        let Some(ingress) = ingress else {
            let choice: Vec<&str> = attached.map(|link| link.name.as_str()).collect();
            let wanted = asked.interface.as_deref().unwrap_or("any");
            let message = format!(
                "lbd is not attached to interface {wanted}: name one of those it is attached to ({})",
                choice.join(", ")
            );
            return Err(RpcError::new(ErrorCode::NotFound, message));
        };
        let frame = frame(asked, ingress.mac.unwrap_or_default())
            .map_err(|message| RpcError::new(ErrorCode::InvalidParams, message))?;
        let dataplane = self.reconciler.dataplane();
        let subject = dataplane.subject();
        let actual = dataplane.actual().clone();
        let services = self.desired.services.values();
        let services = services.filter_map(|service| {
            let number = actual.service_of(&service.vips)?;
            Some((number, service.name.to_string()))
        });
        Ok(Question {
            frame,
            known: Known {
                services: services.collect(),
                interfaces: links
                    .iter()
                    .map(|link| (link.index, (link.name.clone(), link.mac)))
                    .collect::<BTreeMap<_, _>>(),
                ingress: ingress.index,
                hash_seed: subject.hash_seed(),
                gue_port: subject.gue_port(),
                actual,
            },
            subject,
        })
    }
}

/// A packet and what is known.
struct Question {
    frame: Vec<u8>,
    known: Known,
    subject: Subject,
}

impl Question {
    /// Tries the packet. Blocks for as long as that takes.
    fn answer(self, bench: &Bench) -> Result<Value, RpcError> {
        let seen = Seen::read(&self.frame, self.known.gue_port);
        let packet = Packet {
            ingress: self.known.ingress,
            addresses: seen.ip.map(|ip| ip.addresses),
            flow: seen.flow(),
            fragment: seen.later_fragment(),
            frame: self.frame,
        };
        let trial = bench.run(&self.subject, &packet);
        let trial =
            trial.map_err(|error| RpcError::new(ErrorCode::Kernel, format!("{error:#}")))?;
        let outcome = ledger_label(trial.outcome);
        value(&explain(&self.known, &packet.frame, &trial, outcome))
    }
}

/// The frame that is asked about. The error says what is wrong with the parameters.
fn frame(asked: &Explain, destination_mac: [u8; 6]) -> Result<Vec<u8>, String> {
    let frame = match (&asked.packet, &asked.source, &asked.destination) {
        (Some(packet), None, None) => {
            let alone = Explain {
                packet: asked.packet.clone(),
                interface: asked.interface.clone(),
                ..Explain::default()
            };
            if *asked != alone {
                return Err(
                    "`packet` is a whole frame: only `interface` may stand beside it".into(),
                );
            }
            bytes(packet)?
        }
        (None, Some(source), Some(destination)) => {
            let recipe = Recipe {
                source: end("source", source)?,
                destination: end("destination", destination)?,
                protocol: asked.protocol.unwrap_or(Protocol::Tcp),
                is_first: asked.flags.unwrap_or_default() == TcpFlags::Syn,
                hop_limit: asked.hop_limit.unwrap_or(HOP_LIMIT),
                size: asked.size.unwrap_or_default().into(),
                destination_mac,
            };
            if asked.flags.is_some() && recipe.protocol != Protocol::Tcp {
                return Err(format!("flags are TCP's: {} has none", recipe.protocol));
            }
            recipe.frame()?
        }
        _ => {
            return Err(
                "give either `source` and `destination`, like 198.51.100.7:40000, or `packet`, a frame in hexadecimal digits"
                    .into(),
            );
        }
    };
    if !(MIN_SIZE..=MAX_SIZE).contains(&frame.len()) {
        let length = frame.len();
        return Err(format!(
            "a frame of {length} bytes cannot be tried: {MIN_SIZE} to {MAX_SIZE} can"
        ));
    }
    Ok(frame)
}

fn end(name: &str, text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!(
            "{name} `{text}` is not ADDRESS:PORT, like 198.51.100.7:40000 or [2001:db8::7]:40000"
        )
    })
}

/// Bytes from hexadecimal digits; colons and blanks may stand between them.
fn bytes(text: &str) -> Result<Vec<u8>, String> {
    let malformed = || "packet is not an even number of hexadecimal digits".to_owned();
    let digits = text.chars().filter(|it| !it.is_whitespace() && *it != ':');
    let digits: Option<Vec<u32>> = digits.map(|it| it.to_digit(16)).collect();
    let pairs = digits.ok_or_else(malformed)?;
    let (pairs, rest) = pairs.as_chunks();
    if !rest.is_empty() {
        return Err(malformed());
    }
    let byte = |[high, low]: &[u32; 2]| u8::try_from(high << 4 | low).ok();
    pairs
        .iter()
        .map(byte)
        .collect::<Option<_>>()
        .ok_or_else(malformed)
}

#[cfg(test)]
mod tests;
