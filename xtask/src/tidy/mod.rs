//! `tidy`: the rules of the architecture as code. ARCHITECTURE.md gives the reasons.
//!
//! [`source`] reads a file as tokens, so that comments and strings are never taken for code; [`imports`]
//! says who may name whom; [`shape`] says what a file may look like; [`places`] is about the tree as a
//! whole.

use std::{fmt, fs, path::Path};

use anyhow::{Context as _, Result, bail};

mod imports;
mod places;
mod shape;
mod source;
#[cfg(test)]
mod tests;

use crate::workspace;
use source::Source;

/// A breach of a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Violation {
    /// The file, relative to the workspace.
    file: String,
    /// The line, from 1.
    line: usize,
    /// What the rule is, and how this breaks it.
    message: String,
}

impl Violation {
    fn new(file: &str, line: usize, message: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line,
            message: message.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.message)
    }
}

/// Reports every breach.
///
/// # Errors
/// There is one, or a file could not be read.
pub(crate) fn run() -> Result<()> {
    let root = workspace::root();
    let files = places::files(&root)?;
    let mut violations = places::check(&root, &files);
    for file in &files {
        check_file(&root, file, &mut violations)?;
    }
    violations.sort();
    for violation in &violations {
        println!("{violation}");
    }
    if !violations.is_empty() {
        bail!(
            "{} breaches of the house rules: see above",
            violations.len()
        );
    }
    println!("tidy: {} files, no breach", files.len());
    Ok(())
}

fn check_file(root: &Path, file: &str, violations: &mut Vec<Violation>) -> Result<()> {
    let bytes = fs::read(root.join(file)).with_context(|| format!("reading {file}"))?;
    let Ok(text) = String::from_utf8(bytes) else {
        return Ok(());
    };
    violations.extend(places::check_text(root, file, &text));
    if Path::new(file)
        .extension()
        .is_some_and(|extension| extension == "rs")
    {
        let source =
            Source::parse(file, &text).with_context(|| format!("reading {file} as Rust"))?;
        violations.extend(shape::check(&source));
        violations.extend(imports::check(&source));
    }
    Ok(())
}
