//! The envelope of JSON-RPC 2.0 (specification, sections 4 to 6): requests, batches and responses.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap as _};
use serde_json::{Map, Number, Value};

use super::{Call, EVENT_METHOD, ErrorCode, Event, RpcError};

/// The value of `jsonrpc` in every request and response.
pub const JSONRPC: &str = "2.0";

/// The most requests that one batch may have.
pub const MAX_BATCH: usize = 1_000;

/// What ties a response to its request (section 4): chosen by the client and given back as it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Id {
    /// `null`: also the id of an answer to something whose id could not be read.
    Null,
    /// A number.
    Number(Number),
    /// A string.
    Text(String),
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => write!(f, "{text:?}"),
        }
    }
}

/// A request (section 4) whose envelope is in order; method and parameters are not looked at yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Absent in a notification: it is carried out and not answered (section 4.1).
    pub id: Option<Id>,
    /// The method's name.
    pub method: String,
    /// An object or an array.
    pub params: Option<Value>,
}

/// What is no request. It is answered even without an id, with the id `null` (section 5).
#[derive(Clone, Debug, PartialEq)]
pub struct Invalid {
    /// Its id, as far as it could be read.
    pub id: Id,
    /// What is wrong with it.
    pub error: Box<RpcError>,
}

impl Invalid {
    fn new(id: Id, code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            id,
            error: Box::new(RpcError::new(code, message)),
        }
    }
}

/// What one line holds: a request or a batch.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// One request.
    Single(Result<Request, Invalid>),
    /// 1 to [`MAX_BATCH`] requests (section 6).
    Batch(Vec<Result<Request, Invalid>>),
}

impl Message {
    /// Reads a line.
    ///
    /// # Errors
    /// The one answer to a line that is not JSON ([`ErrorCode::Parse`]), or to an empty or too large batch
    /// ([`ErrorCode::InvalidRequest`]).
    pub fn parse(line: &str) -> Result<Self, Invalid> {
        let refused = |code, message: String| Err(Invalid::new(Id::Null, code, message));
        match serde_json::from_str(line) {
            Err(error) => refused(ErrorCode::Parse, format!("the line is not JSON: {error}")),
            Ok(Value::Array(elements)) => match elements.len() {
                0 => refused(
                    ErrorCode::InvalidRequest,
                    "an empty batch: send at least one request".to_owned(),
                ),
                1..=MAX_BATCH => Ok(Self::Batch(
                    elements.into_iter().map(Request::from_value).collect(),
                )),
                length => refused(
                    ErrorCode::InvalidRequest,
                    format!("a batch of {length} requests: send at most {MAX_BATCH} at once"),
                ),
            },
            Ok(value) => Ok(Self::Single(Request::from_value(value))),
        }
    }
}

impl Request {
    fn from_value(value: Value) -> Result<Self, Invalid> {
        let invalid = |id, message: &str| Err(Invalid::new(id, ErrorCode::InvalidRequest, message));
        let Value::Object(mut fields) = value else {
            return invalid(Id::Null, "a request is a JSON object");
        };
        let id = match fields.remove("id") {
            None => None,
            Some(Value::Null) => Some(Id::Null),
            Some(Value::Number(number)) => Some(Id::Number(number)),
            Some(Value::String(text)) => Some(Id::Text(text)),
            Some(_) => return invalid(Id::Null, "id must be a string, a number or null"),
        };
        match Self::method_and_params(fields) {
            Ok((method, params)) => Ok(Self { id, method, params }),
            Err(message) => invalid(id.unwrap_or(Id::Null), &message),
        }
    }

    /// Reads what a request has beside its id; the error says what is wrong.
    fn method_and_params(
        mut fields: Map<String, Value>,
    ) -> Result<(String, Option<Value>), String> {
        if fields.remove("jsonrpc").as_ref().and_then(Value::as_str) != Some(JSONRPC) {
            return Err(format!("a request has \"jsonrpc\": \"{JSONRPC}\""));
        }
        let Some(Value::String(method)) = fields.remove("method") else {
            return Err("a request has a \"method\", a string".to_owned());
        };
        let params = fields.remove("params");
        if !matches!(params, None | Some(Value::Object(_) | Value::Array(_))) {
            return Err(format!(
                "params of {method} must be an object with named fields"
            ));
        }
        match fields.keys().next() {
            None => Ok((method, params)),
            Some(field) => Err(format!(
                "unknown field `{field}` in a request, expected `jsonrpc`, `id`, `method` or `params`"
            )),
        }
    }
}

/// A response (section 5): exactly one of result and error.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// The request's id.
    pub id: Id,
    /// The answer.
    pub outcome: Result<Value, RpcError>,
}

impl Response {
    /// An answer to something that went wrong.
    #[must_use]
    pub const fn error(id: Id, error: RpcError) -> Self {
        Self {
            id,
            outcome: Err(error),
        }
    }

    /// The response as JSON, without a newline.
    #[must_use]
    pub fn to_json(&self) -> String {
        // `Value` and `RpcError` have string keys only, so that this is plain writing into memory.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Serialize for Response {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("jsonrpc", JSONRPC)?;
        map.serialize_entry("id", &self.id)?;
        match &self.outcome {
            Ok(result) => map.serialize_entry("result", result)?,
            Err(error) => map.serialize_entry("error", error)?,
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Response {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// Keeps `null` apart from an absent field: `"result": null` is a result.
        fn present<'de, D: serde::Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<Value>, D::Error> {
            Value::deserialize(deserializer).map(Some)
        }

        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Fields {
            jsonrpc: String,
            id: Id,
            #[serde(default, deserialize_with = "present")]
            result: Option<Value>,
            #[serde(default)]
            error: Option<RpcError>,
        }

        let fields = Fields::deserialize(deserializer)?;
        if fields.jsonrpc != JSONRPC {
            let message = format!("a response has \"jsonrpc\": \"{JSONRPC}\"");
            return Err(serde::de::Error::custom(message));
        }
        let outcome = match (fields.result, fields.error) {
            (Some(result), None) => Ok(result),
            (None, Some(error)) => Err(error),
            _ => {
                let message = "a response has either a result or an error";
                return Err(serde::de::Error::custom(message));
            }
        };
        Ok(Self {
            id: fields.id,
            outcome,
        })
    }
}

/// What a subscriber is told without having asked (section 4.1): one event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification<E = Event> {
    /// [`JSONRPC`].
    pub jsonrpc: String,
    /// [`EVENT_METHOD`].
    pub method: String,
    /// The event.
    pub params: E,
}

/// The line in which a subscriber is told of `event`, the newline included.
#[must_use]
pub fn event_line(event: &Event) -> String {
    let notification = Notification {
        jsonrpc: JSONRPC.to_owned(),
        method: EVENT_METHOD.to_owned(),
        params: event,
    };
    // An event has string keys only, so that this is plain writing into memory.
    let mut line = serde_json::to_string(&notification).unwrap_or_default();
    line.push('\n');
    line
}

/// The line that a client sends for `call`, the newline included.
#[must_use]
pub fn request_line(id: u64, call: &Call) -> String {
    #[derive(Serialize)]
    struct Fields<'a> {
        jsonrpc: &'static str,
        id: u64,
        #[serde(flatten)]
        call: &'a Call,
    }

    let fields = Fields {
        jsonrpc: JSONRPC,
        id,
        call,
    };
    // Parameters have string keys only, so that this is plain writing into memory.
    let mut line = serde_json::to_string(&fields).unwrap_or_default();
    line.push('\n');
    line
}

#[cfg(test)]
mod tests;
