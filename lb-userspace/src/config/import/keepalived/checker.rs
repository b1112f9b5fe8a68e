//! Checkers of real servers as probes.

use super::{Import, ProbeSpec, Server, Statement};

/// The retries that keepalived makes before a server is down, if none are written.
const RETRY: u32 = 1;

/// Whether a inner of a `real_server` block of this name is a checker.
pub(super) fn is_checker(name: &str) -> bool {
    name.ends_with("_CHECK") || matches!(name, "HTTP_GET" | "SSL_GET")
}

impl Import {
    /// The probe that is most like a checker; `None` if nothing is.
    pub(super) fn checker(
        &mut self,
        statement: &Statement,
        server: &Server<'_>,
    ) -> Option<ProbeSpec> {
        let kind = match statement.name() {
            "TCP_CHECK" => "tcp",
            "HTTP_GET" => "http",
            "SSL_GET" => "https",
            "UDP_CHECK" => "udp",
            "DNS_CHECK" => "dns",
            "PING_CHECK" => "icmp",
            "MISC_CHECK" => {
                let why = "to run a command, write a probe of type `exec` and allow_exec_probes in [daemon]";
                self.leave(statement, why);
                return None;
            }
            _ => {
                self.leave(statement, "there is no probe like it: tcp comes near");
                return None;
            }
        };
        let retries = server.retry.and_then(|retry| retry.parse().ok());
        let mut probe = ProbeSpec {
            kind: kind.to_owned(),
            host: server
                .virtual_host
                .filter(|_| matches!(kind, "http" | "https"))
                .map(str::to_owned),
            interval: seconds(server.delay_loop),
            fall: Some(retries.unwrap_or(RETRY) + 1),
            ..ProbeSpec::default()
        };
        if kind == "https" {
            // keepalived looks at no certificate.
            probe.verify = Some(false);
        }
        for inner in &statement.block {
            self.setting(inner, &mut probe);
        }
        self.fit_timeout(statement, &mut probe);
        Some(probe)
    }

    fn setting(&mut self, inner: &Statement, probe: &mut ProbeSpec) {
        let kind = probe.kind.clone();
        match (inner.name(), inner.arguments().as_slice()) {
            // Ours come faster while a change is being confirmed; the server's retries are in `fall`.
            ("delay_before_retry" | "alpha" | "warmup" | "enable_sni", _) => {}
            ("connect_timeout", [time, ..]) => probe.timeout = seconds(time),
            ("delay_loop", [time, ..]) => probe.interval = seconds(time),
            ("connect_port", [port, ..]) if kind != "icmp" => probe.port = port.parse().ok(),
            ("retry" | "nb_get_retry", [retry, ..]) => {
                probe.fall = retry.parse::<u32>().ok().map(|retry| retry + 1);
            }
            ("virtualhost", [host, ..]) if matches!(kind.as_str(), "http" | "https") => {
                probe.host = Some((*host).to_owned());
            }
            ("type", [record, ..]) if kind == "dns" => probe.record = Some((*record).to_owned()),
            ("name", [name, ..]) if kind == "dns" => probe.query = Some((*name).to_owned()),
            ("payload", [hex, ..]) if kind == "udp" => probe.send = bytes(hex),
            ("reply", [hex, ..]) if kind == "udp" => probe.expect = bytes(hex),
            ("url", _) if probe.path.is_none() => self.url(inner, probe),
            ("url", _) => self.leave(inner, "a probe asks for one path: the first one is taken"),
            _ => self.leave(inner, "there is nothing like it"),
        }
    }

    fn url(&mut self, statement: &Statement, probe: &mut ProbeSpec) {
        for inner in &statement.block {
            match (inner.name(), inner.arguments().as_slice()) {
                ("path", [path, ..]) => probe.path = Some((*path).to_owned()),
                ("status_code", [codes]) => probe.status = Some((*codes).to_owned()),
                ("virtualhost", [host, ..]) => probe.host = Some((*host).to_owned()),
                ("digest" | "regex", _) => {
                    self.leave(
                        inner,
                        "write a text that is in the body as `body` of the probe",
                    );
                }
                _ => self.leave(inner, "there is nothing like it"),
            }
        }
    }

    /// A probe is over before the next one begins.
    fn fit_timeout(&mut self, statement: &Statement, probe: &mut ProbeSpec) {
        let length = |text: &Option<String>| -> Option<f64> {
            text.as_deref()?.strip_suffix("ms")?.parse().ok()
        };
        if let (Some(interval), Some(timeout)) = (length(&probe.interval), length(&probe.timeout))
            && timeout > interval
        {
            self.leave(
                statement,
                "its time-out is longer than its interval, and was made as long as that",
            );
            probe.timeout.clone_from(&probe.interval);
        }
    }
}

/// Seconds with a fraction as milliseconds.
fn seconds(text: &str) -> Option<String> {
    let seconds: f64 = text
        .parse()
        .ok()
        .filter(|it: &f64| it.is_finite() && *it >= 0.0)?;
    Some(format!("{:.0}ms", seconds * 1_000.0))
}

/// Hexadecimal digits as a probe's text writes bytes.
fn bytes(hex: &str) -> Option<String> {
    let digits: Vec<char> = hex.chars().collect();
    let is_hex = digits.iter().all(char::is_ascii_hexdigit) && digits.len().is_multiple_of(2);
    is_hex.then(|| {
        let pairs = digits
            .chunks(2)
            .flat_map(|pair| ['\\', 'x'].iter().chain(pair));
        pairs.collect()
    })
}
