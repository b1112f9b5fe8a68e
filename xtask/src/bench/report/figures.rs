//! Figures of benchmarks as they stand in files, with the conditions that they were taken in.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::machine::Machine;

/// Figures of one benchmark. `T` is what the benchmark has written.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Taken<T> {
    /// Where.
    pub(super) machine: Machine,
    /// With few repetitions.
    pub(super) is_quick: bool,
    /// How long it took, in seconds.
    pub(super) seconds: u64,
    /// What was measured.
    pub(super) figures: T,
}

/// A row of `bench packet`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Packet {
    pub(super) name: String,
    pub(super) ns_min: f64,
    pub(super) ns_p10: f64,
    pub(super) ns_median: f64,
    pub(super) ns_p90: f64,
    pub(super) floor_ns_median: f64,
    pub(super) ratio: f64,
}

/// What `bench path` has.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Paths {
    pub(super) packets: Vec<Rate>,
    pub(super) tcp: Vec<Tcp>,
    pub(super) not_measured: Vec<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Range {
    pub(super) min: f64,
    pub(super) median: f64,
    pub(super) max: f64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Rate {
    pub(super) name: String,
    pub(super) mpps: Range,
    pub(super) delivered_percent: f64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Tcp {
    pub(super) name: String,
    pub(super) gbit_per_second: Range,
    pub(super) connections_per_second: Range,
    pub(super) connection_p50_ms: f64,
    pub(super) connection_p99_ms: f64,
}

/// What `bench control` has.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Control {
    pub(super) fsync_p50_ms: f64,
    pub(super) tables: Vec<Table>,
    pub(super) socket: Vec<Asked>,
    pub(super) sizes: Vec<Size>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Table {
    pub(super) backends: u32,
    pub(super) slots: u32,
    pub(super) build_ms: f64,
    pub(super) pin_ms: f64,
    pub(super) change_p50_ms: f64,
    pub(super) change_p99_ms: f64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Asked {
    pub(super) method: String,
    pub(super) clients: u32,
    pub(super) requests_per_second: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Size {
    pub(super) services: u32,
    pub(super) backends: u32,
    pub(super) config_bytes: u64,
    #[serde(default)]
    pub(super) apply_refused: Option<String>,
    pub(super) apply_ms: f64,
    pub(super) add_p50_ms: f64,
    pub(super) add_p99_ms: f64,
    pub(super) add_in_memory_p50_ms: f64,
    pub(super) status_ms: f64,
    pub(super) start_ms: f64,
    pub(super) restart_ms: f64,
    pub(super) resident_bytes: u64,
    pub(super) maps_bytes: u64,
}

/// What `bench reaction` has.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Concluded {
    pub(super) backends: u32,
    pub(super) slots: u32,
    pub(super) failures: u32,
    pub(super) reaction_p50_ms: f64,
    pub(super) reaction_p99_ms: f64,
    pub(super) reaction_max_ms: f64,
}

/// What `bench probes` has.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Probing {
    pub(super) backends: u32,
    pub(super) interval: String,
    pub(super) probe: String,
    pub(super) probes_per_second: f64,
    pub(super) cpu_percent: f64,
    pub(super) late_p50_ms: f64,
    pub(super) late_p99_ms: f64,
    pub(super) late_max_ms: f64,
}

/// What `bench verify` has.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Verified {
    pub(super) programs: Vec<Program>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Program {
    pub(super) name: String,
    pub(super) settings: String,
    pub(super) object_instructions: u32,
    pub(super) translated_instructions: Option<u32>,
    pub(super) verified_instructions: Option<u32>,
    pub(super) stack_bytes: Vec<u32>,
    pub(super) jited_bytes: u32,
    pub(super) load_ms: f64,
}

/// What `bench vm` has.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Counted {
    pub(super) kernel: String,
    pub(super) instructions: Vec<Count>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Count {
    pub(super) name: String,
    pub(super) instructions: f64,
}

/// All figures that there are.
#[derive(Clone, Debug, Default)]
pub(super) struct All {
    pub(super) packet: Option<Taken<Vec<Packet>>>,
    pub(super) path: Option<Taken<Paths>>,
    pub(super) control: Option<Taken<Control>>,
    pub(super) reaction: Option<Taken<Concluded>>,
    pub(super) probes: Option<Taken<Probing>>,
    pub(super) verify: Option<Taken<Verified>>,
    pub(super) vm: Option<Taken<Counted>>,
}

impl All {
    /// Those in the files of a directory.
    ///
    /// # Errors
    /// A file is there and says something else.
    pub(super) fn read(directory: &Path) -> Result<Self> {
        Ok(Self {
            packet: read(directory, "packet")?,
            path: read(directory, "path")?,
            control: read(directory, "control")?,
            reaction: read(directory, "reaction")?,
            probes: read(directory, "probes")?,
            verify: read(directory, "verify")?,
            vm: read(directory, "vm")?,
        })
    }

    /// In what conditions each was taken, by the benchmark's name: machine, whether quick, seconds.
    pub(super) fn conditions(&self) -> BTreeMap<&'static str, (&Machine, bool, u64)> {
        fn of<T>(taken: &Taken<T>) -> (&Machine, bool, u64) {
            (&taken.machine, taken.is_quick, taken.seconds)
        }
        let all = [
            ("packet", self.packet.as_ref().map(of)),
            ("path", self.path.as_ref().map(of)),
            ("control", self.control.as_ref().map(of)),
            ("reaction", self.reaction.as_ref().map(of)),
            ("probes", self.probes.as_ref().map(of)),
            ("verify", self.verify.as_ref().map(of)),
            ("vm", self.vm.as_ref().map(of)),
        ];
        let there = all.into_iter().filter_map(|(name, it)| Some((name, it?)));
        there.collect()
    }

    /// The row of `bench packet` of this name.
    pub(super) fn packet(&self, name: &str) -> Option<&Packet> {
        let rows = &self.packet.as_ref()?.figures;
        rows.iter().find(|row| row.name == name)
    }

    /// The row of `bench control` of so many services with so many backends.
    pub(super) fn size(&self, services: u32, backends: u32) -> Option<&Size> {
        let rows = &self.control.as_ref()?.figures.sizes;
        let is_it = |row: &&Size| (row.services, row.backends) == (services, backends);
        rows.iter().find(is_it)
    }
}

/// Writes what a benchmark has measured, with its conditions.
///
/// # Errors
/// The file cannot be written.
pub(super) fn keep(directory: &Path, name: &str, taken: &Taken<Value>) -> Result<()> {
    let file = directory.join(name).with_extension("json");
    let text = serde_json::to_string_pretty(taken)? + "\n";
    fs::write(&file, text).with_context(|| format!("writing {}", file.display()))
}

fn read<T: DeserializeOwned>(directory: &Path, name: &str) -> Result<Option<Taken<T>>> {
    let file = directory.join(name).with_extension("json");
    if !file.exists() {
        return Ok(None);
    }
    let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    let taken = serde_json::from_str(&text);
    taken.with_context(|| {
        let file = file.display();
        format!("reading the figures in {file}: `--only {name}` measures them anew")
    })
}
