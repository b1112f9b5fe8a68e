//! Exec probes; all but one need to be root, to become somebody else.

use std::{fs, time::Instant};

use super::*;
use crate::model::ExecCheck;

fn exec(script: &str) -> ProbeKind {
    let command = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
    ProbeKind::Exec(ExecCheck { command })
}

fn backend() -> Target {
    Target {
        service: "web".parse().unwrap(),
        address: "10.0.0.1:80".parse().unwrap(),
    }
}

/// What comes of `probe`, made by nobody; `None` without the rights to become nobody.
async fn run(probe: &Probe) -> Option<Result<Duration, Failure>> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let nobody = ExecUser::named("nobody").unwrap();
    Some(attempt(probe, &backend(), backend().address.into(), Some(nobody)).await)
}

#[tokio::test]
async fn a_command_is_run_by_nobody_without_anything_of_the_daemons() {
    // A descriptor of this process, like those of the daemon.
    let secret = tempfile::Builder::new().prefix("lbt-secret").tempfile();
    let _secret = secret.unwrap();
    let script = r#"
        test "$(id -u):$(id -G)" = "$(id -u nobody):$(id -g nobody)" || { id; exit 1; }
        grep -q '^NoNewPrivs:.1$' /proc/self/status || { echo privileges; exit 1; }
        grep -q '^CapEff:.0*$' /proc/self/status || { echo capabilities; exit 1; }
        test "$(pwd)" = / || { pwd; exit 1; }
        test "$LB_SERVICE $LB_ADDRESS $LB_PORT" = "web 10.0.0.1 80" || { env; exit 1; }
        test -z "$HOME$CARGO_MANIFEST_DIR" || { env; exit 1; }
        ls -l /proc/$$/fd | grep -q lbt-secret && { echo descriptors; exit 1; }
        exit 0
    "#;
    if let Some(result) = run(&probe(exec(script))).await {
        assert!(result.is_ok(), "{result:?}");
    }
}

#[tokio::test]
async fn another_exit_code_is_told_with_the_first_line_that_was_said() {
    for (script, words) in [
        ("exit 3", "exit code 3"),
        (
            "echo; echo ' too\tslow'; echo more; exit 1",
            "exit code 1: tooslow",
        ),
        ("echo on stderr >&2; false", "exit code 1: on stderr"),
        ("kill -9 $$", "signal: 9 (SIGKILL)"),
    ] {
        if let Some(result) = run(&probe(exec(script))).await {
            assert_eq!(result.unwrap_err().to_string(), words);
        }
    }
}

#[tokio::test]
async fn much_output_is_cut_and_holds_nobody_up() {
    let script = "head -c 1000000 /dev/zero | tr '\\0' x; exit 1";
    if let Some(result) = run(&probe(exec(script))).await {
        let words = result.unwrap_err().to_string();
        assert_eq!(words, format!("exit code 1: {}", "x".repeat(512)));
    }
}

/// Whether a process with `mark` among its words is there.
fn is_alive(mark: &str) -> bool {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let mut commands =
        processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    commands.any(|command| String::from_utf8_lossy(&command).contains(mark))
}

#[tokio::test]
async fn nothing_that_a_command_started_outlives_it() {
    let pid = std::process::id();
    for (number, (end, timeout)) in [("exit 0", TIMEOUT), ("wait", SHORT_TIMEOUT)]
        .iter()
        .enumerate()
    {
        let mark = format!("{pid}.0{number}");
        let probe = Probe {
            timeout: *timeout,
            ..probe(exec(&format!("sleep 9{mark} & {end}")))
        };
        let Some(result) = run(&probe).await else {
            return;
        };
        match result {
            Ok(_) => assert_eq!(*end, "exit 0"),
            Err(failure) => assert_eq!(
                failure.to_string(),
                "timed out after 100ms waiting for the command's end"
            ),
        }
        let begin = Instant::now();
        while is_alive(&mark) {
            assert!(begin.elapsed() < TIMEOUT, "{end}: it lives");
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn nothing_is_run_where_it_is_not_allowed() {
    let failure = attempt(
        &probe(exec("exit 0")),
        &backend(),
        backend().address.into(),
        None,
    )
    .await;
    let failure = failure.unwrap_err();
    assert!(
        matches!(&failure, Failure::Local(words) if words.contains("allow_exec_probes")),
        "{failure}"
    );
}

#[tokio::test]
async fn a_program_that_is_not_there_is_this_hosts_fault() {
    let command = vec!["/does/not/exist".to_owned()];
    if let Some(result) = run(&probe(ProbeKind::Exec(ExecCheck { command }))).await {
        let failure = result.unwrap_err();
        assert!(
            matches!(&failure, Failure::Local(words) if words.starts_with("cannot run /does/not/exist: ")),
            "{failure}"
        );
    }
}

#[test]
fn root_and_strangers_are_no_unprivileged_users() {
    for name in ["root", "no such user"] {
        let words = ExecUser::named(name).unwrap_err().to_string();
        assert!(words.contains("exec_user"), "{words}");
    }
}
