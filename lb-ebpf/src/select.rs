//! Fourth stage: which backend a packet goes to. The one that its QUIC connection id names, else the one that its flow is
//! remembered to be with, else the lookup table's, at the slot that the service's algorithm chooses.

use lb_common::{
    backend::{Backend, BackendId, Mode},
    be::Be16,
    flow::{Flow, FlowKey},
    hash::{FlowHash, flow_hash, source_hash},
    outcome::Outcome,
    progress::{Progress, Signal},
    quic::Server,
    settings::Settings,
    table::{Slot, slot_of},
    vip::Vip,
};

use crate::{
    frame::without_history,
    ip::Ip,
    maps,
    packet::{Choice, Packet, Standing},
};

/// Chooses the backend for `packet`, which is for `vip` and whose connection id names `named`.
///
/// Flows are looked up only if they may have gone elsewhere than the lookup table says now: if their slot is tracked, or
/// if a QUIC connection id, or its absence, disagrees with it. Where slots are drawn when a flow begins, the flow is looked
/// up first: only new ones draw.
///
/// # Errors
/// [`Outcome::NoBackend`], [`Outcome::StaleTable`].
#[inline(always)]
pub fn select<F: Ip>(vip: &Vip, packet: &Packet<F>, named: Server) -> Result<Choice, Outcome> {
    let hash = flow_hash::<F>(&packet.flow, maps::settings::hash_seed());
    let choice = choose(vip, packet, named, hash)?;
    // All that comes after is verified once, not once for each way to a backend.
    Ok(Choice {
        standing: choice.standing.without_history(hash),
        client: without_history::<0xffff>(choice.client, hash.0),
        source_port: without_history::<0xffff>(choice.source_port, hash.0),
        ..choice
    })
}

#[inline(always)]
fn choose<F: Ip>(
    vip: &Vip,
    packet: &Packet<F>,
    named: Server,
    hash: FlowHash,
) -> Result<Choice, Outcome> {
    let draws = has_algorithms() && vip.draws_slots();
    let slot = if draws {
        UNKNOWN
    } else {
        slot(vip, place(vip, packet, hash))?
    };
    let is_elsewhere = vip.flags & Vip::QUIC != 0 && named.backend != slot.backend().0;
    let memory = if slot.is_tracked() || is_elsewhere {
        memory(packet)
    } else {
        Memory::NONE
    };
    let choice = |id, backend| Choice {
        id: BackendId(id),
        backend,
        hash,
        standing: memory.standing,
        client: u64::from(memory.client.0) | memory.counted,
        source_port: 0,
    };
    // A flow may carry connections to several servers; what is remembered of it is for packets without an id: it
    // stays as it is, for anybody can send an id of any server. In mode `snat` a flow has a source port for one server
    // alone, and keeps to it.
    if let Some(backend) = taking(named.backend, named.generation)
        && (backend.mode != Mode::SNAT || !memory.standing.is_known())
    {
        let standing = match memory.standing {
            Standing::FRESH => Standing::KNOWN,
            standing => standing,
        };
        return Ok(Choice {
            standing,
            ..choice(named.backend, backend)
        });
    }
    if memory.standing.is_known()
        && let Some(backend) = taking(memory.flow.backend, memory.flow.generation)
    {
        return Ok(Choice {
            source_port: u64::from(memory.flow.source_port.raw()),
            ..choice(memory.flow.backend, backend)
        });
    }
    let slot = if draws {
        drawn(vip, packet, hash)?
    } else {
        slot
    };
    let BackendId(id) = slot.backend();
    if id == 0 {
        return Err(Outcome::NoBackend);
    }
    let backend = active(id).ok_or(Outcome::StaleTable)?;
    Ok(choice(id, backend))
}

/// A slot that is nobody's, and tracked: whoever was there may have flows yet.
const UNKNOWN: Slot = Slot::new(BackendId(0)).tracked();

/// Whether any service chooses its slots otherwise than by the hash of 5-tuples.
#[inline(always)]
fn has_algorithms() -> bool {
    maps::settings::has_feature(Settings::ALGORITHMS)
}

/// The slot at `place` of the VIP's table; without a table one that is nobody's.
#[inline(always)]
fn slot(vip: &Vip, place: u32) -> Result<Slot, Outcome> {
    if vip.table_slots == 0 {
        return Ok(UNKNOWN);
    }
    maps::slot(vip.table_offset + place).ok_or(Outcome::StaleTable)
}

/// The place in the VIP's table that the packet's flow, whose hash is `hash`, or its source falls on.
#[inline(always)]
fn place<F: Ip>(vip: &Vip, packet: &Packet<F>, hash: FlowHash) -> u32 {
    let hash = if has_algorithms() && vip.flags & Vip::BY_SOURCE != 0 {
        source_hash::<F>(&packet.flow.source, maps::settings::hash_seed())
    } else {
        hash
    };
    slot_of(hash, vip.table_slots)
}

/// Whether any service goes by the number of flows that backends have.
#[inline(always)]
fn has_loads() -> bool {
    maps::settings::has_feature(Settings::LOADS)
}

/// A slot of the VIP's table for a packet whose flow is not known: the one whose turn it is, that of the backend with less
/// to bear, or any. What begins no flow leaves the turn to the next that does.
#[inline(always)]
fn drawn<F: Ip>(vip: &Vip, packet: &Packet<F>, hash: FlowHash) -> Result<Slot, Outcome> {
    let place = if vip.flags & Vip::ROUND_ROBIN != 0 {
        let begins = packet.error == 0 && packet.signal.begins_flow();
        maps::turn(vip.service, vip.table_slots, begins)
    } else if has_loads() && vip.flags & Vip::LEAST_CONNECTIONS != 0 {
        let first = slot(vip, slot_of(hash, vip.table_slots))?;
        let second = slot(vip, slot_of(hash.second(), vip.table_slots))?;
        let [one, other] = [first, second].map(|slot| maps::load(slot.backend().0));
        return Ok(if other.is_below(&one) { second } else { first });
    } else {
        let high = u64::from(maps::chance()) << 32;
        slot_of(FlowHash(high), vip.table_slots)
    };
    slot(vip, place)
}

/// What is remembered of a flow, or is to be.
struct Memory {
    flow: Flow,
    standing: Standing,
    /// How far the client has come with this packet.
    client: Progress,
    /// [`Choice::COUNTED`], if it is counted with its backend.
    counted: u64,
}

impl Memory {
    const NONE: Self = Self {
        flow: Flow {
            backend: 0,
            generation: 0,
            source_port: Be16::new(0),
            client: Progress::UNTRACKED,
            last_seen: 0,
        },
        standing: Standing::UNTRACKED,
        client: Progress::UNTRACKED,
        counted: 0,
    };
}

/// What is remembered of the packet's flow; what has gone on is marked as seen.
#[inline(always)]
fn memory<F: Ip>(packet: &Packet<F>) -> Memory {
    let known = maps::flow::<F>(&packet.flow);
    if let Some(known) = known {
        let flow = known.flow();
        let backend = taking(flow.backend, flow.generation);
        if backend.is_some_and(|it| it.mode == Mode::SNAT || !gives_way(&flow, packet)) {
            let client = known.client_after(packet.signal);
            if packet.error == 0 {
                known.client_sent(client, maps::now());
            }
            return Memory {
                flow,
                standing: Standing::KNOWN,
                client,
                counted: is_counted(&flow),
            };
        }
    }
    if let Some(fresh) = maps::fresh_flow::<F>(&packet.flow) {
        let flow = fresh.flow();
        if taking(flow.backend, flow.generation).is_some() {
            return Memory {
                flow,
                standing: Standing::FRESH,
                client: fresh.client_after(packet.signal),
                counted: is_counted(&flow),
            };
        }
    }
    let standing = if !packet.signal.begins_flow() {
        Standing::UNTRACKED
    } else if known.is_some() {
        Standing::MOVED
    } else {
        Standing::NEW
    };
    Memory {
        standing,
        client: Progress::SILENT.after(packet.signal),
        ..Memory::NONE
    }
}

/// Whether the packet begins another connection, of the ends that the flow had: it goes where new ones go. In mode `snat`
/// it goes on with the port and the backend that the last one had.
#[inline(always)]
fn gives_way<F: Ip>(flow: &Flow, packet: &Packet<F>) -> bool {
    packet.signal == Signal::SYN
        && packet.error == 0
        && flow.gives_way(maps::now(), maps::settings::reuse_after())
}

/// Whether a flow is counted with its backend: until its client ends it.
#[inline(always)]
const fn is_counted(flow: &Flow) -> u64 {
    if flow.client.ends() {
        0
    } else {
        Choice::COUNTED
    }
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

/// Counts a flow that begins or ends with its backend, and remembers one that is to be, or that in mode `snat` has another
/// port than before towards its backend: `source_port`.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "in a word's low half")]
pub fn remember<F: Ip>(flow: &FlowKey<F::Address>, choice: &Choice, source_port: Be16) {
    let source_port = match choice.backend.mode {
        Mode::SNAT => source_port,
        _ => Be16::default(),
    };
    let has_moved = u64::from(source_port.raw()) != choice.source_port;
    let standing = choice.standing;
    if standing == Standing::UNTRACKED {
        return;
    }
    let client = Progress((choice.client & !Choice::COUNTED) as u16);
    if has_loads() {
        let was_counted = choice.client & Choice::COUNTED != 0;
        let flows = i64::from(!client.ends()) - i64::from(was_counted);
        if flows != 0 {
            maps::add_load(choice.id.0, flows);
        }
    }
    if standing == Standing::KNOWN && !has_moved {
        return;
    }
    let value = Flow {
        backend: choice.id.0,
        generation: choice.backend.generation,
        source_port,
        client,
        last_seen: maps::now(),
    };
    if standing == Standing::NEW {
        maps::remember_fresh_flow::<F>(flow, &value);
    } else if standing == Standing::FRESH {
        maps::confirm_flow::<F>(flow, &value);
    } else {
        maps::remember_flow::<F>(flow, &value);
    }
}
