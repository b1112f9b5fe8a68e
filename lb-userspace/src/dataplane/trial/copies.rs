//! What of the live maps concerns a packet, and how it gets into the maps of a trial.

use anyhow::{Context, Result};
use aya::{
    Ebpf, Pod,
    maps::{Array, HashMap, MapData, MapError, PerCpuArray},
};
use lb_common::{
    backend::{Backend, BackendId, Mode},
    budget::Budget,
    flow::Flow,
    fragment::FragmentPorts,
    load::Load,
    names,
};

use super::{Packet, Remembered, Subject, Tuple, open, side::Side};
use crate::dataplane::source::{Pinned, take};

/// Live entries that concern a packet.
pub(super) struct Concern<S: Side> {
    seed: u64,
    /// The packet's flow.
    tuple: Option<Tuple>,
    /// What is remembered of it by one packet, and by several.
    fresh: Option<(S::Key, Flow)>,
    flow: Option<(S::Key, Flow)>,
    /// By the packet's own 5-tuple, and by what its backend answers.
    replies: Vec<(S::Key, S::Reply)>,
    /// The packet that a client must see, if the packet is a reply.
    reply: Option<Tuple>,
    fragment: Option<(S::Fragment, FragmentPorts)>,
    sources: Vec<(S::Source, Budget)>,
}

impl<S: Side> Concern<S> {
    /// Looks in the live maps.
    pub(super) fn of(packet: &Packet, live: &mut Pinned, subject: &Subject) -> Result<Self> {
        let seed = subject.settings.hash_seed;
        let mut concern = Self {
            seed,
            tuple: packet.flow,
            fresh: None,
            flow: None,
            replies: Vec::new(),
            reply: None,
            fragment: None,
            sources: Vec::new(),
        };
        if let (Some(addresses), Some(fragment)) = (packet.addresses, packet.fragment)
            && let Some(key) = S::fragment(addresses, fragment)
            && let Some(ports) = entry::<_, FragmentPorts>(live, S::FRAGMENTS, &key)?
        {
            concern.fragment = Some((key, ports));
            let [source, destination] = addresses;
            concern.tuple = Some(Tuple {
                source,
                destination,
                ports: [ports.source_port.get(), ports.destination_port.get()],
                protocol: u8::try_from(ports.protocol).unwrap_or_default(),
            });
        }
        if let Some([source, _]) = packet.addresses {
            for service in &subject.limited {
                if let Some(key) = S::source(*service, source)
                    && let Some(budget) = entry(live, S::SOURCES, &key)?
                {
                    concern.sources.push((key, budget));
                }
            }
        }
        concern.look_up_flow(live)?;
        Ok(concern)
    }

    fn look_up_flow(&mut self, live: &mut Pinned) -> Result<()> {
        let Some(tuple) = self.tuple else {
            return Ok(());
        };
        let Some(key) = S::key(&tuple) else {
            return Ok(());
        };
        if let Some(reply) = entry::<_, S::Reply>(live, S::REPLIES, &key)? {
            self.reply = Some(S::to_client(&reply));
            self.replies.push((key, reply));
        }
        self.fresh = entry(live, S::FRESH, &key)?.map(|flow| (key, flow));
        self.flow = entry(live, S::FLOWS, &key)?.map(|flow| (key, flow));
        let backends: Array<MapData, Backend> = take(live, names::BACKENDS)?;
        for (_, flow) in [self.fresh, self.flow].into_iter().flatten() {
            let backend = backends.get(&flow.backend, 0);
            let backend = backend.context("read the flow's backend")?;
            if let Some(back) = S::answer(&tuple, &backend, self.seed, flow.source_port.get())
                && let Some(reply) = entry(live, S::REPLIES, &back)?
            {
                self.replies.push((back, reply));
            }
        }
        Ok(())
    }

    /// What is remembered of the flow.
    pub(super) fn known(&self) -> Option<Remembered> {
        let (_, flow) = self.flow.or(self.fresh)?;
        Some(remembered(flow))
    }

    /// The packet that a client must see, if this one is a reply.
    pub(super) const fn reply(&self) -> Option<Tuple> {
        self.reply
    }

    /// The packet's flow.
    pub(super) const fn tuple(&self) -> Option<Tuple> {
        self.tuple
    }

    /// A live reply stands in the way of what the trial has taken.
    pub(super) fn add_reply(&mut self, reply: (S::Key, S::Reply)) {
        self.replies.push(reply);
    }
}

const fn remembered(flow: Flow) -> Remembered {
    Remembered {
        backend: BackendId(flow.backend),
        generation: flow.generation,
        source_port: flow.source_port.get(),
    }
}

/// The maps of a trial, beside the live ones.
pub(super) struct Copies<'a> {
    pub(super) ebpf: &'a mut Ebpf,
    pub(super) live: &'a mut Pinned,
}

impl Copies<'_> {
    /// Makes the maps hold what concerns the packet, and nothing else.
    pub(super) fn begin<S: Side>(&mut self, concern: &Concern<S>) -> Result<()> {
        self.fill(S::FRESH, concern.fresh)?;
        self.fill(S::FLOWS, concern.flow)?;
        self.fill(S::REPLIES, concern.replies.iter().copied())?;
        self.fill(S::FRAGMENTS, concern.fragment)?;
        self.fill(S::SOURCES, concern.sources.iter().copied())?;
        self.copy_own::<S::Translation>(S::TRANSLATIONS)?;
        self.copy_own::<Budget>(names::ERROR_BUDGET)
    }

    /// What these backends have to bear.
    pub(super) fn copy_loads(&mut self, backends: &[BackendId]) -> Result<()> {
        let live: Array<MapData, Load> = take(self.live, names::LOADS)?;
        let mut own: Array<&mut MapData, Load> = open(self.ebpf, names::LOADS)?;
        for id in backends {
            let load = live.get(&id.0, 0).context("read a load")?;
            own.set(id.0, load, 0).context("copy a load")?;
        }
        Ok(())
    }

    /// What the program remembers of the packet's flow.
    pub(super) fn remembered<S: Side>(
        &mut self,
        concern: &Concern<S>,
    ) -> Result<Option<Remembered>> {
        let Some(key) = concern.tuple.as_ref().and_then(S::key) else {
            return Ok(None);
        };
        for name in [S::FLOWS, S::FRESH] {
            let flows: HashMap<&mut MapData, S::Key, Flow> = open(self.ebpf, name)?;
            if let Some(flow) = found(flows.get(&key, 0))? {
                return Ok(Some(remembered(flow)));
            }
        }
        Ok(None)
    }

    /// The live entry that holds the port, if the trial has taken one in mode `snat` that it did not see there.
    pub(super) fn taken_elsewhere<S: Side>(
        &mut self,
        concern: &Concern<S>,
        now: Option<Remembered>,
    ) -> Result<Option<(S::Key, S::Reply)>> {
        let (Some(tuple), Some(now)) = (concern.tuple, now) else {
            return Ok(None);
        };
        let backends: Array<&mut MapData, Backend> = open(self.ebpf, names::BACKENDS)?;
        let backend = backends.get(&now.backend.0, 0)?;
        let back = S::answer(&tuple, &backend, concern.seed, now.source_port);
        let Some(back) = back.filter(|_| backend.mode == Mode::SNAT) else {
            return Ok(None);
        };
        if concern.replies.iter().any(|(key, _)| *key == back) {
            return Ok(None);
        }
        Ok(entry(self.live, S::REPLIES, &back)?.map(|reply| (back, reply)))
    }

    /// Makes the map `name` hold these entries and no others.
    fn fill<K: Pod, V: Pod>(
        &mut self,
        name: &str,
        entries: impl IntoIterator<Item = (K, V)>,
    ) -> Result<()> {
        let mut map: HashMap<&mut MapData, K, V> = open(self.ebpf, name)?;
        let before: Vec<K> = map.keys().collect::<Result<_, _>>()?;
        for key in before {
            map.remove(&key)?;
        }
        for (key, value) in entries {
            map.insert(key, value, 0)
                .with_context(|| format!("copy an entry of {name}"))?;
        }
        Ok(())
    }

    /// Copies what each CPU has of its own in the map `name`.
    fn copy_own<V: Pod>(&mut self, name: &str) -> Result<()> {
        let live: PerCpuArray<MapData, V> = take(self.live, name)?;
        let values = live.get(&0, 0).with_context(|| format!("read {name}"))?;
        let mut own: PerCpuArray<&mut MapData, V> = open(self.ebpf, name)?;
        own.set(0, values, 0)
            .with_context(|| format!("copy {name}"))
    }
}

/// The live entry of `key` in the map `name`, if there is one.
fn entry<K: Pod, V: Pod>(live: &mut Pinned, name: &str, key: &K) -> Result<Option<V>> {
    let map: HashMap<MapData, K, V> = take(live, name)?;
    found(map.get(key, 0)).with_context(|| format!("read {name}"))
}

fn found<V>(read: Result<V, MapError>) -> Result<Option<V>> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(MapError::KeyNotFound) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
