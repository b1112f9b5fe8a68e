//! How two configurations differ, part by part.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{spec::ConfigSpec, validate};
use crate::desired::Desired;

/// One part of a configuration that is not the same in two of them: added, removed, or changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// Where it stands, like `service[web].backend[10.0.0.11:80].weight`.
    pub place: String,
    /// What it was; absent if it was not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What it is; absent if it is no longer there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, .. } = self;
        match (&self.before, &self.after) {
            (None, Some(after)) => write!(f, "+ {place} {after}"),
            (Some(before), None) => write!(f, "- {place} {before}"),
            (before, after) => {
                let part = |value: &Option<Value>| value.clone().unwrap_or_default();
                write!(f, "~ {place} {} -> {}", part(before), part(after))
            }
        }
    }
}

/// What is another way in `after` than in `before`, in the order of places.
///
/// Services are told apart by name, backends by address, QUIC-LB configurations by number: their order means nothing.
#[must_use]
pub fn differences(before: &Desired, after: &Desired) -> Vec<Difference> {
    let [before, after] = [before, after].map(|it| tree(&validate::config_spec_of(it)));
    let mut found = Vec::new();
    compare("", before.as_ref(), after.as_ref(), &mut found);
    found
}

/// A configuration as JSON; all of it has keys that are strings, so that this is plain writing into memory.
fn tree(config: &ConfigSpec) -> Option<Value> {
    serde_json::to_value(config).ok()
}

fn compare(
    place: &str,
    before: Option<&Value>,
    after: Option<&Value>,
    found: &mut Vec<Difference>,
) {
    if before == after {
        return;
    }
    // A list that is not written is empty.
    let parts = match (before, after) {
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            [fields(place, before), fields(place, after)]
        }
        (Some(Value::Array(before)), None) => [members(place, before), Parts::new()],
        (None, Some(Value::Array(after))) => [Parts::new(), members(place, after)],
        (Some(Value::Array(before)), Some(Value::Array(after))) => {
            [members(place, before), members(place, after)]
        }
        _ => {
            found.push(Difference {
                place: place.to_owned(),
                before: before.cloned(),
                after: after.cloned(),
            });
            return;
        }
    };
    let places: BTreeSet<&String> = parts.iter().flat_map(Parts::keys).collect();
    let [before, after] = &parts;
    for place in places {
        compare(
            place,
            before.get(place).copied(),
            after.get(place).copied(),
            found,
        );
    }
}

/// Parts of a value by their places.
type Parts<'a> = BTreeMap<String, &'a Value>;

fn fields<'a>(place: &str, object: &'a Map<String, Value>) -> Parts<'a> {
    let dot = if place.is_empty() { "" } else { "." };
    let field = |(key, value)| (format!("{place}{dot}{key}"), value);
    object.iter().map(field).collect()
}

/// The elements of a list by what tells them apart.
fn members<'a>(place: &str, list: &'a [Value]) -> Parts<'a> {
    let member = |(index, element): (usize, &'a Value)| {
        let name = ["name", "address", "config_id"]
            .iter()
            .find_map(|key| element.get(key));
        let name = match name.unwrap_or(element) {
            Value::String(name) => name.clone(),
            Value::Number(number) => number.to_string(),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => index.to_string(),
        };
        (format!("{place}[{name}]"), element)
    };
    list.iter().enumerate().map(member).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Host, text};

    fn desired(text: &str) -> Desired {
        text::load(text, &Host::default()).unwrap().desired
    }

    fn lines(before: &str, after: &str) -> Vec<String> {
        let found = differences(&desired(before), &desired(after));
        found.iter().map(ToString::to_string).collect()
    }

    const WEB: &str = r#"
        blocklist = ["203.0.113.0/24"]
        [[service]]
        name = "web"
        vips = ["192.0.2.10:80/tcp", "192.0.2.10:443/tcp"]
        [[service.backend]]
        address = "10.0.0.11:80"
        [[service.backend]]
        address = "10.0.0.12:80"
        weight = 2
    "#;

    #[test]
    fn a_configuration_does_not_differ_from_itself_written_in_another_order() {
        let other = r#"
            blocklist = ["203.0.113.0/24"]
            [[service]]
            vips = ["192.0.2.10:443/tcp", "192.0.2.10:80/tcp"]
            name = "web"
            mode = "l2"
            [[service.backend]]
            address = "10.0.0.12:80"
            weight = 2
            [[service.backend]]
            address = "10.0.0.11:80"
            weight = 1
        "#;
        assert_eq!(lines(WEB, other), Vec::<String>::new());
    }

    #[test]
    fn each_part_that_differs_is_named_by_where_it_stands() {
        let other = r#"
            [[service]]
            name = "web"
            vips = ["192.0.2.10:80/tcp", "192.0.2.11:80/tcp"]
            source_rate = 100
            [[service.backend]]
            address = "10.0.0.12:80"
            weight = 3
            [[service.backend]]
            address = "10.0.0.13:80"
            state = "drain"
        "#;
        assert_eq!(
            lines(WEB, other),
            [
                "- blocklist[203.0.113.0/24] \"203.0.113.0/24\"",
                "- service[web].backend[10.0.0.11:80] {\"address\":\"10.0.0.11:80\"}",
                "~ service[web].backend[10.0.0.12:80].weight 2 -> 3",
                "+ service[web].backend[10.0.0.13:80] {\"address\":\"10.0.0.13:80\",\"state\":\"drain\"}",
                "+ service[web].source_burst 100",
                "+ service[web].source_rate 100",
                "- service[web].vips[192.0.2.10:443/tcp] \"192.0.2.10:443/tcp\"",
                "+ service[web].vips[192.0.2.11:80/tcp] \"192.0.2.11:80/tcp\"",
            ]
        );
    }

    #[test]
    fn a_service_that_comes_or_goes_is_one_difference() {
        let found = differences(&Desired::default(), &desired(WEB));
        let places: Vec<_> = found.iter().map(|it| it.place.as_str()).collect();
        assert_eq!(places, ["blocklist[203.0.113.0/24]", "service[web]"]);
        let back = differences(&desired(WEB), &Desired::default());
        assert!(back.iter().all(|it| it.after.is_none()));
        assert_eq!(back.len(), 2);
    }

    #[test]
    fn quic_configurations_are_told_apart_by_number() {
        let service = |configs: &[(u32, u32)]| {
            let configs = configs.iter().map(|(id, length)| {
                format!("[[service.quic_lb]]\nconfig_id = {id}\nserver_id_length = {length}\n")
            });
            let configs: String = configs.collect();
            format!("[[service]]\nname = \"web\"\nvips = [\"192.0.2.10:443/udp\"]\n{configs}")
        };
        let found = differences(
            &desired(&service(&[(0, 1), (2, 3), (4, 5)])),
            &desired(&service(&[(1, 2), (2, 3), (4, 6)])),
        );
        let places: Vec<_> = found.iter().map(|it| it.place.as_str()).collect();
        assert_eq!(
            places,
            [
                "service[web].quic_lb[0]",
                "service[web].quic_lb[1]",
                "service[web].quic_lb[4].server_id_length"
            ]
        );
    }
}
