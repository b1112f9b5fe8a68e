//! Fourth stage: which backend a packet goes to. The one that its QUIC connection id names, else the flow table's, else
//! the lookup table's.

use lb_common::{
    backend::{Backend, BackendId, Mode},
    be::Be16,
    flow::{Flow, FlowKey},
    hash::flow_hash,
    outcome::Outcome,
    quic::Server,
    table::slot_of,
    vip::Vip,
};

use crate::{
    ip::Ip,
    maps,
    packet::{Choice, Packet, Standing},
};

/// Chooses the backend for `packet`, which is for `vip` and whose connection id names `named`.
///
/// # Errors
/// [`Outcome::NoBackend`], [`Outcome::StaleTable`].
#[inline(always)]
pub fn select<F: Ip>(vip: &Vip, packet: &Packet<F>, named: Server) -> Result<Choice, Outcome> {
    let hash = flow_hash::<F>(&packet.flow, maps::settings::hash_seed());
    let known = maps::flow::<F>(&packet.flow).unwrap_or_default();
    let remembered = taking(known.backend, known.generation);
    let choice = |id, backend, standing| Choice {
        id: BackendId(id),
        backend,
        hash,
        standing,
        source_port: 0,
    };
    // A flow may carry connections to several servers; what is remembered of it is for packets without an id: it
    // stays as it is, for anybody can send an id of any server. In mode `snat` a flow has a source port for one server
    // alone, and keeps to it.
    if let Some(backend) = taking(named.backend, named.generation)
        && (backend.mode != Mode::SNAT || remembered.is_none())
    {
        let standing = match remembered {
            Some(_) => Standing::KNOWN,
            None => Standing::NEW,
        };
        return Ok(choice(named.backend, backend, standing));
    }
    if let Some(backend) = remembered {
        return Ok(Choice {
            source_port: u64::from(known.source_port.raw()),
            ..choice(known.backend, backend, Standing::KNOWN)
        });
    }
    if vip.table_slots == 0 {
        return Err(Outcome::NoBackend);
    }
    let slot =
        maps::slot(vip.table_offset + slot_of(hash, vip.table_slots)).ok_or(Outcome::StaleTable)?;
    let BackendId(id) = slot.backend();
    let backend = active(id).ok_or(Outcome::StaleTable)?;
    let standing = if packet.signal.begins_flow() {
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
