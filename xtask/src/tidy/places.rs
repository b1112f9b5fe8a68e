//! The tree as a whole: which files must be there, and what no file may speak of.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

use super::Violation;

/// Files that a newcomer looks for.
const REQUIRED: [&str; 7] = [
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "SECURITY.md",
];

/// Hidden directories that belong to the project.
const HIDDEN: [&str; 3] = [".cargo", ".ci", ".github"];

/// Directories that every machine has: a path in them tells nothing about this one.
const ORDINARY: [&str; 10] = [
    "", "etc", "home", "mnt", "opt", "root", "srv", "tmp", "usr", "var",
];

/// Every file of the project, relative to the workspace, sorted.
///
/// # Errors
/// A directory could not be read.
pub(super) fn files(root: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    let mut directories = vec![root.to_path_buf()];
    while let Some(directory) = directories.pop() {
        let context = || format!("reading directory {}", directory.display());
        for entry in fs::read_dir(&directory).with_context(context)? {
            let entry = entry.with_context(context)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let kind = entry.file_type().with_context(context)?;
            let skipped =
                name == "target" || (name.starts_with('.') && !HIDDEN.contains(&name.as_str()));
            if kind.is_dir() && !skipped {
                directories.push(entry.path());
            } else if kind.is_file() && name != "Cargo.lock" && name != ".git" {
                let path = entry.path();
                files.push(
                    path.strip_prefix(root)
                        .unwrap_or(&path)
                        .display()
                        .to_string(),
                );
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Files that are not there.
pub(super) fn check(root: &Path, files: &[String]) -> Vec<Violation> {
    REQUIRED
        .iter()
        .filter(|required| !files.iter().any(|file| file == *required))
        .map(|required| Violation::new(required, 1, format!("not there, in {}", root.display())))
        .collect()
}

/// Mentions of this machine: the path of the checkout, or of the directory it is in.
pub(super) fn check_text(root: &Path, file: &str, text: &str) -> Vec<Violation> {
    let private = private_paths(root);
    let lines = text.lines().zip(1..);
    let found = lines.filter(|(line, _)| private.iter().any(|path| has_path(line, path)));
    found
        .map(|(_, line)| Violation::new(file, line, "a path that only this machine has"))
        .collect()
}

/// Whether a line has a path that begins with `path`, not one that has it inside.
fn has_path(line: &str, path: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || "._-~/}".contains(c);
    line.match_indices(path).any(|(at, _)| {
        !line
            .get(..at)
            .is_some_and(|before| before.ends_with(inside))
    })
}

/// Beginnings of paths that say where this checkout is.
fn private_paths(root: &Path) -> Vec<String> {
    let is_ordinary = |path: &Path| {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        path.components().count() <= 2 && ORDINARY.contains(&name.as_str())
    };
    root.ancestors()
        .take(2)
        .filter(|path| !is_ordinary(path))
        .map(|path| format!("{}/", path.display()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_the_checkout_is_private_and_ordinary_ones_are_not() {
        let check = |root: &str, text: &str| check_text(Path::new(root), "README.md", text).len();
        assert_eq!(check("/builds/lb", "see /builds/other/file"), 1);
        assert_eq!(check("/home/me/lb", "see\n/home/me/lb/README.md"), 1);
        assert_eq!(check("/tmp/lb", "mktemp makes /tmp/x"), 0);
        assert_eq!(check("/lb", "see /etc/lb/lb.toml"), 0);
    }

    #[test]
    fn a_missing_document_is_reported_by_name() {
        let there = ["README.md".to_owned()];
        let missing = check(Path::new("/lb"), &there);
        assert_eq!(missing.len(), REQUIRED.len() - 1);
        assert!(missing.iter().any(|it| it.file == "CHANGELOG.md"));
    }

    #[test]
    fn built_and_hidden_files_are_not_the_projects() {
        let root = tempfile::tempdir().unwrap();
        for directory in ["target", ".git", ".ci", "src"] {
            fs::create_dir(root.path().join(directory)).unwrap();
            fs::write(root.path().join(directory).join("file"), "").unwrap();
        }
        assert_eq!(files(root.path()).unwrap(), [".ci/file", "src/file"]);
    }
}
