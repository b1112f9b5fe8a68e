//! What tests and the demo make outside of their own process, and must take away again.

use std::{collections::BTreeSet, fs, path::Path};

/// Names of namespaces and of directories in bpffs begin like this: those of the tests, those of the demo.
const PREFIXES: [&str; 2] = ["lbt-", "lb-demo-"];
/// In the environment of every daemon that a test starts, and of no other.
const MARK: &[u8] = b"LB_TEST=1";

/// What is there at one moment.
#[derive(Debug, Default)]
pub(super) struct Leftovers(BTreeSet<String>);

impl Leftovers {
    /// Looks for namespaces, pins, BPF file systems of a test's own, and daemons that tests started.
    pub(super) fn observe() -> Self {
        let namespaces = prefixed("namespace", Path::new("/run/netns"));
        let pins = prefixed("pins", Path::new("/sys/fs/bpf"));
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        Self(
            namespaces
                .chain(pins)
                .chain(bpf_mounts(&mounts))
                .chain(processes(MARK))
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

/// BPF file systems that tests have mounted in temporary directories, from the text of `/proc/self/mounts`.
fn bpf_mounts(mounts: &str) -> impl Iterator<Item = String> {
    mounts.lines().filter_map(|mount| {
        let mut fields = mount.split(' ').skip(1);
        let (place, kind) = (fields.next()?, fields.next()?);
        let name = Path::new(place).file_name()?.to_str()?;
        let is_ours = kind == "bpf" && PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        is_ours.then(|| format!("mount {place}"))
    })
}

/// Processes that were started with `variable` (`NAME=VALUE`) in their environment.
fn processes(variable: &[u8]) -> impl Iterator<Item = String> {
    names(Path::new("/proc"))
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        .filter(move |process| {
            let environment = fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
            environment
                .split(|&byte| byte == 0)
                .any(|it| it == variable)
        })
        .map(|process| {
            let name = fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
            format!("process {process} ({})", name.trim_end())
        })
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

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
    fn only_mounts_of_the_tests_are_found() {
        let mounts = "bpf /sys/fs/bpf bpf rw 0 0\n\
                      bpf /tmp/lbt-bpffs-x bpf rw 0 0\n\
                      tmpfs /tmp/lbt-y tmpfs rw 0 0\n";
        let found: Vec<String> = bpf_mounts(mounts).collect();
        assert_eq!(found, ["mount /tmp/lbt-bpffs-x"]);
    }

    #[test]
    fn a_process_is_found_by_its_mark_and_not_by_its_program() {
        // A child of its own for each: the environment is that at the start of a program.
        let sleep = |mark: Option<&str>| {
            let mut command = Command::new("sleep");
            command.arg("60").envs(mark.map(|mark| (mark, "1")));
            Sleeper(command.spawn().unwrap())
        };
        let name = format!("LB_TEST_{}", std::process::id());
        let (marked, _unmarked) = (sleep(Some(&name)), sleep(None));
        // Its environment is there a moment after a program has been started.
        let find = || -> Vec<String> { processes(format!("{name}=1").as_bytes()).collect() };
        let mut found = find();
        for _ in 0..500 {
            if found.is_empty() {
                std::thread::sleep(std::time::Duration::from_millis(10));
                found = find();
            }
        }
        assert_eq!(found, [format!("process {} (sleep)", marked.0.id())]);
    }

    /// A child that is ended with the test.
    struct Sleeper(Child);

    impl Drop for Sleeper {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn what_was_there_before_is_not_left_behind() {
        let set = |names: &[&str]| Leftovers(names.iter().map(|&it| it.to_owned()).collect());
        assert_eq!(set(&["a", "b"]).beyond(&set(&["a", "c"])), ["b"]);
    }
}
