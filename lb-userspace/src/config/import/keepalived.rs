//! `virtual_server` blocks of keepalived.conf(5) as services.

use std::collections::BTreeMap;

use super::{
    super::{
        Fault,
        spec::{BackendSpec, ProbeSpec, ServiceSpec},
    },
    Imported, LeftOut,
    statements::{self, Statement},
};

mod checker;

#[cfg(test)]
mod tests;

/// How often keepalived checks if `delay_loop` is not written.
const DELAY_LOOP: &str = "60";

/// Reads the text of a keepalived.conf.
///
/// # Errors
/// Its braces do not match.
pub fn keepalived(text: &str) -> Result<Imported, Fault> {
    let statements = statements::parse(text)?;
    let mut import = Import::default();
    let groups = statements
        .iter()
        .filter(|it| it.name() == "virtual_server_group");
    import.groups = groups
        .filter_map(|group| Some((group.words.get(1)?.clone(), group.clone())))
        .collect();
    for statement in &statements {
        match statement.name() {
            "virtual_server" => import.virtual_server(statement),
            "virtual_server_group" => {}
            name if name.starts_with("vrrp_") => import.leave(
                statement,
                "lbd does not move addresses between hosts: keep keepalived for this, or announce the VIPs by a routing daemon",
            ),
            "include" => import.leave(statement, "files are not followed: import that one, too"),
            _ => import.leave(statement, "it is not about virtual servers"),
        }
    }
    let mut imported = import.imported;
    imported.left_out.sort();
    Ok(imported)
}

/// An import in the making.
#[derive(Default)]
struct Import {
    imported: Imported,
    groups: BTreeMap<String, Statement>,
}

/// What of a `virtual_server` holds for what stands in it.
struct Server<'a> {
    protocol: &'a str,
    virtual_host: Option<&'a str>,
    delay_loop: &'a str,
    retry: Option<&'a str>,
}

impl Import {
    fn leave(&mut self, statement: &Statement, why: &str) {
        self.imported.left_out.push(LeftOut {
            line: statement.line,
            what: statement.text(),
            why: why.to_owned(),
        });
    }

    fn virtual_server(&mut self, statement: &Statement) {
        let argument = |name: &str| {
            let mut block = statement.block.iter();
            let found = block.find(|it| it.name() == name);
            found.and_then(|it| it.words.get(1)).map(String::as_str)
        };
        let server = Server {
            protocol: argument("protocol").unwrap_or("TCP"),
            virtual_host: argument("virtualhost"),
            delay_loop: argument("delay_loop").unwrap_or(DELAY_LOOP),
            retry: argument("retry"),
        };
        let protocol = server.protocol.to_lowercase();
        let (name, vips) = match statement.arguments().as_slice() {
            ["group", group] => (self.name(group), self.group(statement, group, &protocol)),
            ["fwmark", ..] => {
                let why =
                    "firewall marks are not seen before the kernel's stack: write the VIPs instead";
                return self.leave(statement, why);
            }
            [address, port] => {
                let address_part = address.replace(':', "-");
                let name = self.name(&format!("{protocol}-{address_part}-{port}"));
                (name, vec![vip(address, port, &protocol)])
            }
            _ => return self.leave(statement, "an address and a port are expected"),
        };
        let mut service = ServiceSpec {
            name,
            vips,
            ..ServiceSpec::default()
        };
        for inner in &statement.block {
            self.part_of(inner, &server, &mut service);
        }
        self.imported.config.services.push(service);
    }

    /// `wanted`, or with a number after it if there is a service of that name already.
    fn name(&self, wanted: &str) -> String {
        let services = &self.imported.config.services;
        let is_free = |name: &String| services.iter().all(|service| service.name != *name);
        let numbered = (2..).map(|number| format!("{wanted}-{number}"));
        let mut names = std::iter::once(wanted.to_owned()).chain(numbered);
        names.find(is_free).unwrap_or_default()
    }

    /// The VIPs of a `virtual_server_group`.
    fn group(&mut self, statement: &Statement, name: &str, protocol: &str) -> Vec<String> {
        let Some(group) = self.groups.get(name).cloned() else {
            self.leave(statement, "there is no virtual_server_group of that name");
            return Vec::new();
        };
        let mut vips = Vec::new();
        for member in &group.block {
            match member.words.as_slice() {
                [address, port] if !address.contains('-') && address != "fwmark" => {
                    vips.push(vip(address, port, protocol));
                }
                _ => self.leave(member, "write its addresses one by one, or as a prefix"),
            }
        }
        vips
    }

    fn part_of(&mut self, inner: &Statement, server: &Server<'_>, service: &mut ServiceSpec) {
        let arguments = inner.arguments();
        match (inner.name(), arguments.as_slice()) {
            ("delay_loop" | "protocol" | "virtualhost" | "retry" | "alpha" | "ip_family", _)
            | ("lb_algo" | "lvs_sched", ["mh", ..]) => {}
            ("lb_kind" | "lvs_method", [kind, ..]) => match mode(&arguments) {
                Some(mode) => service.mode = Some(mode.to_owned()),
                None => self.leave(inner, &format!("there is no mode like `{kind}`")),
            },
            ("lb_algo" | "lvs_sched", words) => match words.first().and_then(|it| algorithm(it)) {
                Some(algorithm) => service.algorithm = Some(algorithm.to_owned()),
                None => self.leave(
                    inner,
                    "flows are spread by a consistent hash (Maglev), by weight; `algorithm` knows other ways",
                ),
            },
            ("quorum", [count, ..]) => match count.parse() {
                Ok(count) => service.min_healthy = Some(count),
                Err(_) => self.leave(inner, "a number is expected"),
            },
            ("real_server", [address, port]) => {
                self.real_server(inner, (address, port), server, service);
            }
            ("sorry_server", [address, port]) => service.backends.push(BackendSpec {
                address: endpoint(address, port),
                role: Some("fallback".to_owned()),
                ..BackendSpec::default()
            }),
            ("persistence_timeout" | "persistence_granularity", _) => self.leave(
                inner,
                "a client's connections are not kept together; each stays with its server",
            ),
            ("quorum_up" | "quorum_down", _) => {
                self.leave(inner, "scripts are not run: follow `lbctl watch`");
            }
            _ => self.leave(inner, "there is nothing like it"),
        }
    }

    fn real_server(
        &mut self,
        statement: &Statement,
        (address, port): (&str, &str),
        server: &Server<'_>,
        service: &mut ServiceSpec,
    ) {
        let mut backend = BackendSpec {
            address: endpoint(address, port),
            ..BackendSpec::default()
        };
        for inner in &statement.block {
            let arguments = inner.arguments();
            match (inner.name(), arguments.as_slice()) {
                ("weight", [weight, ..]) => self.weight(inner, weight, &mut backend),
                ("lvs_method", [kind, ..]) => match mode(&arguments) {
                    Some(mode) => backend.mode = Some(mode.to_owned()),
                    None => self.leave(inner, &format!("there is no mode like `{kind}`")),
                },
                ("alpha" | "retry" | "delay_loop", _) => {}
                ("inhibit_on_failure", _) => self.leave(
                    inner,
                    "flows of an unhealthy backend go to others until it is back",
                ),
                ("notify_up" | "notify_down", _) => {
                    self.leave(inner, "scripts are not run: follow `lbctl watch`");
                }
                (name, _) if checker::is_checker(name) => {
                    let own = |name: &str| {
                        let mut block = statement.block.iter();
                        let found = block.find(|it| it.name() == name);
                        found.and_then(|it| it.words.get(1)).map(String::as_str)
                    };
                    let server = Server {
                        delay_loop: own("delay_loop").unwrap_or(server.delay_loop),
                        retry: own("retry").or(server.retry),
                        ..*server
                    };
                    if let Some(probe) = self.checker(inner, &server) {
                        self.probe(inner, probe, service);
                    }
                }
                _ => self.leave(inner, "there is nothing like it"),
            }
        }
        service.backends.push(backend);
    }

    fn weight(&mut self, statement: &Statement, weight: &str, backend: &mut BackendSpec) {
        match weight.parse::<u32>() {
            // IPVS sends nothing new to a server of weight 0.
            Ok(0) => backend.state = Some("drain".to_owned()),
            Ok(1) => {}
            Ok(weight) if weight <= 1_000 => backend.weight = Some(weight),
            _ => self.leave(statement, "weights go from 1 to 1,000"),
        }
    }

    /// A service has one probe: that of its first server with a checker.
    fn probe(&mut self, statement: &Statement, probe: ProbeSpec, service: &mut ServiceSpec) {
        match &service.probe {
            None => service.probe = Some(probe),
            Some(first) if *first == probe => {}
            Some(_) => self.leave(
                statement,
                "a service has one probe, and its first server has another one",
            ),
        }
    }
}

fn vip(address: &str, port: &str, protocol: &str) -> String {
    let port = if port == "0" { "*" } else { port };
    format!("{}/{protocol}", endpoint(address, port))
}

fn endpoint(address: &str, port: &str) -> String {
    if address.contains(':') {
        format!("[{address}]:{port}")
    } else {
        format!("{address}:{port}")
    }
}

/// Our word for a scheduler of IPVS that is not `mh`: weights count with each, also where IPVS has a form without.
fn algorithm(scheduler: &str) -> Option<&'static str> {
    match scheduler {
        "rr" | "wrr" => Some("round-robin"),
        "sh" => Some("source-hash"),
        "lc" | "wlc" => Some("least-connections"),
        _ => None,
    }
}

/// Our word for a way of forwarding: `NAT`, `DR`, `TUN`, and `TUN type gue`.
fn mode(arguments: &[&str]) -> Option<&'static str> {
    match arguments {
        ["NAT", ..] => Some("nat"),
        ["DR", ..] => Some("l2"),
        ["TUN", "type", "gue", ..] => Some("gue"),
        ["TUN", "type", "gre", ..] => None,
        ["TUN", ..] => Some("ipip"),
        _ => None,
    }
}
