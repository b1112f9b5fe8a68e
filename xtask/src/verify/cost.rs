//! What the verifier and the JIT of this kernel make of each program of the object.

use std::{
    collections::HashSet,
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use aya::{
    Ebpf, EbpfLoader, VerifierLogLevel,
    programs::{Program, ProgramError, Xdp},
};
use aya_obj::{EbpfSectionKind, Object, ProgramSection};
use lb_common::{
    decap::{DecapSettings, GUE_PORT},
    names,
    settings::{Settings, SourceNat},
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};

/// Entries per map: enough to load, too few to matter to this machine.
const MAP_ENTRIES: u32 = 64;

/// What one program costs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Cost {
    pub(super) name: String,
    /// The settings that it was loaded with.
    #[serde(default)]
    pub(super) settings: Variant,
    /// Instructions in the object, functions that it calls among them.
    pub(super) object_instructions: usize,
    /// Instructions that are left after the verifier has removed dead branches and rewritten helper calls.
    pub(super) translated_instructions: Option<u32>,
    /// Instructions that the verifier walked through, on all paths; its limit is a million.
    pub(super) verified_instructions: Option<u32>,
    /// The stack of each function in bytes, the program's own first; its limit is 512 along a call chain.
    pub(super) stack_bytes: Vec<u32>,
    /// Machine code in bytes; 0: the JIT is off.
    pub(super) jited_bytes: u32,
    /// The time the kernel took to verify and compile, in milliseconds.
    pub(super) load_ms: f64,
}

/// With which settings programs are loaded: what these switch off, the verifier removes.
#[derive(
    clap::ValueEnum,
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Variant {
    /// No feature that can be left out: what a plain configuration has.
    Least,
    /// Every feature.
    #[default]
    All,
}

impl Variant {
    /// As it stands in tables and in the file of budgets.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Least => "least",
            Self::All => "all",
        }
    }

    const fn settings(self) -> Settings {
        match self {
            Self::Least => Settings {
                features: 0,
                ..Settings::DEFAULT
            },
            Self::All => Settings {
                features: Settings::ALL_FEATURES,
                drop_unmatched: 1,
                // Without ports, that which gives them out is removed.
                snat: SourceNat {
                    first_port: 10_000,
                    ports_per_cpu: 1_000,
                    established: 7_000,
                    transitory: 200,
                    udp: 300,
                },
                ..Settings::DEFAULT
            },
        }
    }

    const fn decap_settings(self) -> DecapSettings {
        DecapSettings {
            gue_port: GUE_PORT as u32,
            any_destination: match self {
                Self::Least => 1,
                Self::All => 0,
            },
        }
    }
}

/// Loads every program that this kernel can have, with the settings of `variant`; the verifier's words go to `log`.
///
/// # Errors
/// The kernel refused a program.
pub(super) fn costs(bytes: &[u8], variant: Variant, log: Option<&Path>) -> Result<Vec<Cost>> {
    let object = parsed(bytes)?;
    let level = match log {
        Some(_) => VerifierLogLevel::DEBUG | VerifierLogLevel::STATS,
        None => VerifierLogLevel::STATS,
    };
    let mut ebpf = loaded(bytes, &object, variant, level)?;
    let mut log = log.map(Log::create).transpose()?;
    let mut names: Vec<String> = object.programs.keys().cloned().collect();
    names.sort();
    let (fitting, others): (Vec<String>, Vec<String>) = names.into_iter().partition(|name| {
        let program = object.programs.get(name);
        program.is_some_and(|program| fits(&program.section, kernel_version()))
    });
    for name in others {
        println!("{name}: for jumbo frames, which XDP has from kernel 5.18 on");
    }
    fitting
        .into_iter()
        .map(|name| cost(name, variant, &object, &mut ebpf, log.as_mut()))
        .collect()
}

/// Whether kernels of this version have such programs; the product loads others on those that do not.
fn fits(section: &ProgramSection, version: (u32, u32)) -> bool {
    !matches!(section, ProgramSection::Xdp { frags: true, .. }) || version >= (5, 18)
}

/// The first two numbers of this kernel's release.
fn kernel_version() -> (u32, u32) {
    version(&rustix::system::uname().release().to_string_lossy())
}

/// The first two numbers of `release`; 0 for one that is not there.
fn version(release: &str) -> (u32, u32) {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let mut number = || numbers.next().and_then(|it| it.parse().ok()).unwrap_or(0);
    (number(), number())
}

/// Where the verifier's words go.
struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).with_context(|| format!("creating {}", path.display()))?;
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }

    fn write(&mut self, program: &str, words: &str) -> Result<()> {
        writeln!(self.file, "== {program} ==\n{words}")
            .with_context(|| format!("writing {}", self.path.display()))
    }
}

/// The object with calls resolved, as it is handed to the kernel.
fn parsed(bytes: &[u8]) -> Result<Object> {
    let mut object = Object::parse(bytes).context("parsing the eBPF object")?;
    let text = object.functions.keys().map(|(section, _)| *section);
    let text: HashSet<usize> = text.collect();
    object
        .relocate_calls(&text)
        .context("resolving calls in the eBPF object")?;
    Ok(object)
}

/// The object with its maps made, small and not pinned, and no program loaded yet.
fn loaded(
    bytes: &[u8],
    object: &Object,
    variant: Variant,
    level: VerifierLogLevel,
) -> Result<Ebpf> {
    let (settings, decap_settings) = (variant.settings(), variant.decap_settings());
    let mut loader = EbpfLoader::new();
    loader
        .verifier_log_level(level)
        .override_global(names::SETTINGS, &settings, true)
        .override_global(names::DECAP_SETTINGS, &decap_settings, true);
    let maps = object.maps.iter().filter(|(_, map)| {
        matches!(
            map.section_kind(),
            EbpfSectionKind::Maps | EbpfSectionKind::BtfMaps
        )
    });
    for (name, map) in maps {
        loader.map_max_entries(name, map.max_entries().min(MAP_ENTRIES));
    }
    loader
        .load(bytes)
        .context("creating the maps of the eBPF object")
}

fn cost(
    name: String,
    variant: Variant,
    object: &Object,
    ebpf: &mut Ebpf,
    to: Option<&mut Log>,
) -> Result<Cost> {
    let program = object
        .programs
        .get(&name)
        .map(aya_obj::Program::function_key);
    let function = program.and_then(|key| object.functions.get(&key));
    let object_instructions = function.map_or(0, |function| function.instructions.len());
    let Some(Program::Xdp(program)) = ebpf.program_mut(&name) else {
        bail!("program {name} is not an XDP program; teach `cargo xtask verify` its type");
    };
    let (result, log) = verified_by(program)?;
    if let Some(to) = to {
        to.write(&name, &log)?;
    }
    result.with_context(|| format!("verifying program {name}"))?;
    let start = Instant::now();
    program
        .load()
        .with_context(|| format!("loading program {name}"))?;
    let load = start.elapsed();
    let kernel = program
        .info()
        .with_context(|| format!("asking the kernel about program {name}"))?;
    Ok(Cost {
        name,
        settings: variant,
        object_instructions,
        translated_instructions: kernel.size_translated().map(|bytes| bytes / 8),
        verified_instructions: kernel
            .verified_instruction_count()
            .or_else(|| verified(&log)),
        stack_bytes: stack_depths(&log),
        jited_bytes: kernel.size_jitted(),
        load_ms: milliseconds(load),
    })
}

/// Whether the verifier accepts a program, and what it says of it. aya passes its words on only when a load
/// fails. So the load is made to fail at its very end: the kernel verifies the whole program, writes its log, and
/// finds no free file descriptor for the result.
fn verified_by(program: &mut Xdp) -> Result<(Result<(), ProgramError>, String)> {
    let result = {
        let _limit = NoFreeDescriptor::new()?;
        program.load()
    };
    match result {
        Err(ProgramError::LoadError {
            io_error,
            verifier_log,
        }) => {
            let log = verifier_log.to_string();
            let is_accepted =
                io_error.raw_os_error() == Some(rustix::io::Errno::MFILE.raw_os_error());
            let refusal = ProgramError::LoadError {
                io_error,
                verifier_log,
            };
            Ok((is_accepted.then_some(()).ok_or(refusal), log))
        }
        Err(error) => Ok((Err(error), String::new())),
        Ok(()) => bail!("the kernel made a file descriptor beyond the limit"),
    }
}

/// While this lives, the process cannot open anything.
struct NoFreeDescriptor {
    before: Rlimit,
}

impl NoFreeDescriptor {
    fn new() -> Result<Self> {
        let before = getrlimit(Resource::Nofile);
        let none = Rlimit {
            current: Some(0),
            maximum: before.maximum,
        };
        setrlimit(Resource::Nofile, none).context("lowering the limit of open files")?;
        Ok(Self { before })
    }
}

impl Drop for NoFreeDescriptor {
    fn drop(&mut self) {
        // Raising a soft limit to where it was is always allowed.
        let _ = setrlimit(Resource::Nofile, self.before);
    }
}

/// The stack of each function, from a line such as `stack depth 232+0+16`.
fn stack_depths(log: &str) -> Vec<u32> {
    let line = log
        .lines()
        .find_map(|line| line.strip_prefix("stack depth "));
    line.into_iter()
        .flat_map(|line| line.split('+'))
        .filter_map(|it| it.trim().parse().ok())
        .collect()
}

/// The instructions walked through, from a line such as `processed 411 insns (limit 1000000) ...`.
fn verified(log: &str) -> Option<u32> {
    let line = log
        .lines()
        .find_map(|line| line.strip_prefix("processed "))?;
    line.split(' ').next()?.parse().ok()
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "verification time 1234 usec\nstack depth 232+0+16\nprocessed 411 insns \
                       (limit 1000000) max_states_per_insn 1 total_states 20\n";

    #[test]
    fn programs_for_jumbo_frames_are_left_out_where_the_kernel_has_none() {
        let jumbo: ProgramSection = "xdp.frags".parse().unwrap();
        let plain: ProgramSection = "xdp".parse().unwrap();
        for (release, has_jumbo) in [
            ("5.10.0-46-amd64", false),
            ("5.17.15", false),
            ("5.18.0", true),
            ("6.1.0-50-amd64", true),
        ] {
            assert!(fits(&plain, version(release)), "{release}");
            assert_eq!(fits(&jumbo, version(release)), has_jumbo, "{release}");
        }
    }

    #[test]
    fn the_verifiers_figures_are_read_from_its_log() {
        assert_eq!(stack_depths(LOG), [232, 0, 16]);
        assert_eq!(verified(LOG), Some(411));
    }

    #[test]
    fn a_log_without_figures_has_none() {
        assert!(stack_depths("").is_empty());
        assert_eq!(verified("R1=ctx()"), None);
    }
}
