//! What tests and the demo make outside of their own process, and must take away again.

use std::{collections::BTreeSet, fs, path::Path};

use crate::workspace;

/// Names of namespaces and of directories in bpffs begin like this: those of the tests, those of the demo.
const PREFIXES: [&str; 2] = ["lbt-", "lb-demo-"];

/// What is there at one moment.
#[derive(Debug, Default)]
pub(super) struct Leftovers(BTreeSet<String>);

impl Leftovers {
    /// Looks for namespaces, pins, and processes of the daemon as built here.
    pub(super) fn observe() -> Self {
        let namespaces = prefixed("namespace", Path::new("/run/netns"));
        let pins = prefixed("pins", Path::new("/sys/fs/bpf"));
        Self(
            namespaces
                .chain(pins)
                .chain(processes(&workspace::release_binary("lbd")))
                .collect(),
        )
    }

    /// What is there now and was not before.
    pub(super) fn beyond(&self, before: &Self) -> Vec<String> {
        self.0.difference(&before.0).cloned().collect()
    }
}

fn names(directory: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned())
}

fn prefixed(kind: &str, directory: &Path) -> impl Iterator<Item = String> {
    let path = directory.display();
    names(directory)
        .filter(|name| PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
        .map(move |name| format!("{kind} {path}/{name}"))
}

/// Processes that run `program`.
fn processes(program: &Path) -> impl Iterator<Item = String> {
    let shown = program.display();
    names(Path::new("/proc"))
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        .filter(move |process| {
            let running = fs::read_link(format!("/proc/{process}/exe"));
            // After a new build, the file of a process that still runs the old one is "(deleted)".
            running.is_ok_and(|running| {
                running.to_string_lossy().trim_end_matches(" (deleted)")
                    == program.to_string_lossy()
            })
        })
        .map(move |process| format!("process {process} ({shown})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_our_prefixes_are_found_and_others_are_not() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["lbt-7", "lb-demo-7", "lb", "other"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        let found: Vec<String> = prefixed("namespace", directory.path()).collect();
        assert_eq!(found.len(), 2, "{found:?}");
    }

    #[test]
    fn this_very_process_is_found_by_its_program() {
        let program = std::env::current_exe().unwrap();
        let own = format!("process {} ", std::process::id());
        assert!(processes(&program).any(|process| process.starts_with(&own)));
    }

    #[test]
    fn what_was_there_before_is_not_left_behind() {
        let set = |names: &[&str]| Leftovers(names.iter().map(|&it| it.to_owned()).collect());
        assert_eq!(set(&["a", "b"]).beyond(&set(&["a", "c"])), ["b"]);
    }
}
