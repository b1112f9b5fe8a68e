//! How backends are probed, as flags of `lbctl service`.

use clap::Args;

use super::argument;
use crate::config::spec::ProbeSpec;

/// How backends are probed.
#[derive(Debug, Args)]
#[command(next_help_heading = "Probe")]
pub(super) struct Probe {
    /// Probe the backends in this way
    #[arg(long = "probe", value_name = "TYPE", value_parser = ["tcp", "http", "https", "udp", "dns", "icmp", "grpc", "exec"])]
    kind: Option<String>,
    /// Probe the backend's own address, or the VIP on it, as clients' packets go [default: direct]
    #[arg(long = "probe-via", requires = "kind", value_parser = ["direct", "vip"])]
    via: Option<String>,
    /// The port to try, if not the backend's own
    #[arg(long = "probe-port", requires = "kind", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// For http and https: what to ask for [default: /]
    #[arg(long = "probe-path", requires = "kind", value_name = "PATH")]
    path: Option<String>,
    /// For http, https and grpc: the Host header [default: the backend's address]
    #[arg(long = "probe-host", requires = "kind", value_name = "HOST")]
    host: Option<String>,
    /// For http and https: the status codes that are good, like 200 or 200-399 [default: 200-299]
    #[arg(long = "probe-status", requires = "kind", value_name = "RANGE")]
    status: Option<String>,
    #[arg(
        help = "Any other field of [service.probe], like body=ok, verify=false, query=www.example.com or send='ping\\x00'; \
        may be given several times, command=WORD once for each word"
    )]
    #[arg(long = "probe-with", requires = "kind", value_name = "FIELD=VALUE", value_parser = field)]
    with: Vec<Field>,
    /// From one probe to the next [default: 2s]
    #[arg(long = "probe-interval", requires = "kind", value_name = "TIME", value_parser = argument::duration)]
    interval: Option<String>,
    /// How long a probe may take [default: 1s]
    #[arg(long = "probe-timeout", requires = "kind", value_name = "TIME", value_parser = argument::duration)]
    timeout: Option<String>,
    /// Successes in a row that make a backend healthy [default: 2]
    #[arg(long, requires = "kind", value_name = "COUNT")]
    rise: Option<u32>,
    /// Failures in a row that make it unhealthy [default: 3]
    #[arg(long, requires = "kind", value_name = "COUNT")]
    fall: Option<u32>,
    /// How much an interval may be shortened at random [default: 10]
    #[arg(long = "probe-jitter", requires = "kind", value_name = "PERCENT")]
    jitter: Option<u32>,
}

/// A field that has no flag of its own.
type Field = (String, String);

/// `FIELD=VALUE`, if there is such a field and it takes that value.
fn field(text: &str) -> Result<Field, String> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| format!("`{text}` is not FIELD=VALUE, like body=ok"))?;
    let field = (name.to_owned(), value.to_owned());
    put(&mut ProbeSpec::default(), &field)?;
    Ok(field)
}

/// Writes a field into `spec`.
fn put(spec: &mut ProbeSpec, (name, value): &Field) -> Result<(), String> {
    let text = match name.as_str() {
        "method" => &mut spec.method,
        "body" => &mut spec.body,
        "sni" => &mut spec.sni,
        "ca_file" => &mut spec.ca_file,
        "send" => &mut spec.send,
        "expect" => &mut spec.expect,
        "query" => &mut spec.query,
        "record" => &mut spec.record,
        "grpc_service" => &mut spec.grpc_service,
        "hold_down" => &mut spec.hold_down,
        "hold_down_max" => &mut spec.hold_down_max,
        _ => return put_other(spec, name, value),
    };
    *text = Some(value.clone());
    Ok(())
}

/// The same of fields that are not texts.
fn put_other(spec: &mut ProbeSpec, name: &str, value: &str) -> Result<(), String> {
    let truth = || {
        value
            .parse()
            .map_err(|_| format!("{name} is true or false"))
    };
    match name {
        "tls" => spec.tls = Some(truth()?),
        "verify" => spec.verify = Some(truth()?),
        "min_answers" => {
            let number = value.parse();
            spec.min_answers = Some(number.map_err(|_| format!("{name} is a number"))?);
        }
        "command" => spec.command.get_or_insert_default().push(value.to_owned()),
        _ => {
            return Err(format!(
                "no field `{name}`: there are method, body, tls, sni, verify, ca_file, send, expect, query, record, min_answers, grpc_service, command, hold_down, hold_down_max"
            ));
        }
    }
    Ok(())
}

impl Probe {
    /// What was typed, if a type was.
    pub(super) fn spec(self) -> Option<ProbeSpec> {
        let mut spec = ProbeSpec {
            kind: self.kind?,
            via: self.via,
            port: self.port,
            path: self.path,
            host: self.host,
            status: self.status,
            interval: self.interval,
            timeout: self.timeout,
            rise: self.rise,
            fall: self.fall,
            jitter_percent: self.jitter,
            ..ProbeSpec::default()
        };
        for field in &self.with {
            // The parser has tried it.
            let _ = put(&mut spec, field);
        }
        Some(spec)
    }
}
