//! The schema takes what the daemon takes, and refuses what it refuses; the README's examples are among both.

use jsonschema::Validator;

use super::*;
use crate::{config::text, control::protocol::wire};

const README: &str = include_str!("../../../../../README.md");

/// A part of the schema, by itself: `pointer` is one like `#/$defs/Event`.
fn part_of(whole: &Value, pointer: &str) -> Validator {
    let mut schema = whole.clone();
    let fields = schema.as_object_mut().unwrap();
    fields.remove("anyOf");
    fields.insert("$ref".to_owned(), json!(pointer));
    jsonschema::draft202012::new(&schema).unwrap_or_else(|error| panic!("{pointer}: {error}"))
}

fn assert_valid(validator: &Validator, value: &Value) {
    let faults: Vec<String> = validator
        .iter_errors(value)
        .map(|error| format!("{error} at {}", error.instance_path()))
        .collect();
    assert!(faults.is_empty(), "{value}: {faults:?}");
}

/// The fenced blocks of the README in `language`, without what is around them.
fn blocks(language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = README.lines();
    while let Some(line) = lines.next() {
        if line.trim() == format!("```{language}") {
            let block = lines.by_ref().take_while(|line| line.trim() != "```");
            blocks.push(block.collect::<Vec<_>>().join("\n") + "\n");
        }
    }
    blocks
}

#[test]
fn the_document_is_a_schema() {
    let schema = schema();
    jsonschema::draft202012::meta::validate(&schema).unwrap();
    for method in METHODS {
        part_of(&schema, &format!("#/methods/{}/params", method.name));
        part_of(&schema, &format!("#/methods/{}/result", method.name));
    }
    for (code, meaning) in ErrorCode::ALL {
        assert_eq!(schema["errors"][code.number().to_string()], meaning.trim());
    }
}

#[test]
fn every_exchange_of_the_readme_is_as_the_schema_says() {
    let schema = schema();
    let line = part_of(&schema, "#/$defs/Request");
    let response = part_of(&schema, "#/$defs/Response");
    let notification = part_of(&schema, "#/$defs/Notification");
    let mut asked = String::new();
    let mut methods = Vec::new();
    let exchange = blocks("text")
        .into_iter()
        .find(|block| block.starts_with("> {"));
    for text in exchange.unwrap().lines() {
        let (way, text) = text.split_at(2);
        let value: Value =
            serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        if way == "> " {
            asked = value["method"].as_str().unwrap().to_owned();
            if value["params"].get("wieght").is_none() {
                assert_valid(&line, &value);
            } else {
                assert!(!line.is_valid(&value), "{value}");
            }
            methods.push(asked.clone());
        } else if value.get("method").is_some() {
            assert_valid(&notification, &value);
        } else {
            assert_valid(&response, &value);
            if let Some(result) = value.get("result") {
                assert_valid(
                    &part_of(&schema, &format!("#/methods/{asked}/result")),
                    result,
                );
            }
        }
    }
    for method in METHODS {
        assert!(
            methods.iter().any(|it| it == method.name),
            "no example of {}",
            method.name
        );
    }
}

#[test]
fn every_configuration_of_the_readme_is_as_the_schema_says() {
    let configuration = part_of(&schema(), "#/$defs/Configuration");
    let blocks = blocks("toml");
    assert!(blocks.len() >= 4, "{blocks:?}");
    for block in blocks {
        let value: Value =
            toml::from_str(&block).unwrap_or_else(|error| panic!("{error} in {block}"));
        // Parts that the text shows by themselves stand below a service that it does not repeat.
        let value = completed(value);
        assert_valid(&configuration, &value);
        let mut unknown = value;
        unknown["serivce"] = json!([]);
        assert!(
            !configuration.is_valid(&unknown),
            "an unknown field is refused"
        );
    }
}

/// `value` with the name and the VIPs that a service must have.
fn completed(mut value: Value) -> Value {
    match value.get_mut("service") {
        Some(Value::Array(services)) => {
            for service in services {
                let service = service.as_object_mut().unwrap();
                service.entry("name").or_insert_with(|| json!("web"));
                service
                    .entry("vips")
                    .or_insert_with(|| json!(["192.0.2.10:443/udp"]));
            }
        }
        // `[[service.probe]]` without `[[service]]` is a table to TOML.
        Some(Value::Object(_)) => {
            let service = value["service"].take();
            value["service"] = json!([service]);
            return completed(value);
        }
        _ => {}
    }
    value
}

#[test]
fn what_the_schema_takes_and_refuses_is_what_the_decoder_does() {
    let schema = schema();
    for (method, params, good) in [
        ("version", json!({}), true),
        ("version", json!({ "x": 1 }), false),
        ("service.get", json!({}), false),
        ("service.get", json!({ "name": "web" }), true),
        (
            "service.add",
            json!({ "name": "web", "vips": [], "probe": { "type": "tcp", "prot": 1 } }),
            false,
        ),
        (
            "service.add",
            json!({ "name": "web", "vips": [], "table_slots": "auto" }),
            true,
        ),
        (
            "service.add",
            json!({ "name": "web", "vips": [], "table_slots": [] }),
            false,
        ),
        (
            "backend.add",
            json!({ "service": "web", "address": "10.0.0.1:80", "weight": -1 }),
            false,
        ),
        ("events.subscribe", json!({ "kinds": ["health"] }), true),
        ("events.subscribe", json!({ "kinds": ["helth"] }), false),
        (
            "config.apply",
            json!({ "config": { "service": [{ "name": "web" }] } }),
            false,
        ),
    ] {
        let decoded = super::super::Call::decode(method, Some(params.clone())).is_ok();
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let valid = part_of(&schema, "#/$defs/Request").is_valid(&request);
        assert_eq!((valid, decoded), (good, good), "{request}");
    }
}

#[test]
fn every_event_is_as_the_schema_says() {
    let line = part_of(&schema(), "#/$defs/Notification");
    let event: Event = serde_json::from_value(json!({
        "sequence": 1, "time_ms": 2, "kind": "health", "service": "web", "backend": "10.0.0.1:80",
        "from": "up", "to": "down", "reason": "refused",
    }))
    .unwrap();
    let mut value = serde_json::from_str(&wire::event_line(&event)).unwrap();
    assert_valid(&line, &value);
    value["params"]["to"] = json!("sideways");
    assert!(!line.is_valid(&value));
}

#[test]
fn every_whole_configuration_of_the_readme_is_read() {
    let whole = blocks("toml")
        .into_iter()
        .filter(|it| it.contains("name ="));
    let read: Vec<_> = whole.map(|block| text::read(&block)).collect();
    assert!(
        read.len() >= 2 && read.iter().all(Result::is_ok),
        "{read:?}"
    );
}
