//! `bench vm`: instructions by packet, of all that a machine executes for it, counted in an emulated guest; and what they
//! may be.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use crate::{
    vm::{self, Counted, Kernel, series},
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

/// Instructions by path.
type Paths = BTreeMap<String, u32>;

/// The same by kernel (`7.3`).
type Budgets = BTreeMap<String, Paths>;

/// Counts, and holds the counts against their budgets, or makes them the budgets. `Some` is why nothing could be held: the
/// kernel cannot be had, or has no budgets.
///
/// # Errors
/// A path of ours costs more than it may, or could not be counted.
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
    let mut budgets = read(&file)?;
    if options.accept {
        budgets.insert(series(&release), spent(&figures.instructions));
        fs::write(&file, written(&budgets))
            .with_context(|| format!("writing {}", file.display()))?;
        return Ok(None);
    }
    let kernel = series(&release);
    let Some(budgets) = budgets.get(&kernel) else {
        let file = file.display();
        return Ok(Some(format!(
            "{file} has no budgets for kernel {kernel}: `cargo xtask bench vm --accept` writes them"
        )));
    };
    let excesses = excesses(budgets, &figures.instructions);
    if !excesses.is_empty() {
        bail!("by {}:\n  {}", file.display(), excesses.join("\n  "));
    }
    Ok(None)
}

/// The budgets of a file; none if there is no file.
fn read(file: &Path) -> Result<Budgets> {
    if !file.exists() {
        return Ok(Budgets::new());
    }
    let text = fs::read_to_string(file);
    let budgets = text.map_err(anyhow::Error::from).and_then(|text| {
        let budgets: Budgets = toml::from_str(&text)?;
        Ok(budgets)
    });
    budgets.with_context(|| format!("reading {}", file.display()))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts of some thousands"
)]
fn spent(counts: &[Count]) -> Paths {
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

/// What of ours costs more than it may or was not counted, a sentence each: what the kernel's own paths cost is for
/// comparison.
fn excesses(budgets: &Paths, counts: &[Count]) -> Vec<String> {
    let counted = spent(counts);
    let is_ours = |name: &&String| name.starts_with(OURS);
    let paths: BTreeSet<&String> = budgets
        .keys()
        .chain(counted.keys())
        .filter(is_ours)
        .collect();
    let over = paths.into_iter().filter_map(|name| match (budgets.get(name), counted.get(name)) {
        (Some(budget), Some(count)) => {
            let most = f64::from(*budget) * (1.0 + ALLOWED_PERCENT / 100.0);
            (f64::from(*count) > most).then(|| {
                format!("{name} takes {count} instructions by packet; its budget is {budget}, and {ALLOWED_PERCENT} % more are allowed")
            })
        }
        (None, _) => Some(format!("{name} has no budget")),
        (Some(_), None) => Some(format!("{name} was not counted")),
    });
    over.collect()
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
        let paths = spent(&count(2_000.4));
        let budgets = BTreeMap::from([("7.3".to_owned(), paths.clone())]);
        let read: Budgets = toml::from_str(&written(&budgets)).unwrap();
        assert_eq!(read, budgets);
        assert!(excesses(&paths, &count(2_060.0)).is_empty());
        assert_eq!(excesses(&paths, &count(2_061.0)).len(), 1);
        assert_eq!(series("7.3.4+deb13"), "7.3");
    }

    #[test]
    fn every_path_of_ours_is_counted_and_has_a_budget() {
        assert_eq!(excesses(&Paths::new(), &count(1.0)).len(), 1);
        assert_eq!(excesses(&spent(&count(1.0)), &[]).len(), 1);
        let kernels_own = vec![Count {
            name: "ipvs-dr".to_owned(),
            instructions: 9_000.0,
        }];
        assert!(excesses(&Paths::new(), &kernels_own).is_empty());
    }
}
