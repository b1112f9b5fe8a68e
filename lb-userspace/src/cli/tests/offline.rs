//! What is printed without a daemon, and what is refused before one is asked; and `watch`, which is more than one call.

use super::*;
use crate::config::spec::ConfigSpec;
use crate::manual::tests::assert_is_told_whole;

#[test]
fn every_command_has_its_man_page_and_completions() {
    assert_is_told_whole(&command());
}

#[test]
fn what_needs_no_daemon_is_printed_without_one() {
    let schema = run_with_input(&["schema"], b"");
    let document: Value = serde_json::from_str(&schema.output).unwrap();
    assert!(document["methods"]["events.subscribe"].is_object());
    let script = run_with_input(&["completions", "bash"], b"");
    assert!(script.output.contains("backend-setup"));
    let page = run_with_input(&["man"], b"");
    assert!(page.output.contains(".TH lbctl 1"));
    for ran in [schema, script, page] {
        assert_eq!((ran.exit, ran.errors.as_str()), (Exit::Done, ""));
    }
    let ran = run_with_input(&["man", "/dev/null/man1"], b"");
    assert_eq!(ran.exit, Exit::Failed);
    assert!(ran.errors.contains("/dev/null/man1"), "{}", ran.errors);
}

#[test]
fn rates_that_are_no_number_of_packets_are_explained() {
    for rate in ["x", "0", "10000001"] {
        let arguments = ["service", "update", "web", "--source-rate", rate];
        let ran = run_with_input(&arguments, b"");
        assert_eq!(ran.exit, Exit::Usage);
        let wanted = "write a number of packets from 1 to 10000000";
        assert!(ran.errors.contains(wanted), "{}", ran.errors);
    }
}

#[test]
fn watch_prints_events_until_the_daemon_ends() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("lb.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let daemon = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line).unwrap();
        let answer = json!({ "jsonrpc": "2.0", "id": 1, "result": { "sequence": 4 } });
        let event = json!({ "jsonrpc": "2.0", "method": "event", "params": {
            "sequence": 5, "time_ms": 0, "kind": "publication", "generation": 7, "steps": 3,
        } });
        writeln!(stream, "{answer}\n{event}").unwrap();
        serde_json::from_str::<Value>(&line).unwrap()
    });
    let socket = path.to_str().unwrap();
    let ran = run_with_input(
        &["--socket", socket, "watch", "--kind", "publication,error"],
        b"",
    );
    let request = daemon.join().unwrap();
    assert_eq!(
        request["params"],
        json!({ "kinds": ["publication", "error"] })
    );
    assert_eq!(ran.exit, Exit::Unreachable, "{}", ran.errors);
    assert_eq!(
        ran.output,
        "1970-01-01T00:00:00.000Z publication: generation 7, steps: 3\n"
    );
}

#[test]
fn another_balancers_file_is_printed_as_ours_with_what_it_lacks() {
    let file = b"virtual_server 192.0.2.10 80 {\nlb_algo sed\nreal_server 10.0.0.11 80 {\nTCP_CHECK {\n}\n}\n}\n";
    let ran = run_with_input(&["import", "keepalived", "-"], file);
    assert_eq!(ran.exit, Exit::Done, "{}", ran.errors);
    assert!(
        ran.errors.contains("line 2: `lb_algo sed`: "),
        "{}",
        ran.errors
    );
    let config: ConfigSpec = toml::from_str(&ran.output).unwrap();
    assert_eq!(config.services[0].vips, ["192.0.2.10:80/tcp"]);

    let mended = run_with_input(
        &["import", "keepalived", "-"],
        b"virtual_server 192.0.2.300 80 {\n}\n",
    );
    assert_eq!(mended.exit, Exit::InvalidConfig);
    assert!(
        mended.errors.contains("to be mended: "),
        "{}",
        mended.errors
    );
    let broken = run_with_input(&["import", "keepalived", "-"], b"virtual_server {\n");
    assert_eq!(
        (broken.exit, broken.output.as_str()),
        (Exit::InvalidConfig, "")
    );
}
