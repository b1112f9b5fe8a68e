//! Fourth stage: which backend a flow goes to. The flow table first, then the lookup table.

use lb_common::{
    backend::{Backend, BackendId, Mode},
    family::Family,
    flow::{Flow, FlowKey, Reply},
    hash::flow_hash,
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
    /// Flows that begin with this packet: 1 if it is to be remembered, else 0. A word, not a `bool`: the
    /// niche of `Result<Choice, _>` then lies in the reference, and no register holds now a pointer,
    /// now an error (which the verifier refuses).
    pub new_flows: u64,
}

/// Chooses the backend for `packet`, which is for `vip`, and remembers the choice.
///
/// # Errors
/// [`Outcome::NoBackend`], [`Outcome::StaleTable`].
#[inline(always)]
pub fn select<F: Ip>(vip: &Vip, packet: &Packet<F>) -> Result<Choice, Outcome> {
    if let Some(choice) = remembered::<F>(&packet.flow) {
        return Ok(choice);
    }
    if vip.table_slots == 0 {
        return Err(Outcome::NoBackend);
    }
    let hash = flow_hash::<F>(&packet.flow, maps::settings().hash_seed);
    let slot =
        maps::slot(vip.table_offset + slot_of(hash, vip.table_slots)).ok_or(Outcome::StaleTable)?;
    let id = slot.backend();
    let backend = active(id).ok_or(Outcome::StaleTable)?;
    Ok(Choice {
        id,
        backend,
        new_flows: u64::from(packet.begins_flow),
    })
}

/// The backend that the flow went to before, if it still takes its packets.
#[inline(always)]
fn remembered<F: Ip>(flow: &FlowKey<F::Address>) -> Option<Choice> {
    let known = maps::flow::<F>(flow)?;
    let id = BackendId(known.backend);
    let backend = active(id)?;
    (backend.generation == known.generation).then_some(Choice {
        id,
        backend,
        new_flows: 0,
    })
}

/// The entry of a backend that is in use.
#[inline(always)]
fn active(id: BackendId) -> Option<&'static Backend> {
    maps::backend(id)
        .filter(|backend| backend.generation != 0 && backend.flags & Backend::INACTIVE == 0)
}

/// Remembers a new flow; for a NAT backend also what its replies must be rewritten to.
#[inline(always)]
pub fn remember<F: Ip>(flow: &FlowKey<F::Address>, choice: &Choice) {
    let Choice { id, backend, .. } = choice;
    maps::remember_flow::<F>(
        flow,
        &Flow {
            backend: id.0,
            generation: backend.generation,
        },
    );
    if backend.mode == Mode::NAT {
        let reply = FlowKey {
            source: F::backend_address(backend),
            destination: flow.source,
            source_port: backend.port,
            destination_port: flow.source_port,
            protocol: flow.protocol,
        };
        maps::remember_reply::<F>(&reply, &seen_by_client::<F>(flow));
    }
}

/// The VIP end of a request's flow.
#[inline(always)]
fn seen_by_client<F: Family>(flow: &FlowKey<F::Address>) -> Reply<F::Address> {
    Reply {
        address: flow.destination,
        port: flow.destination_port,
        reserved: 0,
    }
}
