//! Probes: from texts to a [`Probe`].

use super::{read_duration, word};
use crate::{
    config::{
        fault::{Found, part},
        spec::ProbeSpec,
    },
    desired::rules::{PROBE_INTERVAL, probe_breaches},
    model::{
        DnsCheck, ExecCheck, GrpcCheck, HttpCheck, Method, Probe, ProbeKind, RecordType,
        StatusRange, Tls, Trust, UdpCheck, Via,
    },
};

/// The types of probe, by the words for them.
const WORDS: [&str; 8] = ["tcp", "http", "https", "udp", "dns", "icmp", "grpc", "exec"];

/// What could be read of `spec`; `None` if not even its type could.
pub(super) fn read(spec: &ProbeSpec, place: &str, found: &mut Found) -> Option<Probe> {
    let kind = Reader { spec, place, found }.kind();
    let mut read = |field, text: Option<&str>| {
        let place = part(place, field);
        text.and_then(|text| found.keep(place, read_duration(text)))
    };
    let interval = read("interval", spec.interval.as_deref());
    let timeout = read("timeout", spec.timeout.as_deref());
    let hold_down = read("hold_down", spec.hold_down.as_deref());
    let hold_down_max = read("hold_down_max", spec.hold_down_max.as_deref());
    let default = Probe::new(ProbeKind::Tcp);
    let interval = match interval {
        Some(interval) => interval,
        // The longest stands in for a faulty one, so that no timeout looks too long beside it.
        None if found.knows(&part(place, "interval")) => *PROBE_INTERVAL.end(),
        None => default.interval,
    };
    let ways = Via::ALL.map(|via| (via.to_string(), via));
    let via = word(found, &part(place, "via"), spec.via.as_deref(), &ways);
    let probe = Probe {
        kind: kind.clone().unwrap_or(ProbeKind::Tcp),
        via: via.unwrap_or_default(),
        port: spec.port,
        interval,
        timeout: timeout.unwrap_or(default.timeout.min(interval)),
        rise: spec.rise.unwrap_or(default.rise),
        fall: spec.fall.unwrap_or(default.fall),
        jitter_percent: spec.jitter_percent.unwrap_or(default.jitter_percent),
        hold_down: hold_down.unwrap_or(default.hold_down),
        hold_down_max: hold_down_max.unwrap_or(default.hold_down_max),
    };
    for (field, breach) in probe_breaches(&probe) {
        found.add(part(place, field), breach.to_string());
    }
    kind.and(via).map(|_| probe)
}

/// Whether each field that only some types have is written, with the types that have it.
fn fields(spec: &ProbeSpec) -> [(&'static str, bool, &'static [&'static str]); 16] {
    const HTTP: &[&str] = &["http", "https"];
    const TLS: &[&str] = &["https", "grpc"];
    [
        (
            "port",
            spec.port.is_some(),
            &["tcp", "http", "https", "udp", "dns", "grpc", "exec"],
        ),
        ("path", spec.path.is_some(), HTTP),
        ("host", spec.host.is_some(), &["http", "https", "grpc"]),
        ("status", spec.status.is_some(), HTTP),
        ("method", spec.method.is_some(), HTTP),
        ("body", spec.body.is_some(), HTTP),
        ("tls", spec.tls.is_some(), &["grpc"]),
        ("sni", spec.sni.is_some(), TLS),
        ("verify", spec.verify.is_some(), TLS),
        ("ca_file", spec.ca_file.is_some(), TLS),
        ("send", spec.send.is_some(), &["udp"]),
        ("expect", spec.expect.is_some(), &["udp"]),
        ("query", spec.query.is_some(), &["dns"]),
        ("record", spec.record.is_some(), &["dns"]),
        ("min_answers", spec.min_answers.is_some(), &["dns"]),
        ("grpc_service", spec.grpc_service.is_some(), &["grpc"]),
    ]
}

/// Reads what one type of probe asks for.
struct Reader<'a> {
    spec: &'a ProbeSpec,
    place: &'a str,
    found: &'a mut Found,
}

impl Reader<'_> {
    fn kind(&mut self) -> Option<ProbeKind> {
        let kinds: Vec<_> = WORDS.iter().zip(1..).collect();
        let place = part(self.place, "type");
        // Zero, the default, stands for none.
        let kind: usize = word(self.found, &place, Some(&self.spec.kind), &kinds)?;
        let kind = *WORDS.get(kind - 1)?;
        self.refuse_strangers(kind);
        match kind {
            "tcp" => Some(ProbeKind::Tcp),
            "http" => self.http(None),
            "https" => self.tls().and_then(|tls| self.http(Some(tls))),
            "udp" => self.udp(),
            "dns" => self.dns(),
            "icmp" => Some(ProbeKind::Icmp),
            "grpc" => self.grpc(),
            _ => Some(ProbeKind::Exec(ExecCheck {
                command: self.needed(
                    "command",
                    "command = [\"/usr/local/bin/check\"]",
                    |spec| spec.command.clone(),
                )?,
            })),
        }
    }

    /// Fields that probes of type `kind` do not have.
    fn refuse_strangers(&mut self, kind: &str) {
        let command = ("command", self.spec.command.is_some(), &["exec"][..]);
        for (field, is_written, owners) in fields(self.spec).into_iter().chain([command]) {
            if is_written && !owners.contains(&kind) {
                let owners: Vec<String> = owners.iter().map(|kind| format!("\"{kind}\"")).collect();
                let hint = owners.join(" or ");
                let message = format!(
                    "probes of type {kind} have no {field}: take it out, or write type = {hint}"
                );
                self.found.add(part(self.place, field), message);
            }
        }
    }

    /// A field that this type must have.
    fn needed<T>(
        &mut self,
        field: &str,
        example: &str,
        of: impl FnOnce(&ProbeSpec) -> Option<T>,
    ) -> Option<T> {
        let value = of(self.spec);
        if value.is_none() {
            let message = format!(
                "missing: a {} probe needs it, like {example}",
                self.spec.kind
            );
            self.found.add(part(self.place, field), message);
        }
        value
    }

    /// What a text means, or `default` if there is none.
    fn text<T>(
        &mut self,
        field: &str,
        text: Option<&str>,
        default: T,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        match text {
            Some(text) => self.found.keep(part(self.place, field), read(text)),
            None => Some(default),
        }
    }

    fn http(&mut self, tls: Option<Tls>) -> Option<ProbeKind> {
        let spec = self.spec;
        let success = StatusRange { from: 200, to: 299 };
        let status = self.text("status", spec.status.as_deref(), success, read_status);
        let methods = Method::ALL.map(|method| (method.to_string(), method));
        let place = part(self.place, "method");
        let method = word(self.found, &place, spec.method.as_deref(), &methods);
        Some(ProbeKind::Http(HttpCheck {
            method: method?,
            path: spec.path.clone().unwrap_or_else(|| "/".to_owned()),
            host: spec.host.clone(),
            status: status?,
            body: spec.body.clone(),
            tls,
        }))
    }

    fn tls(&mut self) -> Option<Tls> {
        let ProbeSpec {
            sni,
            verify,
            ca_file,
            ..
        } = self.spec;
        let trust = match (verify.unwrap_or(true), ca_file) {
            (true, None) => Trust::System,
            (true, Some(file)) => Trust::File(file.into()),
            (false, None) => Trust::Anybody,
            (false, Some(_)) => {
                let message = "without verify nobody looks at the certificate: take it out, or write verify = true";
                self.found.add(part(self.place, "ca_file"), message);
                return None;
            }
        };
        let sni = sni.clone();
        Some(Tls { sni, trust })
    }

    fn udp(&mut self) -> Option<ProbeKind> {
        let send = self.needed("send", "send = 'ping'", |spec| spec.send.clone());
        let expect = self.spec.expect.as_deref();
        let read = |text: &str| text.parse().map_err(|error| format!("{error}"));
        let expect = self.text("expect", expect, None, |text| read(text).map(Some));
        let send = self.found.keep(part(self.place, "send"), read(&send?));
        let (send, expect) = (send?, expect?);
        Some(ProbeKind::Udp(UdpCheck { send, expect }))
    }

    fn dns(&mut self) -> Option<ProbeKind> {
        let query = self.needed("query", "query = \"www.example.com\"", |spec| {
            spec.query.clone()
        });
        let records = RecordType::ALL.map(|record| (record.to_string(), record));
        let place = part(self.place, "record");
        let record = word(self.found, &place, self.spec.record.as_deref(), &records);
        let query = self.found.keep(part(self.place, "query"), query?.parse());
        Some(ProbeKind::Dns(DnsCheck {
            query: query?,
            record: record?,
            min_answers: self.spec.min_answers.unwrap_or(1),
        }))
    }

    fn grpc(&mut self) -> Option<ProbeKind> {
        let spec = self.spec;
        let by_tls = spec.tls.unwrap_or_default();
        let tls = if by_tls { Some(self.tls()?) } else { None };
        let written = [
            ("sni", spec.sni.is_some()),
            ("verify", spec.verify.is_some()),
            ("ca_file", spec.ca_file.is_some()),
        ];
        for (field, _) in written.iter().filter(|(_, written)| *written && !by_tls) {
            let message = format!("{field} is for TLS: take it out, or write tls = true");
            self.found.add(part(self.place, field), message);
        }
        Some(ProbeKind::Grpc(GrpcCheck {
            service: spec.grpc_service.clone(),
            host: spec.host.clone(),
            tls,
        }))
    }
}

fn read_status(text: &str) -> Result<StatusRange, String> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    match (from.trim().parse(), to.trim().parse()) {
        (Ok(from), Ok(to)) => Ok(StatusRange { from, to }),
        _ => Err(format!(
            "`{text}` are not status codes: write one or a range, like \"200\" or \"200-399\""
        )),
    }
}
