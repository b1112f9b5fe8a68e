//! `verify`: loads each program on this kernel and says what the verifier and the JIT made of it; `bench verify` does so
//! with several settings, and holds the figures against budgets.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

mod budget;
mod cost;

use crate::{ebpf, setup, shell};
use budget::Budgets;
use cost::{Cost, Variant};

/// What one kernel made of the programs.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Report {
    kernel: String,
    programs: Vec<Cost>,
}

/// What to verify, and where to tell of it.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct Options {
    /// Load the programs of FILE, and build nothing
    #[arg(long, value_name = "FILE")]
    object: Option<PathBuf>,
    /// Write the figures to FILE as well
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write to FILE what the verifier said of each instruction on the last way that it walked
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Fail if a figure is over its budget in xtask/budgets.toml
    #[arg(long)]
    budgets: bool,
}

/// What `bench verify` is to do.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct Bench {
    /// Take what is measured for the budgets of this kernel
    #[arg(long)]
    accept: bool,
    /// Measure nothing, and take the figures in FILE: what `verify` or `test --vm` has written by its `--json`
    #[arg(long, value_name = "FILE")]
    figures: Option<PathBuf>,
    /// Write the figures to FILE as well
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Not held against budgets.
    #[arg(skip)]
    is_only_told: bool,
}

impl Bench {
    /// Figures alone, also in the file `json`.
    pub(crate) fn told(json: Option<PathBuf>) -> Self {
        Self {
            json,
            is_only_told: true,
            ..Self::default()
        }
    }
}

/// Builds the object, loads every program of it with every feature, prints what each costs.
///
/// # Errors
/// No root, the build failed, the kernel refused a program (the verifier's words are in the error), or a budget is
/// exceeded that was asked after.
pub(crate) fn run(options: &Options) -> Result<()> {
    let object = options.object.as_deref();
    let report = measured(object, &[Variant::All], options.log.as_deref())?;
    print(&report);
    write(&report, options.json.as_deref())?;
    if options.budgets {
        judge(&report)?;
    }
    Ok(())
}

/// Builds the object, loads every program of it with the least and with every feature, prints what each costs, and
/// holds it against the budgets, or makes it the budgets.
///
/// # Errors
/// As those of [`run`].
pub(crate) fn bench(bench: &Bench) -> Result<()> {
    let reports = match &bench.figures {
        None => vec![measured(None, &[Variant::Least, Variant::All], None)?],
        Some(file) => {
            let text = fs::read_to_string(file);
            let text = text.with_context(|| format!("reading {}", file.display()))?;
            let value = serde_json::from_str(&text);
            reports(value.with_context(|| format!("reading {}", file.display()))?)
        }
    };
    ensure!(
        !reports.is_empty(),
        "there are no figures of `verify` in that file"
    );
    for report in &reports {
        print(report);
        write(report, bench.json.as_deref())?;
        if bench.accept {
            accept(report)?;
        } else if !bench.is_only_told {
            judge(report)?;
        }
    }
    Ok(())
}

/// All reports in a value, however deep.
fn reports(value: Value) -> Vec<Report> {
    if let Ok(report) = Report::deserialize(&value) {
        return vec![report];
    }
    match value {
        Value::Array(values) => values.into_iter().flat_map(reports).collect(),
        Value::Object(fields) => fields.into_iter().flat_map(|(_, it)| reports(it)).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

/// What programs may cost on each kernel: kernel, settings, program, instructions after the verifier, those that it
/// walks through, bytes of stack and of machine code.
///
/// # Errors
/// The file of budgets cannot be read.
pub(crate) fn budgets() -> Result<Vec<Vec<String>>> {
    Ok(Budgets::read(&Budgets::path())?.rows())
}

fn measured(object: Option<&Path>, variants: &[Variant], log: Option<&Path>) -> Result<Report> {
    if !shell::is_root() {
        bail!("loading a program into the kernel needs root: run this as root, or by sudo");
    }
    let path = match object {
        Some(path) => path.to_owned(),
        None => built()?,
    };
    let object = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    let mut programs = Vec::new();
    for variant in variants {
        programs.extend(cost::costs(&object, *variant, log)?);
    }
    let kernel = rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned();
    Ok(Report { kernel, programs })
}

fn write(report: &Report, file: Option<&Path>) -> Result<()> {
    let Some(file) = file else {
        return Ok(());
    };
    let text = serde_json::to_string_pretty(report)? + "\n";
    fs::write(file, text).with_context(|| format!("writing {}", file.display()))
}

fn judge(report: &Report) -> Result<()> {
    let path = Budgets::path();
    let excesses = Budgets::read(&path)?.excesses(report);
    if excesses.is_empty() {
        println!("no program is over its budget");
        return Ok(());
    }
    bail!("by {}:\n  {}", path.display(), excesses.join("\n  "));
}

fn accept(report: &Report) -> Result<()> {
    let path = Budgets::path();
    let mut budgets = Budgets::read(&path)?;
    budgets.accept(report);
    fs::write(&path, budgets.text()).with_context(|| format!("writing {}", path.display()))?;
    println!("these figures are the budgets now: {}", path.display());
    Ok(())
}

/// The object, built now.
fn built() -> Result<PathBuf> {
    setup::run()?;
    ebpf::build_object(ebpf::Options::default())?;
    Ok(ebpf::object_path())
}

fn print(report: &Report) {
    let or_unknown =
        |number: Option<u32>| number.map_or_else(|| "?".to_owned(), |it| it.to_string());
    println!("kernel {}", report.kernel);
    println!(
        "{:<16} {:<9} {:>12} {:>12} {:>12} {:>12} {:>12} {:>10}",
        "program",
        "settings",
        "instructions",
        "after",
        "verified",
        "stack bytes",
        "JITed bytes",
        "load ms"
    );
    for cost in &report.programs {
        let stack: Vec<String> = cost.stack_bytes.iter().map(u32::to_string).collect();
        println!(
            "{:<16} {:<9} {:>12} {:>12} {:>12} {:>12} {:>12} {:>10.1}",
            cost.name,
            cost.settings.name(),
            cost.object_instructions,
            or_unknown(cost.translated_instructions),
            or_unknown(cost.verified_instructions),
            stack.join("+"),
            cost.jited_bytes,
            cost.load_ms
        );
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reports_are_found_in_what_tests_on_other_kernels_write() {
        let report = |kernel: &str| json!({"kernel": kernel, "programs": []});
        let whole = json!({"kernels": {
            "5.10": {"passed": 3, "programs": report("5.10.0-46-amd64")},
            "newest": {"passed": 3, "programs": report("7.3.4")},
            "6.1": "no mirror",
        }});
        let kernels: Vec<String> = reports(whole).into_iter().map(|it| it.kernel).collect();
        assert_eq!(kernels, ["5.10.0-46-amd64", "7.3.4"]);
        assert_eq!(reports(report("6.18")).len(), 1);
        assert!(reports(json!([1, "x"])).is_empty());
    }
}
