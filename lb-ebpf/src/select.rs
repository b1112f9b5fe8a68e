//! Fourth stage: which backend a flow goes to. The flow table first, then the lookup table.

use lb_common::{
    backend::{Backend, BackendId, Mode},
    be::Be16,
    flow::{Flow, FlowKey},
    hash::{FlowHash, flow_hash},
    outcome::Outcome,
    table::slot_of,
    vip::Vip,
};

use crate::{
    ip::Ip,
    maps,
    packet::{Choice, Packet, Standing},
};

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
        standing: if packet.signal.begins_flow() {
            Standing::NEW
        } else {
            Standing::PASSING
        },
        source_port: 0,
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
        source_port: u64::from(known.source_port.raw()),
    })
}

/// The entry of a backend that is in use.
#[inline(always)]
fn active(id: BackendId) -> Option<&'static Backend> {
    maps::backend(id)
        .filter(|backend| backend.generation != 0 && backend.flags & Backend::INACTIVE == 0)
}

/// Remembers a flow that is new, or that in mode `snat` has another port than before towards its backend: `source_port`.
#[inline(always)]
pub fn remember<F: Ip>(flow: &FlowKey<F::Address>, choice: &Choice, source_port: Be16) {
    let source_port = match choice.backend.mode {
        Mode::SNAT => source_port,
        _ => Be16::default(),
    };
    let has_moved = u64::from(source_port.raw()) != choice.source_port;
    if choice.standing == Standing::NEW || has_moved {
        let value = Flow {
            backend: choice.id.0,
            generation: choice.backend.generation,
            source_port,
            reserved: 0,
        };
        maps::remember_flow::<F>(flow, &value);
    }
}
