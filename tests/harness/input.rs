//! What must hold for whatever bytes reach the daemon: configurations, requests, saved states and
//! their journals.
//!
//! Each function takes any bytes and panics if something is wrong. The suite `inputs` calls them with damaged examples,
//! and `cargo fuzz` with what it finds out.

use lb_userspace::{
    config::{Fault, Host, text, validate},
    control::protocol::{
        Call, MAX_LINE_BYTES, RpcError,
        wire::{Id, Message, Response, request_line},
    },
    state::{self, Saved, Unusable, journal},
};
use serde_json::Value;

/// A configuration is read, or has faults, each with its place in the text. One that is read is written and read back
/// alike. Answers whether it is read.
#[must_use]
pub fn config(bytes: &[u8]) -> bool {
    let Ok(toml) = str::from_utf8(bytes) else {
        return false;
    };
    let config = match text::load(toml, &Host::default()) {
        Ok(config) => config,
        Err(faults) => {
            assert!(!faults.0.is_empty(), "refused without a fault");
            faults
                .0
                .iter()
                .for_each(|fault| assert_in_text(fault, toml));
            return false;
        }
    };
    let spec = validate::config_spec_of(&config.desired);
    let written = toml::to_string(&spec).expect("a configuration can be written");
    let again = text::load(&written, &Host::default());
    let again = again.unwrap_or_else(|faults| panic!("written and not read: {faults}\n{written}"));
    assert_eq!(again.desired, config.desired, "{written}");
    true
}

/// A fault says what is wrong, in a line that the text has.
fn assert_in_text(fault: &Fault, text: &str) {
    assert!(!fault.message.is_empty(), "{fault:?}");
    let line = fault.line.expect("a line") as usize;
    let lines = text.split('\n').count();
    assert!((1..=lines).contains(&line), "{fault:?} of {lines} lines");
    assert!(fault.column.is_some_and(|column| column >= 1), "{fault:?}");
}

/// A line is a request, a batch, or an error in words; a call that is understood is sent as it was read. Answers
/// whether a call was understood.
#[must_use]
pub fn protocol(bytes: &[u8]) -> bool {
    let Ok(line) = str::from_utf8(bytes) else {
        return false;
    };
    let requests = match Message::parse(line) {
        Ok(Message::Single(request)) => vec![request],
        Ok(Message::Batch(requests)) => requests,
        Err(invalid) => {
            assert_an_answer(invalid.id, *invalid.error);
            return false;
        }
    };
    let mut understood = false;
    for request in requests {
        match request {
            Err(invalid) => assert_an_answer(invalid.id, *invalid.error),
            Ok(request) => {
                let id = request.id.unwrap_or(Id::Null);
                match Call::decode(&request.method, request.params) {
                    Ok(call) => {
                        assert_sent_as_read(&call);
                        understood = true;
                    }
                    Err(error) => assert_an_answer(id, error),
                }
            }
        }
    }
    understood
}

/// An error is one line that a client can read.
fn assert_an_answer(id: Id, error: RpcError) {
    assert!(!error.message.is_empty(), "an error without words");
    let response = Response::error(id, error);
    let line = response.to_json();
    assert!(!line.contains('\n'), "{line}");
    let read: Response = serde_json::from_str(&line).expect("an answer");
    assert_eq!(read, response);
}

fn assert_sent_as_read(call: &Call) {
    assert!(!call.words().is_empty());
    let line = request_line(1, call);
    if line.len() > MAX_LINE_BYTES {
        return;
    }
    let Ok(Message::Single(Ok(request))) = Message::parse(&line) else {
        panic!("no request: {line}");
    };
    let again = Call::decode(&request.method, request.params);
    assert_eq!(again.as_ref(), Ok(call), "{line}");
}

/// A saved state is read, or is refused in words; one that is read is saved and read back alike. Answers whether it is
/// read.
#[must_use]
pub fn state(bytes: &[u8]) -> bool {
    let saved: Saved = match state::parse(bytes) {
        Ok(saved) => saved,
        Err(Unusable::Corrupt(reason)) => {
            assert!(!reason.is_empty(), "refused without a reason");
            return false;
        }
        Err(Unusable::Newer(version)) => {
            assert!(version > state::VERSION, "{version}");
            return false;
        }
    };
    let written = serde_json::to_vec(&saved).expect("a state can be written");
    let whole: Value = serde_json::from_slice(&written).expect("JSON");
    assert!(whole.is_object(), "{whole}");
    let again = state::parse(&written);
    // What an earlier version wrote is written as the present one.
    assert_eq!(
        again.map(|it| it.desired).as_ref(),
        Ok(&saved.desired),
        "{whole}"
    );
    true
}

/// A journal is read, or is refused in words; one that is read is written and read back alike. Its lines are given
/// without checksums, which would keep most damage out, and then once more as they are. Answers whether it is read.
#[must_use]
pub fn journal(bytes: &[u8]) -> bool {
    const SNAPSHOT: u64 = 7;
    if let Ok((snapshot, lines)) = journal::begin(bytes) {
        let _ = differences(lines, snapshot);
    }
    let lines = bytes.split_inclusive(|&byte| byte == b'\n');
    let sealed = lines.flat_map(|line| match line.strip_suffix(b"\n") {
        Some(change) => journal::sealed(change, SNAPSHOT),
        // What a crash leaves of a line.
        None => line.to_vec(),
    });
    let first = journal::first_line(SNAPSHOT).expect("a first line");
    let text: Vec<u8> = first.into_iter().chain(sealed).collect();
    let (snapshot, lines) = journal::begin(&text).expect("a whole first line");
    assert_eq!(snapshot, SNAPSHOT);
    let Some(differences) = differences(lines, SNAPSHOT) else {
        return false;
    };
    let written = differences.iter().flat_map(|it| {
        let line = journal::line(it, SNAPSHOT);
        line.expect("a change can be written")
    });
    let written: Vec<u8> = written.collect();
    let again = self::differences(&written, SNAPSHOT);
    assert_eq!(again.as_ref(), Some(&differences));
    true
}

fn differences(lines: &[u8], snapshot: u64) -> Option<Vec<journal::Difference>> {
    match journal::read(lines, snapshot) {
        Ok(read) => {
            assert!(read.torn <= lines.len(), "{read:?}");
            Some(read.differences)
        }
        Err(Unusable::Corrupt(reason)) => {
            assert!(reason.starts_with("line "), "{reason}");
            None
        }
        Err(Unusable::Newer(version)) => panic!("the first line alone has a version: {version}"),
    }
}
