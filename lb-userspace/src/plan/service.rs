//! One service in a plan: who serves, which table comes next, and the VIPs that point to it.

use std::{
    collections::{BTreeSet, btree_map::Entry},
    sync::Arc,
};

use lb_common::{backend::BackendId, table::Slot};

use super::{
    Serving, Shortage, Tables,
    planner::{Place, Planner},
    tables::{FULL, Members, Share, are_same},
    tracking::{Next, Rules, Scale, next_table},
};
use crate::{
    dataplane::{Region, ServiceId, Step, VipEntry},
    health::Target,
    model::{Algorithm, Backend, Mode, Protocol, QuicLb, Role, Service, Vip},
};

/// The thousandths of its share that a backend begins with whose share grows.
pub(super) const FIRST_SHARE: u32 = 50;

/// What is published of a service.
#[derive(Clone, Default)]
struct Published {
    table: Arc<[Slot]>,
    generation: u32,
    algorithm: Algorithm,
}

impl Planner<'_> {
    /// Plans one service, with all its backends.
    pub(super) fn service(&mut self, id: ServiceId, service: &Service, tables: &mut Tables) {
        let emergency = self.emergency(id, service);
        if let Some(emergency) = emergency {
            let name = service.name.clone();
            self.plan.emergencies.insert(name, emergency);
        }
        let published = self.published(id, service);
        let is_published = published.is_some();
        let published = published.unwrap_or_default();
        let owners = owners(&published.table, service);
        // When nobody has served before, nobody has a share to give up.
        let is_new = |number| !owners.is_empty() && !owners.contains(&number);
        let mut members = Members::of(service.algorithm, service.moves.tracking);
        let (mut serving, mut leaving) = (BTreeSet::new(), BTreeSet::new());
        let mut targets = Vec::new();
        for backend in service.backends.values() {
            // Who is being removed has no part in the table, nor in its size: slots move once, not again when it is gone.
            let index = backend.remove_at.is_none().then_some(members.len());
            let target = Target::of(service, backend.address);
            let place = self.backend(id, service, backend, &target, emergency);
            let share = match place {
                Place::Serves(number) => {
                    serving.insert(number);
                    targets.push((target.clone(), number, index));
                    Some(Share {
                        number,
                        weight: backend.weight.get(),
                        grown: self.grown(&target, service, is_new(number))
                            * self.scale(service, &target).percent
                            / Scale::WHOLE.percent,
                        has_state: backend.mode == Mode::Snat,
                    })
                }
                Place::Leaves(number, why) => {
                    leaving.insert(number);
                    targets.push((target.clone(), number, index));
                    self.plan.serving.insert(target, Serving::No(why));
                    None
                }
                Place::Out(why) => {
                    self.plan.serving.insert(target, Serving::No(why));
                    None
                }
            };
            if index.is_some() {
                members.push(backend, usual_weight(service, backend), share);
            }
        }
        let slots = service.table_slots.slots(members.len());
        let due = tables.table(id, slots, members);
        let rules = Rules {
            moves: service.moves,
            changes_algorithm: published.algorithm != service.algorithm,
            service: id,
            generation: published.generation,
            is_published,
            serving: &serving,
            leaving: &leaving,
            knowledge: self.input.world.knowledge,
        };
        let Next {
            table,
            mut moving,
            has_algorithm,
        } = next_table(&published.table, &due, &rules);
        let algorithm = if has_algorithm {
            service.algorithm
        } else {
            published.algorithm
        };
        if Arc::ptr_eq(&table, &due.table) {
            let counts = targets.into_iter().map(|(target, _, index)| {
                let slots = index.and_then(|index| due.counts.get(index).copied());
                (target, slots.unwrap_or_default())
            });
            self.say(counts);
        } else {
            self.say(counts(targets, &table));
        }
        let fitting = &self.vips.fitting;
        let vips: Vec<Vip> = service.vips.intersection(fitting).copied().collect();
        let region = if vips.is_empty() {
            None
        } else {
            self.region(service, &table)
        };
        if let Some(region) = region {
            self.publish(id, &vips, (region, algorithm), service);
        } else {
            // What has not begun to learn has not learnt either, however long it waits.
            let held: BTreeSet<u8> = published.table.iter().map(|slot| slot.batch()).collect();
            moving.batches.retain(|batch| held.contains(batch));
        }
        if moving.slots > 0 {
            self.plan.moves.insert(service.name.clone(), moving);
        }
    }

    /// What the VIPs of the service point to: the last that was published.
    fn published(&self, id: ServiceId, service: &Service) -> Option<Published> {
        let actual = self.input.actual;
        let entries = service.vips.iter().filter_map(|vip| actual.vips.get(vip));
        let entries = entries.filter(|entry| entry.service == id);
        let entry = entries.max_by_key(|entry| entry.generation)?;
        Some(Published {
            table: actual
                .tables
                .get(&entry.region)
                .cloned()
                .unwrap_or_default(),
            generation: entry.generation,
            algorithm: entry.algorithm,
        })
    }

    /// How much of its share a backend that serves has, in thousandths; `is_new` if it has had nothing yet.
    fn grown(&mut self, target: &Target, service: &Service, is_new: bool) -> u32 {
        if service.moves.slow_start.is_zero() || self.input.world.knowledge.is_complete {
            return FULL;
        }
        let known = self.input.world.knowledge.grown.get(target).copied();
        let begins_small = is_new && !self.input.world.knowledge.is_beginning;
        let grown = known.unwrap_or(if begins_small { FIRST_SHARE } else { FULL });
        if grown < FULL {
            self.plan.growing.insert(target.clone());
        }
        grown.clamp(1, FULL)
    }

    /// Says how many slots each of those has that serve or leave.
    fn say(&mut self, counts: impl Iterator<Item = (Target, u32)>) {
        for (target, slots) in counts {
            match self.plan.serving.entry(target.clone()) {
                Entry::Vacant(entry) => {
                    entry.insert(Serving::Slots(slots));
                }
                Entry::Occupied(_) => {
                    self.plan.leaving.insert(target, slots);
                }
            }
        }
    }

    /// Where the service's table is or will be; `None` if there is no room and VIPs stay as they are.
    fn region(&mut self, service: &Service, table: &Arc<[Slot]>) -> Option<Region> {
        let actual = self.input.actual;
        if table.is_empty() {
            return Some(Region::default());
        }
        let published = service.vips.iter().filter_map(|vip| actual.vips.get(vip));
        let holds = |region: &Region| {
            let held = actual.tables.get(region);
            held.is_some_and(|held| are_same(held, table))
        };
        if let Some(region) = published.map(|entry| entry.region).find(holds) {
            return Some(region);
        }
        let slots = u32::try_from(table.len()).unwrap_or(u32::MAX);
        let region = self.regions.take(slots, &mut self.write_tables);
        if let Some(region) = region {
            self.write_tables
                .push(Step::WriteTable(region, Arc::clone(table)));
        } else {
            self.plan.shortages.push(Shortage::Slots {
                service: service.name.to_string(),
                slots,
                capacity: self.input.capacity.slots,
            });
        }
        region
    }

    /// Publishes `vips` with the table at `region`, whose slots flows get in this way.
    fn publish(
        &mut self,
        id: ServiceId,
        vips: &[Vip],
        (region, algorithm): (Region, Algorithm),
        service: &Service,
    ) {
        let actual = self.input.actual;
        for vip in vips {
            let quic_lb = match vip.protocol {
                Protocol::Udp => service.quic_lb,
                Protocol::Tcp | Protocol::Sctp => QuicLb::default(),
            };
            let entry = VipEntry {
                region,
                generation: self.next,
                service: id,
                source_limit: service.source_limit,
                quic_lb,
                algorithm,
            };
            // What is there is as good if only its generation is another.
            let same = |before: &VipEntry| {
                let generation = before.generation;
                *before
                    == VipEntry {
                        generation,
                        ..entry
                    }
            };
            let has_address = actual.addresses.contains(&vip.addresses);
            if !actual.vips.get(vip).is_some_and(same) || !has_address {
                self.write_vips.push(Step::PutVip(*vip, entry));
            }
        }
    }
}

/// How many slots of `table` each of those has that serve or leave.
fn counts(
    targets: Vec<(Target, BackendId, Option<usize>)>,
    table: &[Slot],
) -> impl Iterator<Item = (Target, u32)> {
    // Numbers of one service lie close to each other, most of the time.
    let numbers = || targets.iter().map(|(_, number, _)| number.0);
    let first = numbers().min().unwrap_or_default();
    let last = numbers().max().unwrap_or_default();
    let mut counts = vec![0_u32; (last - first) as usize + 1];
    let place = move |number: BackendId| number.0.wrapping_sub(first) as usize;
    for slot in table {
        if let Some(count) = counts.get_mut(place(slot.backend())) {
            *count += 1;
        }
    }
    targets.into_iter().map(move |(target, number, _)| {
        let slots = counts.get(place(number)).copied();
        (target, slots.unwrap_or_default())
    })
}

/// The backends that have slots, if that is asked for: where shares grow.
fn owners(table: &[Slot], service: &Service) -> BTreeSet<BackendId> {
    if service.moves.slow_start.is_zero() {
        return BTreeSet::new();
    }
    table.iter().map(|slot| slot.backend()).collect()
}

/// The weight that a backend has on a day on which everybody is well: a fallback one then has none, unless there are no
/// others.
fn usual_weight(service: &Service, backend: &Backend) -> u32 {
    let is_ordinary = |it: &Backend| it.role == Role::Ordinary && it.remove_at.is_none();
    if is_ordinary(backend) || !service.backends.values().any(is_ordinary) {
        backend.weight.get()
    } else {
        0
    }
}
