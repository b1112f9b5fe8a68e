//! The control socket as a foreign client sees it: lines of JSON, no code of the product.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use serde_json::{Value, json};

use crate::wait;

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(20);

/// A connection.
#[derive(Debug)]
pub struct Control {
    stream: BufReader<UnixStream>,
    next_id: u64,
}

/// An error as it stood in an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    /// The number.
    pub code: i64,
    /// The sentence.
    pub message: String,
    /// More for machines.
    pub data: Value,
}

impl Control {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn connect(socket: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(wait::patient(LIMIT)))?;
        stream.set_write_timeout(Some(wait::patient(LIMIT)))?;
        Ok(Self {
            stream: BufReader::new(stream),
            next_id: 1,
        })
    }

    /// Calls a method and waits for its result.
    ///
    /// # Errors
    /// The daemon answered with an error.
    pub fn call(&mut self, method: &str, params: &Value) -> Result<Value, Refused> {
        let id = self.next_id;
        self.next_id += 1;
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        let answer = self.exchange(format!("{request}\n").as_bytes());
        assert_eq!(answer.get("jsonrpc"), Some(&json!("2.0")), "{answer}");
        assert_eq!(answer.get("id"), Some(&json!(id)), "{answer}");
        outcome(&answer)
    }

    /// Sends a request and does not wait for its answer: nothing else can be asked by this connection thereafter.
    pub fn send(&mut self, method: &str, params: &Value) {
        let request =
            json!({"jsonrpc": "2.0", "id": self.next_id, "method": method, "params": params});
        self.next_id += 1;
        let stream = self.stream.get_mut();
        let sent = stream.write_all(format!("{request}\n").as_bytes());
        sent.unwrap_or_else(|error| panic!("sending {request}: {error}"));
    }

    /// Calls a method that must work.
    pub fn must(&mut self, method: &str, params: &Value) -> Value {
        self.call(method, params)
            .unwrap_or_else(|refused| panic!("{method} {params}: {refused:?}"))
    }

    /// Calls a method that must be refused.
    pub fn refused(&mut self, method: &str, params: &Value) -> Refused {
        match self.call(method, params) {
            Err(refused) => refused,
            Ok(result) => panic!("{method} {params} was not refused: {result}"),
        }
    }

    /// Sends bytes as they are and reads one line.
    pub fn exchange(&mut self, bytes: &[u8]) -> Value {
        // A daemon may refuse a line before it has read all of it; the answer is there all the same.
        let sent = self.stream.get_mut().write_all(bytes);
        self.line()
            .unwrap_or_else(|error| panic!("no answer: sending {sent:?}, reading {error}"))
    }

    /// Waits for a line that was not asked for: `params` of the notification `event`.
    pub fn event(&mut self) -> Value {
        let mut event = self.line().expect("an event");
        assert_eq!(event.get("method"), Some(&json!("event")), "{event}");
        event.get_mut("params").map(Value::take).unwrap_or_default()
    }

    fn line(&mut self) -> io::Result<Value> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(
            serde_json::from_str(&line)
                .unwrap_or_else(|error| panic!("{error} in answer `{line}`")),
        )
    }
}

/// The result or the error of an answer.
///
/// # Errors
/// The answer is an error.
pub fn outcome(answer: &Value) -> Result<Value, Refused> {
    match (answer.get("result"), answer.get("error")) {
        (Some(result), None) => Ok(result.clone()),
        (None, Some(error)) => Err(Refused {
            code: error
                .get("code")
                .and_then(Value::as_i64)
                .unwrap_or_default(),
            message: error
                .get("message")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            data: error.get("data").cloned().unwrap_or_default(),
        }),
        _ => panic!("neither a result nor an error: {answer}"),
    }
}
