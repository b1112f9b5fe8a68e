//! Fourth stage: which backend a packet goes to. The one that its QUIC connection id names, else the flow table's, else
//! the lookup table's.

use lb_common::{
    backend::{Backend, BackendId, Mode},
    flow::{Flow, FlowKey, Reply},
    hash::{FlowHash, flow_hash},
    outcome::Outcome,
    quic::Server,
    table::slot_of,
    vip::Vip,
};

use crate::{ip::Ip, maps, packet::Packet};

/// The backend chosen.
pub struct Choice {
    /// Its number.
    pub id: BackendId,
    /// Its entry.
    pub backend: &'static Backend,
    /// The flow's hash, by which outer headers vary.
    pub hash: FlowHash,
    /// What the flow table has to do with it.
    pub standing: Standing,
}

/// What is remembered of a flow. A word, not an enum: the niche of `Result<Choice, _>` then lies in the
/// reference, and no register holds now a pointer, now an error (which the verifier refuses).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Standing(u64);

impl Standing {
    /// It was remembered before.
    pub const KNOWN: Self = Self(0);
    /// It begins with this packet and is to be remembered.
    pub const NEW: Self = Self(1);
    /// It is not remembered, and this packet, a TCP RST or FIN, does not begin one.
    pub const PASSING: Self = Self(2);
}

/// Chooses the backend for `packet`, which is for `vip` and whose connection id names `named`.
///
/// # Errors
/// [`Outcome::NoBackend`], [`Outcome::StaleTable`].
#[inline(always)]
pub fn select<F: Ip>(vip: &Vip, packet: &Packet<F>, named: Server) -> Result<Choice, Outcome> {
    let hash = flow_hash::<F>(&packet.flow, maps::settings().hash_seed);
    let known = maps::flow::<F>(&packet.flow).unwrap_or_default();
    let remembered = taking(known.backend, known.generation);
    let choice = |id, backend, standing| Choice {
        id: BackendId(id),
        backend,
        hash,
        standing,
    };
    // A flow may carry connections to several servers; what is remembered of it is for packets without an id: it
    // stays as it is, for anybody can send an id of any server.
    if let Some(backend) = taking(named.backend, named.generation) {
        let standing = match remembered {
            Some(_) => Standing::KNOWN,
            None => Standing::NEW,
        };
        return Ok(choice(named.backend, backend, standing));
    }
    if let Some(backend) = remembered {
        return Ok(choice(known.backend, backend, Standing::KNOWN));
    }
    if vip.table_slots == 0 {
        return Err(Outcome::NoBackend);
    }
    let slot =
        maps::slot(vip.table_offset + slot_of(hash, vip.table_slots)).ok_or(Outcome::StaleTable)?;
    let BackendId(id) = slot.backend();
    let backend = active(id).ok_or(Outcome::StaleTable)?;
    let standing = if packet.begins_flow {
        Standing::NEW
    } else {
        Standing::PASSING
    };
    Ok(choice(id, backend, standing))
}

/// The entry of the backend `id`, if it still takes packets and is the one that had the number in `generation`.
/// Number 0 is nobody's.
#[inline(always)]
fn taking(id: u32, generation: u32) -> Option<&'static Backend> {
    if id == 0 {
        return None;
    }
    active(id).filter(|backend| backend.generation == generation)
}

/// The entry of a backend that is in use.
#[inline(always)]
fn active(id: u32) -> Option<&'static Backend> {
    maps::backend(BackendId(id))
        .filter(|backend| backend.generation != 0 && backend.flags & Backend::INACTIVE == 0)
}

/// Remembers a new flow, and for a NAT backend what its replies must be rewritten to.
///
/// The two stand in two tables, and the one may have been forgotten before the other: for a NAT backend the
/// second is looked up with every packet, which also keeps it among the recently used.
#[inline(always)]
pub fn remember<F: Ip>(flow: &FlowKey<F::Address>, choice: &Choice) {
    let Choice {
        id,
        backend,
        standing,
        ..
    } = choice;
    if *standing == Standing::NEW {
        let value = Flow {
            backend: id.0,
            generation: backend.generation,
        };
        maps::remember_flow::<F>(flow, &value);
    }
    if backend.mode == Mode::NAT && *standing != Standing::PASSING {
        let key = FlowKey {
            source: F::backend_address(backend),
            destination: flow.source,
            source_port: backend.port,
            destination_port: flow.source_port,
            protocol: flow.protocol,
        };
        let seen_by_client = Reply {
            address: flow.destination,
            port: flow.destination_port,
            reserved: 0,
        };
        if *standing == Standing::NEW || maps::reply::<F>(&key).is_none() {
            maps::remember_reply::<F>(&key, &seen_by_client);
        }
    }
}
