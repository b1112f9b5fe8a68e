//! The schema of all that goes over the socket and stands in a configuration file, made from the types themselves.

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::{
    API_VERSION, EVENT_METHOD, ErrorCode, Event, METHODS, RpcError,
    wire::{JSONRPC, MAX_BATCH},
};
use crate::config::spec::ConfigSpec;

/// One JSON Schema document (draft 2020-12). As a whole it says what a line may hold; `methods` has the parameters and
/// the result of each method, `errors` the meaning of each code, `$defs` the rest: `Request`, `Response`, `Event`,
/// `Configuration` (the file) and the types that these are made of.
#[must_use]
pub fn schema() -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let methods: Map<String, Value> = METHODS
        .iter()
        .map(|method| {
            let parts = json!({
                "description": method.summary.trim(),
                "readOnly": method.is_read_only,
                "params": (method.params)(&mut generator),
                "result": (method.answer)(&mut generator),
            });
            (method.name.to_owned(), parts)
        })
        .collect();
    let error = part::<RpcError>(&mut generator);
    let event = part::<Event>(&mut generator);
    let configuration = part::<ConfigSpec>(&mut generator);
    let mut definitions = generator.take_definitions(true);
    definitions.extend([
        ("Request".to_owned(), request()),
        ("Response".to_owned(), response(&error)),
        ("Notification".to_owned(), notification(&event)),
        ("Configuration".to_owned(), configuration),
    ]);
    let errors = ErrorCode::ALL.iter();
    let errors = errors.map(|(code, meaning)| (code.number().to_string(), json!(meaning.trim())));
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The control socket of lbd",
        "description": "What a line may hold. `methods` has the parameters and the result of each method, `errors` the meaning of each code, `$defs/Configuration` the configuration file.",
        "api": API_VERSION,
        "anyOf": [
            { "$ref": "#/$defs/Request" },
            batch("Request"),
            { "$ref": "#/$defs/Response" },
            batch("Response"),
            { "$ref": "#/$defs/Notification" },
        ],
        "methods": methods,
        "errors": errors.collect::<Map<_, _>>(),
        "$defs": definitions,
    })
}

fn part<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    generator.subschema_for::<T>().to_value()
}

fn batch(of: &str) -> Value {
    json!({
        "type": "array",
        "items": { "$ref": format!("#/$defs/{of}") },
        "minItems": 1,
        "maxItems": MAX_BATCH,
    })
}

fn id() -> Value {
    json!({ "type": ["string", "number", "null"] })
}

/// One request: its method decides about its parameters, which may be absent if none of them is required.
fn request() -> Value {
    let of_method = |name: &str| {
        json!({
            "properties": {
                "method": { "const": name },
                "params": { "$ref": format!("#/methods/{name}/params") },
            },
        })
    };
    let methods: Vec<Value> = METHODS
        .iter()
        .map(|method| of_method(method.name))
        .collect();
    json!({
        "description": "A request; without an id it is carried out and not answered.",
        "type": "object",
        "properties": {
            "jsonrpc": { "const": JSONRPC },
            "id": id(),
            "method": { "type": "string" },
            "params": { "type": "object" },
        },
        "required": ["jsonrpc", "method"],
        "additionalProperties": false,
        "oneOf": methods,
    })
}

fn response(error: &Value) -> Value {
    json!({
        "description": "An answer; the request's method decides about its result.",
        "type": "object",
        "properties": {
            "jsonrpc": { "const": JSONRPC },
            "id": id(),
            "result": true,
            "error": error,
        },
        "required": ["jsonrpc", "id"],
        "additionalProperties": false,
        "oneOf": [{ "required": ["result"] }, { "required": ["error"] }],
    })
}

fn notification(event: &Value) -> Value {
    json!({
        "description": "An event, sent to those who have subscribed.",
        "type": "object",
        "properties": {
            "jsonrpc": { "const": JSONRPC },
            "method": { "const": EVENT_METHOD },
            "params": event,
        },
        "required": ["jsonrpc", "method", "params"],
        "additionalProperties": false,
    })
}

#[cfg(test)]
mod tests;
