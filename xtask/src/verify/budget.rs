//! What programs may cost: the file of budgets, and the verdict on figures.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::{
    Report,
    cost::{Cost, Variant},
};
use crate::{vm::series, workspace};

/// What the file says of itself.
const HEAD: &str = "\
# What each program may cost on a kernel: `cargo xtask bench verify` holds its figures against this, and `cargo xtask ci`
# and the guests of `cargo xtask test --vm` do. After a change that is worth its price, `cargo xtask bench verify --accept`
# writes what is measured. A kernel that does not stand here is held against the dearest of those that do. Times have no
# budget: what the verifier walks through stands for the time that loading takes.

# How much more than its budget a figure may be, in per cent, before it is refused. What the verifier walks through moves
# with its version, and machine code with the processor. 64 bytes of machine code are nothing to speak of in any case.
";

/// A figure that programs have.
struct Figure {
    name: &'static str,
    of: fn(&Budget) -> f64,
    allowed: fn(&Allowance) -> f64,
    /// So much more is nothing to speak of, whatever the budget.
    slack: f64,
}

const FIGURES: [Figure; 4] = [
    Figure {
        name: "instructions after the verifier",
        of: |it| f64::from(it.after),
        allowed: |it| it.after,
        slack: 0.0,
    },
    Figure {
        name: "instructions that the verifier walks through",
        of: |it| f64::from(it.verified),
        allowed: |it| it.verified,
        slack: 0.0,
    },
    Figure {
        name: "bytes of stack",
        of: |it| f64::from(it.stack_bytes),
        allowed: |it| it.stack_bytes,
        slack: 0.0,
    },
    Figure {
        name: "bytes of machine code",
        of: |it| f64::from(it.jited_bytes),
        allowed: |it| it.jited_bytes,
        slack: 64.0,
    },
];

/// What one program may cost; see [`Cost`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Budget {
    after: u32,
    verified: u32,
    /// Of all its functions together.
    stack_bytes: u32,
    jited_bytes: u32,
}

impl Budget {
    /// What it has cost; 0 for what the kernel does not tell.
    fn spent(cost: &Cost) -> Self {
        Self {
            after: cost.translated_instructions.unwrap_or(0),
            verified: cost.verified_instructions.unwrap_or(0),
            stack_bytes: cost.stack_bytes.iter().sum(),
            jited_bytes: cost.jited_bytes,
        }
    }

    /// The greater figures of both.
    fn or_dearer(self, other: Self) -> Self {
        Self {
            after: self.after.max(other.after),
            verified: self.verified.max(other.verified),
            stack_bytes: self.stack_bytes.max(other.stack_bytes),
            jited_bytes: self.jited_bytes.max(other.jited_bytes),
        }
    }
}

/// How much more than its budget a figure may be, in per cent.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Allowance {
    after: f64,
    verified: f64,
    stack_bytes: f64,
    jited_bytes: f64,
}

impl Default for Allowance {
    fn default() -> Self {
        Self {
            after: 3.0,
            verified: 20.0,
            stack_bytes: 0.0,
            jited_bytes: 10.0,
        }
    }
}

/// By kernel (`6.18`), settings and program.
type Kernels = BTreeMap<String, BTreeMap<Variant, BTreeMap<String, Budget>>>;

/// The file of budgets.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Budgets {
    #[serde(default)]
    allowed_percent: Allowance,
    #[serde(default)]
    kernel: Kernels,
}

impl Budgets {
    /// Where they stand.
    pub(super) fn path() -> PathBuf {
        workspace::root().join("xtask/budgets.toml")
    }

    /// Those of the file; none if there is no file.
    ///
    /// # Errors
    /// It cannot be read, or says something else.
    pub(super) fn read(path: &Path) -> Result<Self> {
        if !path.exists() {
            return Ok(Self::default());
        }
        let text = fs::read_to_string(path);
        let text = text.with_context(|| format!("reading the budgets in {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("reading the budgets in {}", path.display()))
    }

    /// What stands in the file for these.
    pub(super) fn text(&self) -> String {
        let Allowance {
            after,
            verified,
            stack_bytes,
            jited_bytes,
        } = self.allowed_percent;
        let mut text = format!(
            "{HEAD}[allowed_percent]\nafter = {after:.1}\nverified = {verified:.1}\nstack_bytes = {stack_bytes:.1}\n\
             jited_bytes = {jited_bytes:.1}\n"
        );
        for (kernel, variants) in &self.kernel {
            for (variant, programs) in variants {
                let _ = writeln!(text, "\n[kernel.\"{kernel}\".{}]", variant.name());
                for (program, budget) in programs {
                    let Budget {
                        after,
                        verified,
                        stack_bytes,
                        jited_bytes,
                    } = budget;
                    let _ = writeln!(
                        text,
                        "{program} = {{ after = {after}, verified = {verified}, stack_bytes = {stack_bytes}, \
                         jited_bytes = {jited_bytes} }}"
                    );
                }
            }
        }
        text
    }

    /// Kernel, settings, program and figures of each, as text.
    pub(super) fn rows(&self) -> Vec<Vec<String>> {
        let mut rows = Vec::new();
        for (kernel, variants) in &self.kernel {
            for (variant, programs) in variants {
                rows.extend(programs.iter().map(|(program, budget)| {
                    vec![
                        kernel.clone(),
                        variant.name().to_owned(),
                        program.clone(),
                        budget.after.to_string(),
                        budget.verified.to_string(),
                        budget.stack_bytes.to_string(),
                        budget.jited_bytes.to_string(),
                    ]
                }));
            }
        }
        rows
    }

    /// Takes what a kernel made of programs for their budgets there: programs that are no more lose theirs.
    pub(super) fn accept(&mut self, report: &Report) {
        let variants = self.kernel.entry(series(&report.kernel)).or_default();
        for cost in &report.programs {
            variants.entry(cost.settings).or_default().clear();
        }
        for cost in &report.programs {
            let programs = variants.entry(cost.settings).or_default();
            programs.insert(cost.name.clone(), Budget::spent(cost));
        }
    }

    /// What is over its budget, a sentence each.
    pub(super) fn excesses(&self, report: &Report) -> Vec<String> {
        let kernel = series(&report.kernel);
        let excesses = report.programs.iter().flat_map(|cost| {
            let program = format!("{} with settings {}", cost.name, cost.settings.name());
            let Some(budget) = self.budget(&kernel, cost) else {
                return vec![format!("{program} has no budget: `cargo xtask bench verify --accept` gives it one")];
            };
            let spent = Budget::spent(cost);
            let over = FIGURES.iter().filter_map(|figure| {
                let (spent, budget) = ((figure.of)(&spent), (figure.of)(&budget));
                let allowed = (figure.allowed)(&self.allowed_percent);
                (spent > budget * (1.0 + allowed / 100.0) + figure.slack).then(|| {
                    let name = figure.name;
                    format!("{program} has {spent} {name}; its budget is {budget}, and {allowed} % more are allowed")
                })
            });
            over.collect()
        });
        excesses.collect()
    }

    /// The kernel's own, or the dearest of all.
    fn budget(&self, kernel: &str, cost: &Cost) -> Option<Budget> {
        let of = |variants: &BTreeMap<Variant, BTreeMap<String, Budget>>| {
            variants.get(&cost.settings)?.get(&cost.name).copied()
        };
        let own = self.kernel.get(kernel).and_then(of);
        let dearest = || {
            self.kernel
                .values()
                .filter_map(of)
                .reduce(Budget::or_dearer)
        };
        own.or_else(dearest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(kernel: &str, after: u32, jited_bytes: u32) -> Report {
        Report {
            kernel: kernel.to_owned(),
            programs: vec![Cost {
                name: "balancer".to_owned(),
                settings: Variant::All,
                object_instructions: 1_100,
                translated_instructions: Some(after),
                verified_instructions: Some(5_000),
                stack_bytes: vec![232, 0, 16],
                jited_bytes,
                load_ms: 10.0,
            }],
        }
    }

    fn accepted(kernels: &[(&str, u32)]) -> Budgets {
        let mut budgets = Budgets::default();
        for (kernel, after) in kernels {
            budgets.accept(&report(kernel, *after, 4_000));
        }
        budgets
    }

    #[test]
    fn what_is_accepted_stands_in_the_file() {
        let budgets = accepted(&[("6.18.44-fc", 1_000), ("5.10.0-46-amd64", 900)]);
        let read: Budgets = toml::from_str(&budgets.text()).unwrap();
        assert_eq!(read.kernel, budgets.kernel);
        let kernels: Vec<&String> = read.kernel.keys().collect();
        assert_eq!(kernels, ["5.10", "6.18"]);
        assert!(read.excesses(&report("6.18.1", 1_000, 4_000)).is_empty());
    }

    #[test]
    fn more_than_the_allowance_is_refused_and_named() {
        let budgets = accepted(&[("6.18", 1_000)]);
        assert!(budgets.excesses(&report("6.18", 1_030, 4_464)).is_empty());
        let excesses = budgets.excesses(&report("6.18", 1_031, 4_465));
        assert_eq!(excesses.len(), 2, "{excesses:?}");
        assert!(excesses.iter().all(|it| it.contains("balancer")));
    }

    #[test]
    fn a_kernel_without_budgets_is_held_against_the_dearest() {
        let budgets = accepted(&[("6.18", 1_000), ("5.10", 2_000)]);
        assert!(budgets.excesses(&report("6.1", 2_000, 4_000)).is_empty());
        assert_eq!(budgets.excesses(&report("6.1", 2_100, 4_000)).len(), 1);
    }

    #[test]
    fn a_program_without_a_budget_is_refused() {
        let excesses = Budgets::default().excesses(&report("6.18", 1, 1));
        assert!(excesses.iter().all(|it| it.contains("no budget")));
        assert_eq!(excesses.len(), 1);
    }
}
