//! What is typed becomes the call that is meant; what comes back becomes text and an exit code.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::net::UnixListener,
    path::Path,
    thread::{self, JoinHandle},
    time::UNIX_EPOCH,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

mod calls;
mod configuration;
mod detach;
mod explain;
mod offline;
mod quic;

/// What a run left behind.
#[derive(Debug, PartialEq, Eq)]
struct Ran {
    exit: Exit,
    output: String,
    errors: String,
}

fn run_with_input(arguments: &[&str], mut input: &[u8]) -> Ran {
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let mut terminal = Terminal {
        input: &mut input,
        output: &mut output,
        errors: &mut errors,
        now: UNIX_EPOCH,
    };
    let arguments = ["lbctl"].iter().chain(arguments).map(OsString::from);
    let exit = execute(arguments, &mut terminal);
    Ran {
        exit,
        output: String::from_utf8(output).unwrap(),
        errors: String::from_utf8(errors).unwrap(),
    }
}

/// Runs `words` against a daemon that answers the one request with `answer`; gives what was asked, too.
fn run_against(words: &str, answer: &Value) -> (Ran, Value) {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("lb.sock");
    let daemon = answer_once(&path, answer.clone());
    let mut arguments = vec!["--socket", path.to_str().unwrap()];
    arguments.extend(words.split_whitespace());
    let ran = run_with_input(&arguments, b"service = []");
    (ran, daemon.join().unwrap())
}

fn answer_once(path: &Path, answer: Value) -> JoinHandle<Value> {
    let listener = UnixListener::bind(path).unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line).unwrap();
        let request: Value = serde_json::from_str(&line).unwrap();
        let mut response = json!({ "jsonrpc": "2.0", "id": request["id"] });
        let fields = response.as_object_mut().unwrap();
        fields.extend(answer.as_object().unwrap().clone());
        writeln!(stream, "{response}").unwrap();
        request
    })
}

fn call_of(words: &str) -> Value {
    let arguments = ["lbctl"].into_iter().chain(words.split_whitespace());
    let arguments = Arguments::try_parse_from(arguments).unwrap_or_else(|error| panic!("{error}"));
    let Command::Ask(question) = arguments.command else {
        panic!("{words} is not one call");
    };
    let call = question.call(&mut b"[daemon]".as_slice()).unwrap();
    serde_json::to_value(call).unwrap()
}

/// Every row: what is typed, and the method and parameters that are meant.
fn calls_are(rows: &[(&str, &str, Value)]) {
    for (words, method, params) in rows {
        let expected = json!({ "method": method, "params": params });
        assert_eq!(call_of(words), expected, "{words}");
    }
}

#[test]
fn what_makes_no_sense_is_a_usage_error_that_says_what_would() {
    for (words, expected) in [
        ("", "Usage"),
        ("service", "Usage"),
        ("service add web", "--vip"),
        ("service add -web --vip 192.0.2.10:443/tcp", "-w"),
        (
            "service add w/eb --vip 192.0.2.10:443/tcp",
            "is not a service name",
        ),
        (
            "service add web --vip 192.0.2.10:443",
            "write ADDRESS:PORT/PROTOCOL",
        ),
        (
            "service add web --vip 224.0.0.1:443/tcp",
            "not a unicast address",
        ),
        (
            "service add web --vip 192.0.2.10:443/tcp --mode vxlan",
            "l2, nat, ipip, gue, local, snat",
        ),
        (
            "service add web --vip 192.0.2.10:443/tcp --table-slots 100",
            "1021",
        ),
        (
            "service add web --vip 192.0.2.10:443/tcp --rise 2",
            "--probe",
        ),
        (
            "service add web --vip 192.0.2.10:443/tcp --probe tcp --probe-interval 2",
            "like 2s",
        ),
        ("service update web", "--weight|--vip"),
        (
            "service update web --probe tcp --no-probe",
            "cannot be used with",
        ),
        ("backend add web 10.0.0.11", "write ADDRESS:PORT"),
        (
            "backend add web 10.0.0.11:80 --weight 0",
            "drain the backend",
        ),
        ("backend update web 10.0.0.11:80", "--weight"),
        (
            "backend remove web 10.0.0.11:80 --force --drain-timeout 1s",
            "cannot be used with",
        ),
    ] {
        let arguments: Vec<&str> = words.split_whitespace().collect();
        let ran = run_with_input(&arguments, b"");
        assert_eq!(
            (ran.exit, ran.output.as_str()),
            (Exit::Usage, ""),
            "{words}"
        );
        let found = expected.split('|').any(|words| ran.errors.contains(words));
        assert!(found, "{words}: {}", ran.errors);
    }
}

#[test]
fn help_is_no_error() {
    for words in [
        ["--help"].as_slice(),
        &["--version"],
        &["service", "add", "--help"],
    ] {
        let ran = run_with_input(words, b"");
        assert_eq!(
            (ran.exit, ran.errors.as_str()),
            (Exit::Done, ""),
            "{words:?}"
        );
        assert!(ran.output.len() > 10, "{words:?}");
    }
}

#[test]
fn a_change_prints_its_generation_and_warns_on_standard_error() {
    let answer =
        json!({ "result": { "generation": 12, "warnings": ["10.0.0.11:80 has no route"] } });
    let (ran, request) = run_against("backend add web 10.0.0.11:80", &answer);
    let expected = Ran {
        exit: Exit::Done,
        output: "generation 12\n".to_owned(),
        errors: "lbctl: warning: 10.0.0.11:80 has no route\n".to_owned(),
    };
    assert_eq!(ran, expected);
    assert_eq!(request["method"], "backend.add");
}

#[test]
fn json_is_the_protocols_own_answer() {
    let result = json!({ "generation": 12, "warnings": ["w"], "later": [1] });
    let (ran, _) = run_against(
        "--json backend drain web 10.0.0.11:80",
        &json!({ "result": result }),
    );
    assert_eq!(ran.exit, Exit::Done);
    assert_eq!(serde_json::from_str::<Value>(&ran.output).unwrap(), result);
    assert_eq!(ran.errors, "");

    let error = json!({ "code": -32002, "message": "no service `web`" });
    let (ran, _) = run_against("--json service get web", &json!({ "error": error }));
    assert_eq!((ran.exit, ran.output.as_str()), (Exit::Failed, ""));
    assert_eq!(serde_json::from_str::<Value>(&ran.errors).unwrap(), error);
}

#[test]
fn refusals_are_one_sentence_with_their_own_exit_code() {
    for (code, exit) in [
        (-32700, Exit::Failed),
        (-32600, Exit::Failed),
        (-32601, Exit::Failed),
        (-32602, Exit::Usage),
        (-32603, Exit::Failed),
        (-32001, Exit::NotAllowed),
        (-32002, Exit::Failed),
        (-32003, Exit::Failed),
        (-32004, Exit::InvalidConfig),
        (-32005, Exit::Failed),
        (-32007, Exit::Failed),
    ] {
        let answer = json!({ "error": { "code": code, "message": "it is so" } });
        let (ran, _) = run_against("service remove web", &answer);
        let expected = Ran {
            exit,
            output: String::new(),
            errors: "lbctl: it is so\n".to_owned(),
        };
        assert_eq!(ran, expected, "{code}");
    }
}

#[test]
fn a_daemon_that_is_not_there_has_its_own_exit_code() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("lb.sock");
    let ran = run_with_input(&["status", "--socket", path.to_str().unwrap()], b"");
    assert_eq!(ran.exit, Exit::Unreachable);
    let expected = format!(
        "lbctl: cannot reach the daemon at {} (is lbd running?): No such file or directory (os error 2)\n",
        path.display()
    );
    assert_eq!(ran.errors, expected);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let ran = run_with_input(&["config", "apply", "/no/such/lb.toml"], b"");
    assert_eq!(ran.exit, Exit::Failed);
    assert!(
        ran.errors
            .starts_with("lbctl: cannot read /no/such/lb.toml: "),
        "{}",
        ran.errors
    );

    let directory = TempDir::new().unwrap();
    let file = directory.path().join("lb.toml");
    fs::write(&file, "[daemon]\n").unwrap();
    let words = format!("config check {}", file.display());
    assert_eq!(call_of(&words)["params"], json!({ "toml": "[daemon]\n" }));
}

#[test]
fn an_answer_of_another_version_is_said_to_be_one() {
    let (ran, _) = run_against("status", &json!({ "result": { "state": "fine" } }));
    assert_eq!(ran.exit, Exit::Failed);
    assert!(
        ran.errors.contains("of the same version?"),
        "{}",
        ran.errors
    );
}

#[test]
fn a_reader_that_has_had_enough_is_no_error() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut errors = Vec::new();
    let mut terminal = Terminal {
        input: &mut io::empty(),
        output: &mut Closed,
        errors: &mut errors,
        now: UNIX_EPOCH,
    };
    let exit = execute(["lbctl", "--help"].map(OsString::from), &mut terminal);
    assert_eq!((exit, errors.len()), (Exit::Done, 0));
}
