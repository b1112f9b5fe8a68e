//! Reads TOML, and knows where everything stands in it.
//!
//! Each table is read by itself, and what does not fit into it is noted and left out, so that one fault
//! never hides another.

use serde::de::DeserializeOwned;
use toml::{
    Spanned,
    de::{DeArray, DeTable, DeValue, ValueDeserializer},
};

use super::{
    Config, Fault, Faults, Host,
    fault::{Found, part},
    locate::{Lines, span_of},
    spec::{BackendSpec, ConfigSpec, DaemonSpec, ProbeSpec, QuicConfigSpec, ServiceSpec, SnatSpec},
    validate,
};

/// Reads a configuration, as it was typed.
///
/// # Errors
/// Every fault of syntax; or, if there is none, every field that is unknown, missing or of a wrong type.
pub fn read(text: &str) -> Result<ConfigSpec, Faults> {
    let lines = Lines::of(text);
    let root = parse(text, &lines)?;
    let (spec, found) = Reader::new(&lines).config(&root);
    let faults = found.faults();
    faults.map_err(|faults| located(faults, &root, &lines))?;
    Ok(spec)
}

/// Reads and validates a configuration for `host`.
///
/// # Errors
/// Every fault of syntax; or, if there is none, every other fault. Each with its line and column.
pub fn load(text: &str, host: &Host) -> Result<Config, Faults> {
    let lines = Lines::of(text);
    let root = parse(text, &lines)?;
    let (spec, found) = Reader::new(&lines).config(&root);
    validate::check(&spec, host, found).map_err(|faults| located(faults, &root, &lines))
}

/// So many faults of syntax are reported: one open bracket makes every line behind it look wrong.
const MAX_SYNTAX_FAULTS: usize = 16;

fn parse<'t>(text: &'t str, lines: &Lines<'_>) -> Result<Spanned<DeTable<'t>>, Faults> {
    let (root, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(root);
    }
    let mut faults: Vec<Fault> = errors
        .iter()
        .map(|error| {
            let (line, column) = lines.position(error.span().map_or(0, |span| span.start));
            Fault {
                place: String::new(),
                line: Some(line),
                column: Some(column),
                message: error.message().to_owned(),
            }
        })
        .collect();
    faults.sort_by_key(|fault| (fault.line, fault.column));
    // What the parser meets in a line after a first fault is mostly a consequence of it.
    faults.dedup_by_key(|fault| fault.line);
    faults.truncate(MAX_SYNTAX_FAULTS);
    Err(Faults(faults))
}

/// `faults` with lines and columns, in the order of the text.
fn located(faults: Faults, root: &Spanned<DeTable<'_>>, lines: &Lines<'_>) -> Faults {
    let mut faults = faults.0;
    for fault in &mut faults {
        if fault.line.is_none() {
            let (line, column) = lines.position(span_of(root, &fault.place).start);
            (fault.line, fault.column) = (Some(line), Some(column));
        }
    }
    faults.sort_by_key(|fault| (fault.line, fault.column));
    Faults(faults)
}

/// A field that a table must have: its name, an example, and what stands in for it once it has been
/// reported. (The stand-in is no valid value: nothing else is concluded from it.)
type Required = (&'static str, &'static str, fn() -> DeValue<'static>);

fn no_text() -> DeValue<'static> {
    DeValue::String("".into())
}

fn no_list() -> DeValue<'static> {
    DeValue::Array(DeArray::new())
}

fn no_number() -> DeValue<'static> {
    DeValue::parse("4294967295").map_or_else(|_| no_text(), Spanned::into_inner)
}

const SERVICE: &[Required] = &[
    ("name", "name = \"web\"", no_text),
    ("vips", "vips = [\"192.0.2.10:443/tcp\"]", no_list),
];
const BACKEND: &[Required] = &[("address", "address = \"10.0.0.11:8080\"", no_text)];
const QUIC_CONFIG: &[Required] = &[
    ("config_id", "config_id = 0", no_number),
    ("server_id_length", "server_id_length = 2", no_number),
];
const PROBE: &[Required] = &[("type", "type = \"tcp\"", no_text)];

/// The parser's `message` about `value`; for one string where a list of them belongs, what to write.
fn one_for_many(value: &DeValue<'_>, message: &str) -> String {
    match value.as_str() {
        Some(text) if message.ends_with("expected a sequence") => {
            format!("expected a list, but this is one string: write [{text:?}]")
        }
        _ => message.to_owned(),
    }
}

/// `value`, if it is a table, without its own tables `parts`, which are read by themselves.
fn without<'a>(value: &Spanned<DeValue<'a>>, parts: &[&str]) -> Spanned<DeValue<'a>> {
    let Some(table) = value.get_ref().as_table() else {
        return value.clone();
    };
    let own = table
        .iter()
        .filter(|(key, _)| !parts.contains(&key.get_ref().as_ref()));
    let own = own.map(|(key, value)| (key.clone(), value.clone()));
    Spanned::new(value.span(), DeValue::Table(own.collect()))
}

/// Reads tables and notes what does not fit.
struct Reader<'t> {
    lines: &'t Lines<'t>,
    found: Found,
}

impl<'t> Reader<'t> {
    fn new(lines: &'t Lines<'t>) -> Self {
        Self {
            lines,
            found: Found::default(),
        }
    }

    fn config(mut self, root: &Spanned<DeTable<'_>>) -> (ConfigSpec, Found) {
        let whole = Spanned::new(root.span(), DeValue::Table(root.get_ref().clone()));
        let own = without(&whole, &["daemon", "service"]);
        let mut spec: ConfigSpec = self.leaf(&own, "", &[]);
        let table = root.get_ref();
        spec.daemon = table.get("daemon").map(|daemon| self.daemon(daemon));
        if let Some(services) = table.get("service") {
            spec.services = self.list(services, "service", Self::service);
        }
        (spec, self.found)
    }

    fn daemon(&mut self, value: &Spanned<DeValue<'_>>) -> DaemonSpec {
        let own = without(value, &["snat"]);
        let mut spec: DaemonSpec = self.leaf(&own, "daemon", &[]);
        let table = value.get_ref().as_table();
        spec.snat = table
            .and_then(|table| table.get("snat"))
            .map(|snat| self.leaf::<SnatSpec>(snat, "daemon.snat", &[]));
        spec
    }

    fn service(&mut self, value: &Spanned<DeValue<'_>>, place: &str) -> ServiceSpec {
        let own = without(value, &["backend", "probe", "quic_lb"]);
        let mut spec: ServiceSpec = self.leaf(&own, place, SERVICE);
        let Some(table) = value.get_ref().as_table() else {
            return spec;
        };
        spec.probe = table
            .get("probe")
            .map(|probe| self.leaf::<ProbeSpec>(probe, &part(place, "probe"), PROBE));
        if let Some(configs) = table.get("quic_lb") {
            let place = part(place, "quic_lb");
            spec.quic_lb = self.list(configs, &place, |reader, config, place| {
                reader.leaf::<QuicConfigSpec>(config, place, QUIC_CONFIG)
            });
        }
        if let Some(backends) = table.get("backend") {
            let place = part(place, "backend");
            spec.backends = self.list(backends, &place, |reader, backend, place| {
                reader.leaf::<BackendSpec>(backend, place, BACKEND)
            });
        }
        spec
    }

    /// An array of tables, each read by `read`.
    fn list<T>(
        &mut self,
        value: &Spanned<DeValue<'_>>,
        place: &str,
        read: impl Fn(&mut Self, &Spanned<DeValue<'_>>, &str) -> T,
    ) -> Vec<T> {
        let Some(elements) = value.get_ref().as_array() else {
            let header: String = place
                .split(['[', ']'])
                .filter(|word| word.parse::<usize>().is_err())
                .collect();
            let message = format!(
                "expected an array of tables, each begun with [[{header}]], but this is of type {}",
                value.get_ref().type_str()
            );
            self.found.add(place, message);
            return Vec::new();
        };
        let elements = elements.iter().enumerate();
        elements
            .map(|(index, element)| read(self, element, &format!("{place}[{index}]")))
            .collect()
    }

    /// A table without tables in it: what does not fit is noted and left out, one by one, until the rest
    /// fits.
    fn leaf<T: DeserializeOwned + Default>(
        &mut self,
        value: &Spanned<DeValue<'_>>,
        place: &str,
        required: &[Required],
    ) -> T {
        let DeValue::Table(table) = value.get_ref() else {
            let message = format!(
                "expected a table, but this is of type {}",
                value.get_ref().type_str()
            );
            self.found.add(place, message);
            return T::default();
        };
        let mut table = table.clone();
        loop {
            for &(field, example, stand_in) in required {
                if !table.contains_key(field) {
                    let message = format!("`{field}` is missing: write {example}");
                    self.found.add(part(place, field), message);
                    let nowhere = 0..0;
                    let key = Spanned::new(nowhere.clone(), field.into());
                    table.insert(key, Spanned::new(nowhere, stand_in()));
                }
            }
            let candidate = Spanned::new(value.span(), DeValue::Table(table.clone()));
            match T::deserialize(ValueDeserializer::from(candidate)) {
                Ok(read) => return read,
                Err(error) if self.leave_out(&mut table, &error, place) => {}
                Err(error) => {
                    self.found.add(place, error.message());
                    return T::default();
                }
            }
        }
    }

    /// Notes `error` and takes what it is about out of `table`; false if that is no entry of the table.
    fn leave_out(&mut self, table: &mut DeTable<'_>, error: &toml::de::Error, place: &str) -> bool {
        let Some(span) = error.span() else {
            return false;
        };
        let position = Some(self.lines.position(span.start));
        for (key, value) in table.iter_mut() {
            let inside = value.span().start <= span.start && span.end <= value.span().end;
            if key.span() != span && !inside {
                continue;
            }
            let name = key.get_ref().clone();
            let field = part(place, &name);
            let element = if let DeValue::Array(array) = value.get_mut() {
                let mut elements = array.iter_mut().enumerate();
                elements.find(|(_, element)| element.span() == span)
            } else {
                None
            };
            if let Some((index, element)) = element {
                // Taken out, it would move the places of those behind it.
                *element.get_mut() = no_text();
                let place = format!("{field}[{index}]");
                self.found.add_at(place, position, error.message());
            } else {
                let message = one_for_many(value.get_ref(), error.message());
                self.found.add_at(field, position, message);
                table.remove(name.as_ref());
            }
            return true;
        }
        false
    }
}
