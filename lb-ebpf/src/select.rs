//! Fourth stage: which backend a flow goes to. The flow table first, then the lookup table.

use lb_common::{
    backend::{Backend, BackendId, Mode},
    flow::{Flow, FlowKey, Reply},
    hash::{FlowHash, flow_hash},
    outcome::Outcome,
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
    /// It is not remembered, and this packet, the last of a TCP connection or SCTP association, does not begin one.
    pub const PASSING: Self = Self(2);
}

/// Chooses the backend for `packet`, which is for `vip`.
///
/// # Errors
/// [`Outcome::NoBackend`], [`Outcome::StaleTable`].
#[inline(always)]
pub fn select<F: Ip>(vip: &Vip, packet: &Packet<F>) -> Result<Choice, Outcome> {
    let hash = flow_hash::<F>(&packet.flow, maps::settings().hash_seed);
    if let Some(choice) = remembered::<F>(&packet.flow, hash) {
        return Ok(choice);
    }
    if vip.table_slots == 0 {
        return Err(Outcome::NoBackend);
    }
    let slot =
        maps::slot(vip.table_offset + slot_of(hash, vip.table_slots)).ok_or(Outcome::StaleTable)?;
    let id = slot.backend();
    let backend = active(id).ok_or(Outcome::StaleTable)?;
    Ok(Choice {
        id,
        backend,
        hash,
        standing: if packet.begins_flow {
            Standing::NEW
        } else {
            Standing::PASSING
        },
    })
}

/// The backend that the flow went to before, if it still takes its packets.
#[inline(always)]
fn remembered<F: Ip>(flow: &FlowKey<F::Address>, hash: FlowHash) -> Option<Choice> {
    let known = maps::flow::<F>(flow)?;
    let id = BackendId(known.backend);
    let backend = active(id)?;
    (backend.generation == known.generation).then_some(Choice {
        id,
        backend,
        hash,
        standing: Standing::KNOWN,
    })
}

/// The entry of a backend that is in use.
#[inline(always)]
fn active(id: BackendId) -> Option<&'static Backend> {
    maps::backend(id)
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
