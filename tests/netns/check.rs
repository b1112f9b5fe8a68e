//! `lbd check` says of a file what `lbctl config check` says, to everybody and without a daemon.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use lb_tests::{
    daemon::{Instance, binary},
    netns::Namespace,
};
use tempfile::TempDir;

use crate::scene::lone;

const FAILED: i32 = 1;
const INVALID_CONFIG: i32 = 3;

/// Faults that are in the text.
const FAULTY: &str = r#"
[[service]]
name = "one"
vips = ["192.0.2.10:80/dccp"]
[[service]]
name = "two"
vips = ["192.0.2.10:0/tcp"]
wieght = 2
"#;

/// A fault on hosts that reach the backend through a gateway.
const BEHIND_GATEWAY: &str = r#"
[[service]]
name = "one"
vips = ["192.0.2.10:80/tcp"]
[[service.backend]]
address = "10.9.0.2:80"
"#;

const GOOD: &str = "[[service]]\nname = \"one\"\nvips = [\"192.0.2.10:80/tcp\"]\n";

/// A directory that everybody may read, with a copy of `lbd` that everybody may run.
struct Public(TempDir);

impl Public {
    fn new() -> Self {
        let directory = TempDir::with_prefix("lbt-").expect("a temporary directory");
        let may_enter = Permissions::from_mode(0o755);
        fs::set_permissions(directory.path(), may_enter).expect("permissions");
        fs::copy(binary("lbd"), directory.path().join("lbd")).expect("a copy of lbd");
        Self(directory)
    }

    fn file(&self, text: &str) -> PathBuf {
        let file = self.0.path().join("lb.toml");
        fs::write(&file, text).expect("writing a configuration");
        fs::set_permissions(&file, Permissions::from_mode(0o644)).expect("permissions");
        file
    }

    /// Runs `lbd check` as nobody.
    fn check(&self, namespace: &Namespace, arguments: &[&str]) -> (Option<i32>, String, String) {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net={}", namespace.path().display()))
            .args([
                "setpriv",
                "--reuid=65534",
                "--regid=65534",
                "--clear-groups",
            ])
            .arg(self.0.path().join("lbd"))
            .arg("check")
            .args(arguments);
        ran(command, "lbd: ")
    }
}

/// The exit code, what was said on standard output, and on standard error without `prefix` before its lines.
#[track_caller]
fn ran(mut command: Command, prefix: &str) -> (Option<i32>, String, String) {
    let output = command.stdin(Stdio::null()).output().expect("it runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    let without = |line: &str| {
        let line = line.strip_prefix(prefix);
        line.unwrap_or_else(|| panic!("without `{prefix}`: {errors}"))
            .to_owned()
    };
    let lines: Vec<String> = errors.lines().map(without).collect();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code(), said, lines.join("\n"))
}

fn check_by_daemon(instance: &Instance, file: &Path) -> (Option<i32>, String, String) {
    let mut command = Command::new(binary("lbctl"));
    command
        .args(["--socket".as_ref(), instance.socket().as_os_str()])
        .args(["config".as_ref(), "check".as_ref(), file.as_os_str()]);
    ran(command, "lbctl: ")
}

#[test]
fn everybody_may_check_a_file_and_hears_what_the_daemon_would_say() {
    let (namespace, instance) = lone();
    namespace.ip("address add 10.0.0.1/24 dev up0");
    namespace.ip("route add 10.9.0.0/24 via 10.0.0.2");
    let daemon = instance.start();
    let public = Public::new();
    for (text, code, words) in [
        (GOOD, 0, &[][..]),
        (FAULTY, INVALID_CONFIG, &["line 4", "line 7", "line 8"]),
        (BEHIND_GATEWAY, INVALID_CONFIG, &["leads through a gateway"]),
    ] {
        let file = public.file(text);
        let checked = public.check(&namespace, &[&file.display().to_string()]);
        assert_eq!(checked, check_by_daemon(&instance, &file), "{text}");
        assert_eq!(checked.0, Some(code), "{checked:?}");
        for word in words {
            assert!(checked.2.contains(word), "`{word}` is not in: {checked:?}");
        }
    }
    assert!(daemon.stop().success());
    // Nobody is there to be asked, and the file is for another host.
    let file = public.file(BEHIND_GATEWAY).display().to_string();
    let checked = public.check(&namespace, &["--elsewhere", &file]);
    assert_eq!(checked, (Some(0), "valid\n".to_owned(), String::new()));
}

#[test]
fn a_file_that_cannot_be_read_is_no_fault_of_its_text() {
    let (namespace, _instance) = lone();
    let (code, _, said) = Public::new().check(&namespace, &["/no/such/lb.toml"]);
    assert_eq!(code, Some(FAILED), "{said}");
    assert!(said.contains("/no/such/lb.toml"), "{said}");
}
