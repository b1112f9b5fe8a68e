//! What a backend's host needs for its mode: from what is wanted and the way to the host to steps.
//!
//! A function of values. `lbctl backend-setup` draws the steps as a shell script, and the socket gives them as they are.

mod step;

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::step::{Step, TunnelKind};
use crate::{
    desired::Desired,
    model::{Backend, ChosenSources, Mode, Prefix, Service, ServiceName, Source},
    neighbor::{NextHop, NextHops, Unresolved},
};

/// What takes the outer headers off on a backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Receiver {
    /// `lbd decap`: only from listed balancers, only to VIPs.
    #[default]
    Decap,
    /// The kernel's tunnel devices: nothing to install, but they take tunnels from everybody.
    Kernel,
}

/// What the operator chooses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// What takes tunnels off.
    pub receiver: Receiver,
    /// Other balancers that tunnels come from.
    pub from: Vec<Prefix>,
    /// The way back: what this backend needs and no other of the same address does.
    pub undo: bool,
}

/// What the daemon knows.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// All services.
    pub desired: &'a Desired,
    /// The way to each backend.
    pub next_hops: &'a NextHops,
    /// Where outer headers and the packets of full NAT come from, if the operator has chosen.
    pub sources: ChosenSources,
    /// UDP port of GUE; 1 to 65,535.
    pub gue_port: u32,
}

/// What a backend's host needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Setup {
    /// The service's name.
    pub service: ServiceName,
    /// `ADDRESS:PORT`.
    pub backend: SocketAddr,
    /// How packets reach it.
    pub mode: Mode,
    /// What is taken back, in this order; empty unless the way back was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undo: Vec<Step>,
    /// What is done then, in this order.
    pub steps: Vec<Step>,
    /// What fits into a tunnel to it; absent without a tunnel, or if the way to it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<Room>,
    /// What no step can do, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// What fits into a tunnel; all in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Room {
    /// The largest IP packet that the balancer's interface to the backend carries.
    pub mtu: u16,
    /// What the outer headers take of it.
    pub overhead: u16,
    /// The largest packet inside.
    pub packet: u16,
    /// The largest TCP segment inside IPv4 (RFC 9293 section 3.7.1), if there is such a VIP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mss_v4: Option<u16>,
    /// The same inside IPv6 (RFC 8200 section 8.3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mss_v6: Option<u16>,
}

/// Why it cannot be said what a backend needs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    /// Nobody knows where tunnels come from.
    #[error(
        "it is not known which address tunnels to {backend} come from ({why}): choose one by tunnel_sources, or name it by --from"
    )]
    TunnelSource {
        /// The backend's address.
        backend: IpAddr,
        /// What is missing.
        why: String,
    },
    /// Nobody knows where replies are to go.
    #[error(
        "it is not known by which address {backend} reaches this balancer ({why}): mend that, then ask again"
    )]
    Gateway {
        /// The backend's address.
        backend: IpAddr,
        /// What is missing.
        why: String,
    },
}

/// What the host of `backend`, which is one of `service`, needs.
///
/// # Errors
/// The way to the backend is not known, and matters.
pub fn setup(
    site: Site<'_>,
    service: &Service,
    backend: &Backend,
    choice: &Choice,
) -> Result<Setup, Unknown> {
    let host = Host {
        site,
        address: backend.address.ip(),
        choice,
    };
    let steps = host.steps(service, backend)?;
    let (undo, steps) = if choice.undo {
        host.way_back(steps, service, backend)?
    } else {
        (Vec::new(), steps)
    };
    Ok(Setup {
        service: service.name.clone(),
        backend: backend.address,
        mode: backend.mode,
        undo,
        steps,
        room: host.room(service, backend),
        notes: host.notes(backend),
    })
}

/// The host of a backend: everything that has its address.
struct Host<'a> {
    site: Site<'a>,
    address: IpAddr,
    choice: &'a Choice,
}

impl<'a> Host<'a> {
    fn steps(&self, service: &Service, backend: &Backend) -> Result<Vec<Step>, Unknown> {
        match backend.mode {
            Mode::Local => Ok(Vec::new()),
            Mode::L2 => Ok(vip_steps(service)),
            Mode::Ipip | Mode::Gue => {
                let mut steps = vip_steps(service);
                match self.choice.receiver {
                    Receiver::Decap => steps.push(self.decap(self.tunnelled(None))?),
                    Receiver::Kernel => steps.extend(self.devices(service, backend.mode)),
                }
                Ok(steps)
            }
            Mode::Nat => self.reply_steps(),
            Mode::Snat => Ok(self.source_route().into_iter().collect()),
        }
    }

    /// Replies go to where packets come from: an address of the balancer on the same link, unless the operator has
    /// chosen another.
    fn source_route(&self) -> Option<Step> {
        let to = self.site.sources.snat.towards(self.address)?.prefix();
        let hop = self.next_hop().ok().filter(|hop| hop.on_link)?;
        let via = hop.source?;
        (!to.contains(via.into())).then_some(Step::SourceRoute { to, via })
    }

    /// The kernel's tunnel devices, one for each pair of IP versions; GUE ends at a port before them.
    fn devices(&self, service: &Service, mode: Mode) -> Vec<Step> {
        let mut steps = Vec::new();
        if mode == Mode::Gue {
            let (port, ipv6) = (self.site.gue_port, self.address.is_ipv6());
            steps.push(Step::Fou { port, ipv6 });
        }
        let mut kinds: Vec<TunnelKind> = addresses(service)
            .into_iter()
            .map(|vip| TunnelKind::of(vip.address(), self.address))
            .collect();
        kinds.dedup();
        for kind in kinds {
            steps.push(Step::Tunnel {
                kind,
                local: self.address,
            });
            steps.push(Step::ReversePath {
                device: Some(kind.device().to_owned()),
            });
        }
        steps
    }

    /// Replies go to the balancer, whatever the host's other routes are; so do ICMP errors about requests.
    fn reply_steps(&self) -> Result<Vec<Step>, Unknown> {
        let gateway = |why: String| Unknown::Gateway {
            backend: self.address,
            why,
        };
        let hop = self.next_hop().map_err(gateway)?;
        let mut steps = Vec::new();
        if self.address.is_ipv4() {
            steps.push(Step::ReversePath { device: None });
        }
        if !hop.on_link {
            return Ok(steps);
        }
        let via = hop
            .source
            .ok_or_else(|| gateway("its route names no source address".to_owned()))?;
        steps.push(Step::ReplyRoute { via });
        steps.push(Step::ReplyRule { from: self.address });
        Ok(steps)
    }

    /// What of `steps` no other backend of this address needs, last first; and what is done instead.
    fn way_back(
        &self,
        steps: Vec<Step>,
        service: &Service,
        backend: &Backend,
    ) -> Result<(Vec<Step>, Vec<Step>), Unknown> {
        let mut kept = Vec::new();
        for (other, same_host) in self.others(Some((service, backend))) {
            kept.extend(self.steps(other, same_host)?);
        }
        let left = self.tunnelled(Some((service, backend)));
        let is_decap = |step: &Step| matches!(step, Step::Decap { .. });
        let mut instead = Vec::new();
        if steps.iter().any(is_decap) && !left.is_empty() {
            instead.push(self.decap(left)?);
        }
        let undo = steps
            .into_iter()
            .rev()
            .filter(|step| step.can_be_undone() && !kept.contains(step))
            .filter(|step| instead.is_empty() || !is_decap(step))
            .collect();
        Ok((undo, instead))
    }

    /// The backends of this address, but for one.
    fn others(
        &self,
        but: Option<(&Service, &Backend)>,
    ) -> impl Iterator<Item = (&'a Service, &'a Backend)> {
        let but = but.map(|(service, backend)| (service.name.clone(), backend.address));
        let address = self.address;
        let services = self.site.desired.services.values().map(|it| &**it);
        services
            .flat_map(|service| service.backends.values().map(move |it| (service, it)))
            .filter(move |(service, it)| {
                let is_excepted = but
                    .as_ref()
                    .is_some_and(|(name, backend)| *name == service.name && *backend == it.address);
                it.address.ip() == address && !is_excepted
            })
    }

    /// The addresses of VIPs whose packets come to this host by tunnel.
    fn tunnelled(&self, but: Option<(&Service, &Backend)>) -> BTreeSet<Prefix> {
        self.others(but)
            .filter(|(_, backend)| backend.mode.is_tunnel())
            .flat_map(|(service, _)| addresses(service))
            .collect()
    }

    fn decap(&self, vips: BTreeSet<Prefix>) -> Result<Step, Unknown> {
        let chosen = self.site.sources.tunnel.towards(self.address);
        let source = match (chosen, self.next_hop()) {
            (Some(source), _) => Ok(source),
            (None, Ok(hop)) => hop
                .source
                .map(Source::from)
                .ok_or_else(|| "its route names no source address".to_owned()),
            (None, Err(why)) => Err(why),
        };
        let mut from = self.choice.from.clone();
        match source {
            Ok(source) => from.push(source.prefix()),
            Err(why) if from.is_empty() => {
                return Err(Unknown::TunnelSource {
                    backend: self.address,
                    why,
                });
            }
            Err(_) => {}
        }
        from.sort_unstable();
        from.dedup();
        Ok(Step::Decap {
            from,
            to: self.address,
            vips: vips.into_iter().collect(),
            gue_port: self.site.gue_port,
        })
    }

    /// The way to the host, or in words why it is not known.
    fn next_hop(&self) -> Result<&'a NextHop, String> {
        match self.site.next_hops.get(&self.address) {
            Some(Ok(hop)) => Ok(hop),
            Some(Err(why)) => Err(why.to_string()),
            None => Err("it has not been looked for yet".to_owned()),
        }
    }

    fn room(&self, service: &Service, backend: &Backend) -> Option<Room> {
        let overhead = backend.mode.overhead(self.address);
        let mtu = self.next_hop().ok()?.mtu;
        if overhead == 0 || mtu == 0 {
            return None;
        }
        let packet = mtu.saturating_sub(overhead);
        let has = |ipv4| addresses(service).iter().any(|vip| vip.is_ipv4() == ipv4);
        // The IP header without options or extensions, and 20 bytes of TCP.
        let mss = |headers: u16| packet.saturating_sub(headers);
        Some(Room {
            mtu,
            overhead,
            packet,
            mss_v4: has(true).then(|| mss(40)),
            mss_v6: has(false).then(|| mss(60)),
        })
    }

    fn notes(&self, backend: &Backend) -> Vec<String> {
        let mut notes = Vec::new();
        let hop = self.site.next_hops.get(&self.address);
        match backend.mode {
            Mode::Local => notes.push(
                "a local backend is the balancer itself: nothing is to be set up; the service listens on the VIP, which is an address of this host".to_owned(),
            ),
            Mode::L2 if matches!(hop, Some(Ok(hop)) if !hop.on_link) => notes.push(
                "mode l2 needs the backend on a link of the balancer, and it is behind a router: use ipip or gue".to_owned(),
            ),
            Mode::Nat if matches!(hop, Some(Ok(hop)) if !hop.on_link) => notes.push(
                "the backend is behind a router: have the routers between bring what it sends to clients to this balancer; nothing on its host can".to_owned(),
            ),
            Mode::Nat => notes.push(format!(
                "all that the host sends from {} goes through the balancer, other services' answers too; to keep them apart, give the backend an address of its own",
                self.address
            )),
            Mode::Snat if matches!(hop, Some(Ok(hop)) if !hop.on_link) => notes.extend(
                self.site.sources.snat.towards(self.address).map(|source| format!(
                    "the backend is behind a router: have the routers between bring what it sends to {source} to this balancer; nothing on its host can"
                )),
            ),
            Mode::L2 | Mode::Snat => {}
            Mode::Ipip | Mode::Gue => match self.choice.receiver {
                Receiver::Decap => {}
                Receiver::Kernel => notes.push(
                    "the kernel's tunnel devices take tunnels from everybody: let the firewall drop those that are not from balancers".to_owned(),
                ),
            },
        }
        if matches!(hop, Some(Err(Unresolved::Local))) && backend.mode != Mode::Local {
            notes.push("the backend's address is the balancer's own: use mode local".to_owned());
        }
        notes
    }
}

/// The VIPs are addresses of the host, and nobody hears of it: ARP first, then the addresses.
fn vip_steps(service: &Service) -> Vec<Step> {
    let addresses = addresses(service);
    let mut steps = Vec::new();
    if addresses.iter().any(|vip| vip.is_ipv4()) {
        steps.extend(Step::silent_arp());
        steps.push(Step::ReversePath { device: None });
    }
    let vips = addresses
        .into_iter()
        .map(|addresses| Step::Vip { addresses });
    steps.extend(vips);
    steps
}

/// The addresses of a service's VIPs.
fn addresses(service: &Service) -> BTreeSet<Prefix> {
    service.vips.iter().map(|vip| vip.addresses).collect()
}

#[cfg(test)]
mod tests;
