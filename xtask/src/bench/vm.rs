//! `bench vm`: instructions by packet, of all that a machine executes for it, counted in an emulated guest; and what they
//! may be.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use crate::{
    vm::{self, Counted, Kernel},
    workspace,
};

/// So many per cent more than its budget a count may be. Counts are the same to a per cent or two in every run.
const ALLOWED_PERCENT: f64 = 3.0;
/// How the names of our own paths begin.
const OURS: &str = "ours-";
const HEAD: &str = "\
# Instructions by packet, with those of its generator and receiver, by kernel and path: `cargo xtask bench vm` fails if one
# of ours is more than 3 % above what stands here, and so does `cargo xtask ci`; `--accept` writes what is counted.
";

/// What to count.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Options {
    /// The guest's kernel: 6.1, 6.12 or newest
    #[arg(long, default_value = "newest")]
    kernel: Kernel,
    /// Take what is counted for the budgets of that kernel
    #[arg(long)]
    accept: bool,
    /// Write the figures to FILE
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Not held against budgets.
    #[arg(skip)]
    is_only_told: bool,
}

impl Default for Options {
    fn default() -> Self {
        let [_, newest] = Kernel::ENDS;
        Self {
            kernel: newest,
            accept: false,
            json: None,
            is_only_told: false,
        }
    }
}

impl Options {
    /// Figures alone, also in the file `json`.
    pub(super) fn told(json: Option<PathBuf>) -> Self {
        Self {
            json,
            is_only_told: true,
            ..Self::default()
        }
    }
}

/// What the benchmark writes.
#[derive(Deserialize)]
struct Figures {
    instructions: Vec<Count>,
    not_measured: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Count {
    name: String,
    instructions: f64,
}

/// What stands in the file for figures.
#[derive(Serialize)]
struct Report<'a> {
    kernel: &'a str,
    instructions: &'a [Count],
}

/// Instructions by kernel (`7.3`) and path.
type Budgets = BTreeMap<String, BTreeMap<String, u32>>;

/// Counts, and holds the counts against their budgets, or makes them the budgets. `Some` is why the kernel cannot be had.
///
/// # Errors
/// A path costs more than it may, or could not be measured.
pub(crate) fn run(options: &Options) -> Result<Option<String>> {
    let counted = vm::counted(options.kernel, "path", &["--part", "instructions"])?;
    let Counted { release, figures } = match counted {
        Ok(counted) => counted,
        Err(why) => return Ok(Some(why)),
    };
    let figures: Figures = serde_json::from_value(figures).context("reading what was counted")?;
    println!("kernel {release}; instructions by packet");
    for Count { name, instructions } in &figures.instructions {
        println!("{name:<24} {instructions:>8.0}");
    }
    for why in &figures.not_measured {
        println!("NOT MEASURED: {why}");
    }
    if let Some(file) = &options.json {
        let report = Report {
            kernel: &release,
            instructions: &figures.instructions,
        };
        let text = serde_json::to_string_pretty(&report)? + "\n";
        fs::write(file, text).with_context(|| format!("writing {}", file.display()))?;
    }
    if options.is_only_told {
        return Ok(None);
    }
    let file = workspace::root().join("xtask/instructions.toml");
    let text = fs::read_to_string(&file).unwrap_or_default();
    let mut budgets: Budgets =
        toml::from_str(&text).with_context(|| format!("reading {}", file.display()))?;
    if options.accept {
        budgets.insert(series(&release), spent(&figures.instructions));
        fs::write(&file, written(&budgets))
            .with_context(|| format!("writing {}", file.display()))?;
        return Ok(None);
    }
    let excesses = excesses(&budgets, &series(&release), &figures.instructions);
    if !excesses.is_empty() {
        bail!("by {}:\n  {}", file.display(), excesses.join("\n  "));
    }
    Ok(None)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts of some thousands"
)]
fn spent(counts: &[Count]) -> BTreeMap<String, u32> {
    let spent = counts.iter();
    spent
        .map(|it| (it.name.clone(), it.instructions.round() as u32))
        .collect()
}

fn written(budgets: &Budgets) -> String {
    let mut text = HEAD.to_owned();
    for (kernel, paths) in budgets {
        let _ = writeln!(text, "\n[\"{kernel}\"]");
        for (path, instructions) in paths {
            let _ = writeln!(text, "{path} = {instructions}");
        }
    }
    text
}

/// What of ours costs more than it may, a sentence each: what the kernel's own paths cost is for comparison. A kernel of
/// which nothing is written has no budgets.
fn excesses(budgets: &Budgets, kernel: &str, counts: &[Count]) -> Vec<String> {
    let Some(budgets) = budgets.get(kernel) else {
        println!("no budgets for kernel {kernel}: `--accept` writes them");
        return Vec::new();
    };
    let ours = counts.iter().filter(|it| it.name.starts_with(OURS));
    let over = ours.filter_map(|Count { name, instructions }| {
        let Some(budget) = budgets.get(name) else {
            return Some(format!("{name} has no budget"));
        };
        let most = f64::from(*budget) * (1.0 + ALLOWED_PERCENT / 100.0);
        (*instructions > most).then(|| {
            format!("{name} takes {instructions:.0} instructions by packet; its budget is {budget}, and {ALLOWED_PERCENT} % more are allowed")
        })
    });
    over.collect()
}

/// The first two numbers of a release.
fn series(release: &str) -> String {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let mut number = || numbers.next().unwrap_or_default();
    format!("{}.{}", number(), number())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(instructions: f64) -> Vec<Count> {
        vec![Count {
            name: "ours-l2".to_owned(),
            instructions,
        }]
    }

    #[test]
    fn three_per_cent_more_are_allowed_and_no_more() {
        let budgets = BTreeMap::from([("7.3".to_owned(), spent(&count(2_000.4)))]);
        let read: Budgets = toml::from_str(&written(&budgets)).unwrap();
        assert_eq!(read, budgets);
        assert!(excesses(&budgets, "7.3", &count(2_060.0)).is_empty());
        assert_eq!(excesses(&budgets, "7.3", &count(2_061.0)).len(), 1);
        assert!(excesses(&budgets, "6.12", &count(9_000.0)).is_empty());
        let kernels_own = vec![Count {
            name: "ipvs-dr".to_owned(),
            instructions: 9_000.0,
        }];
        assert!(excesses(&budgets, "7.3", &kernels_own).is_empty());
    }

    #[test]
    fn a_path_without_a_budget_is_refused() {
        let budgets = BTreeMap::from([("7.3".to_owned(), BTreeMap::new())]);
        assert_eq!(
            excesses(&budgets, &series("7.3.4+deb13"), &count(1.0)).len(),
            1
        );
    }
}
