//! The machine that figures are from.

use std::{fs, path::Path};

use rustix::system::{sysinfo, uname};
use serde::{Deserialize, Serialize};

/// What a reader must know to believe a figure.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Machine {
    cpu: String,
    cpus: usize,
    /// In mebibytes.
    memory: u64,
    kernel: String,
    /// A guest of some hypervisor.
    is_virtual: bool,
    /// `on` or `off`, and whether constants are blinded.
    jit: String,
    /// What the kernel does against faults of the CPU, by fault.
    mitigations: Vec<String>,
    /// Load averages when it was begun: what others did.
    load: String,
}

impl Machine {
    /// This one, now.
    pub(super) fn here() -> Self {
        let cpuinfo = text("/proc/cpuinfo");
        let kernel = uname();
        let memory = sysinfo();
        let memory = memory.totalram.saturating_mul(memory.mem_unit.into()) >> 20;
        Self {
            cpu: field(&cpuinfo, "model name").unwrap_or_else(|| "unknown".to_owned()),
            cpus: std::thread::available_parallelism().map_or(1, Into::into),
            memory,
            kernel: kernel.release().to_string_lossy().into_owned(),
            is_virtual: field(&cpuinfo, "flags")
                .is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor")),
            jit: jit(
                &text("/proc/sys/net/core/bpf_jit_enable"),
                &text("/proc/sys/net/core/bpf_jit_harden"),
            ),
            mitigations: mitigations(Path::new("/sys/devices/system/cpu/vulnerabilities")),
            load: text("/proc/loadavg")
                .split(' ')
                .take(3)
                .collect::<Vec<_>>()
                .join(" "),
        }
    }

    /// As rows of a table: what, and its value.
    pub(super) fn rows(&self) -> Vec<Vec<String>> {
        let virtual_too = if self.is_virtual {
            ", a virtual machine"
        } else {
            ""
        };
        let rows = [
            ("CPU", format!("{} x {}{virtual_too}", self.cpus, self.cpu)),
            ("memory", format!("{} MiB", self.memory)),
            ("kernel", self.kernel.clone()),
            ("JIT", self.jit.clone()),
            ("mitigations", self.mitigations.join("; ")),
        ];
        rows.map(|(what, value)| vec![what.to_owned(), value])
            .into()
    }

    /// The load when it was begun.
    pub(super) fn load(&self) -> &str {
        &self.load
    }

    /// Whether both are the same but for what they were busy with.
    pub(super) fn is(&self, other: &Self) -> bool {
        let load = &other.load;
        Self {
            load: load.clone(),
            ..self.clone()
        } == *other
    }
}

fn text(path: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.trim().to_owned()
}

/// The first field of this name in lines such as `name : value`.
fn field(lines: &str, name: &str) -> Option<String> {
    let mut fields = lines.lines().filter_map(|line| line.split_once(':'));
    let found = fields.find(|(field, _)| field.trim() == name);
    found.map(|(_, value)| value.trim().to_owned())
}

/// What the kernel's two switches say (`Documentation/admin-guide/sysctl/net.rst`).
fn jit(enable: &str, harden: &str) -> String {
    let enable = match enable {
        "0" => "off",
        "1" | "2" => "on",
        _ => "unknown",
    };
    let harden = match harden {
        "1" => ", constants blinded for unprivileged users",
        "2" => ", constants blinded",
        _ => "",
    };
    format!("{enable}{harden}")
}

/// Each fault that the CPU has or may have, with what is done about it.
fn mitigations(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let faults = entries.filter_map(|entry| {
        let said = fs::read_to_string(entry.path()).ok()?;
        let said = said.trim();
        let name = entry.file_name().to_string_lossy().into_owned();
        (said != "Not affected").then(|| format!("{name}: {said}"))
    });
    let mut faults: Vec<String> = faults.collect();
    faults.sort();
    if faults.is_empty() {
        faults.push("none needed, or unknown".to_owned());
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let lines = "model\t\t: 1\nmodel name\t: AMD EPYC\nflags\t\t: fpu hypervisor\n";
        assert_eq!(field(lines, "model name").as_deref(), Some("AMD EPYC"));
        assert_eq!(field(lines, "name"), None);
    }

    #[test]
    fn the_jit_is_told_in_words() {
        assert_eq!(jit("1", "0"), "on");
        assert_eq!(jit("1", "2"), "on, constants blinded");
        assert_eq!(jit("0", ""), "off");
    }

    #[test]
    fn only_faults_that_the_cpu_has_are_told() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("meltdown"), "Not affected\n").unwrap();
        fs::write(
            directory.path().join("spectre_v2"),
            "Mitigation: Retpolines\n",
        )
        .unwrap();
        assert_eq!(
            mitigations(directory.path()),
            ["spectre_v2: Mitigation: Retpolines"]
        );
    }

    #[test]
    fn load_does_not_make_another_machine() {
        let idle = Machine::default();
        let busy = Machine {
            load: "9".to_owned(),
            ..Machine::default()
        };
        assert!(idle.is(&busy));
        let other = Machine {
            cpus: 3,
            ..Machine::default()
        };
        assert!(!idle.is(&other));
    }
}
