//! What a daemon has in the kernel, read from the pinned maps without its help.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use aya::{
    Pod,
    maps::{Array, HashMap, Map, MapData, MapError},
};
use lb_common::{
    backend::Backend,
    family::{Address4, Address6, Family, V4, V6},
    flow::{Flow, FlowKey, Reply},
    load::Load,
    names,
    placement::{self, Bucket, Extent, Place},
};

use crate::bpffs::Bpffs;

/// The maps of one instance, as they are now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Where the maps are pinned, from the root of the file system.
    pub directory: PathBuf,
    /// The kernel's number of each map, by name.
    pub maps: BTreeMap<&'static str, u32>,
    /// VIPs of one address: address, port, IP protocol number.
    pub vips: BTreeSet<(IpAddr, u16, u8)>,
    /// Backends that take packets, by address: where those go.
    pub backends: BTreeMap<SocketAddr, BTreeSet<Hop>>,
}

/// The interface that frames leave by, and the MAC address that they go to.
pub type Hop = (u32, [u8; 6]);

impl Published {
    /// Reads what is pinned in `bpffs`.
    ///
    /// # Panics
    /// If the maps of not exactly one version are pinned there, or cannot be read.
    #[must_use]
    pub fn of(bpffs: &Bpffs) -> Self {
        let directory = the_directory(bpffs.path());
        let mut published = Self {
            maps: names::MAPS
                .map(|name| (name, number(&directory, name)))
                .into(),
            vips: BTreeSet::new(),
            backends: BTreeMap::new(),
            directory: directory
                .strip_prefix(bpffs.path())
                .expect("a path below")
                .to_owned(),
        };
        published.read_vips::<V4>(&directory, [names::VIP_BUCKETS_V4, names::VIPS_V4]);
        published.read_vips::<V6>(&directory, [names::VIP_BUCKETS_V6, names::VIPS_V6]);
        published.read_backends(&directory);
        published
    }

    /// Where packets to a backend go, if it takes any and there is one way.
    #[must_use]
    pub fn hop(&self, backend: SocketAddr) -> Option<Hop> {
        let hops = self.backends.get(&backend)?;
        match hops.first() {
            Some(one) if hops.len() == 1 => Some(*one),
            _ => None,
        }
    }

    /// How many flows backends have, as far as that is counted, by address.
    #[must_use]
    pub fn loads(bpffs: &Bpffs) -> BTreeMap<SocketAddr, i64> {
        let directory = the_directory(bpffs.path());
        let loads: Array<MapData, Load> = open(&directory, names::LOADS);
        let counted = weighed(&directory).into_iter().map(|(id, address)| {
            let load = loads.get(&id, 0).expect("a load");
            (address, load.flows)
        });
        counted.collect()
    }

    /// Has the program believe that all those backends have so many flows.
    pub fn forge_loads(bpffs: &Bpffs, flows: i64) {
        let directory = the_directory(bpffs.path());
        let mut loads: Array<MapData, Load> = open(&directory, names::LOADS);
        for (id, _) in weighed(&directory) {
            let load = loads.get(&id, 0).expect("a load");
            let forged = Load { flows, ..load };
            loads.set(id, forged, 0).expect("writing a load");
        }
    }

    /// How many flows the program remembers.
    #[must_use]
    pub fn flows(bpffs: &Bpffs) -> usize {
        let directory = the_directory(bpffs.path());
        count::<Address4, Flow>(&directory, names::FRESH_V4)
            + count::<Address6, Flow>(&directory, names::FRESH_V6)
            + count::<Address4, Flow>(&directory, names::FLOWS_V4)
            + count::<Address6, Flow>(&directory, names::FLOWS_V6)
    }

    /// How many flows and replies the program remembers.
    #[must_use]
    pub fn remembered(bpffs: &Bpffs) -> usize {
        let directory = the_directory(bpffs.path());
        Self::flows(bpffs)
            + count::<Address4, Reply<Address4>>(&directory, names::REPLIES_V4)
            + count::<Address6, Reply<Address6>>(&directory, names::REPLIES_V6)
    }

    fn read_vips<F: Family>(&mut self, directory: &Path, [buckets, places]: [&str; 2])
    where
        Place<F>: Pod,
    {
        let buckets: Array<MapData, Bucket> = open(directory, buckets);
        let places: Array<MapData, Place<F>> = open(directory, places);
        let extent = Extent::of(buckets.len());
        let read = || -> Vec<Bucket> { buckets.iter().map(|it| it.expect("a bucket")).collect() };
        // What is published meanwhile would be found neither where it stood nor where it stands.
        let (tickets, standing) = loop {
            let before = read();
            let standing: Vec<Place<F>> = places.iter().map(|it| it.expect("a place")).collect();
            if read() == before {
                break (before, standing);
            }
        };
        for (number, place) in (0..).zip(standing) {
            let Place {
                key, ticket, vip, ..
            } = place;
            let hash = placement::hash::<F>(&key);
            let published = tickets.get(extent.bucket(hash) as usize);
            let is_found = published == Some(&ticket) && extent.place(hash, ticket) == number;
            if ticket != 0 && is_found && vip.service != 0 && key.prefix == 0 {
                let address = key.address.into();
                self.vips.insert((address, key.port.get(), key.protocol));
            }
        }
    }

    fn read_backends(&mut self, directory: &Path) {
        let backends: Array<MapData, Backend> = open(directory, names::BACKENDS);
        for backend in backends.iter() {
            let backend = backend.expect("a backend");
            if backend.generation != 0 && backend.flags & Backend::INACTIVE == 0 {
                let address = address_of(&backend);
                let hops = self.backends.entry((address, backend.port.get()).into());
                let hop = (backend.egress, backend.destination_mac);
                hops.or_default().insert(hop);
            }
        }
    }
}

/// The backends whose flows are counted.
fn weighed(directory: &Path) -> Vec<(u32, SocketAddr)> {
    let loads: Array<MapData, Load> = open(directory, names::LOADS);
    let backends: Array<MapData, Backend> = open(directory, names::BACKENDS);
    let pairs = (0..).zip(loads.iter().zip(backends.iter()));
    let weighed = pairs.filter_map(|(id, (load, backend))| {
        let (load, backend) = (load.expect("a load"), backend.expect("a backend"));
        let address = address_of(&backend);
        (load.weight != 0).then_some((id, (address, backend.port.get()).into()))
    });
    weighed.collect()
}

fn address_of(backend: &Backend) -> IpAddr {
    if backend.version == 4 {
        backend.address_v4().into()
    } else {
        backend.address_v6().into()
    }
}

/// The entries of a map of flows.
fn count<A, V: Pod>(directory: &Path, name: &str) -> usize
where
    FlowKey<A>: Pod,
{
    let flows: HashMap<MapData, FlowKey<A>, V> = open(directory, name);
    let keys: Result<Vec<FlowKey<A>>, MapError> = flows.keys().collect();
    keys.unwrap_or_else(|error| panic!("map {name}: {error}"))
        .len()
}

/// The one directory of maps.
fn the_directory(root: &Path) -> PathBuf {
    let entries = fs::read_dir(root).expect("a readable directory");
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let is_of_maps = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with("maps-v"))
    };
    let found: Vec<PathBuf> = paths.filter(is_of_maps).collect();
    match found.as_slice() {
        [one] => one.clone(),
        others => panic!("maps of not one version: {others:?}"),
    }
}

fn pinned(directory: &Path, name: &str) -> MapData {
    let pin = directory.join(name);
    MapData::from_pin(&pin).unwrap_or_else(|error| panic!("opening {}: {error}", pin.display()))
}

fn number(directory: &Path, name: &str) -> u32 {
    let about = pinned(directory, name).info();
    about.expect("what the kernel knows of a map").id()
}

fn open<M: TryFrom<Map, Error = MapError>>(directory: &Path, name: &str) -> M {
    let map = Map::from_map_data(pinned(directory, name)).expect("a map of a known type");
    M::try_from(map).unwrap_or_else(|error| panic!("map {name}: {error}"))
}
