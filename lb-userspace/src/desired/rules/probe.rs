//! What must hold within one probe.

use std::{ops::RangeInclusive, path::Path, time::Duration};

use crate::model::{
    DnsCheck, ExecCheck, GrpcCheck, HttpCheck, Method, Probe, ProbeKind, StatusRange, Tls, Trust,
};

/// How often a backend may be probed.
pub const PROBE_INTERVAL: RangeInclusive<Duration> =
    Duration::from_millis(10)..=Duration::from_hours(1);
/// The shortest time that a probe may be given.
const MIN_TIMEOUT: Duration = Duration::from_millis(1);
/// Successes or failures in a row until a conclusion.
const STREAK: RangeInclusive<u32> = 1..=100;
/// The most jitter, in per cent of the interval.
const MAX_JITTER_PERCENT: u32 = 50;
/// The longest that a backend may be held down.
const HOLD_DOWN_MAX: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(24);
/// The longest request target, `Host` header or expected text, in bytes.
const MAX_TEXT: usize = 1_024;
/// The most records that an answer may have to hold.
const MAX_ANSWERS: u16 = 100;
/// The most words of a command, and the most bytes of all of them.
const MAX_COMMAND: (usize, usize) = (64, 4_096);

/// A rule that a probe breaks: what is wrong, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ProbeBreach {
    #[error("port 0: write a port from 1 to 65535, or leave it out to probe the backend's own")]
    Port,
    #[error(
        "all VIPs of the service are SCTP, which no probe of this type speaks, so nobody answers it at the backend's own port: name a port where something listens by TCP or UDP, use type icmp, or take the probe out"
    )]
    OfSctp,
    #[error("the interval {0:?} is out of range: write 10ms to 1h")]
    Interval(Duration),
    #[error("the timeout {0:?} is too short: write at least 1ms")]
    Timeout(Duration),
    #[error(
        "the timeout {timeout:?} is longer than the interval {interval:?}: a probe must end before the next begins"
    )]
    TimeoutAboveInterval {
        timeout: Duration,
        interval: Duration,
    },
    #[error("{0} in a row is out of range: write 1 to 100")]
    Streak(u32),
    #[error("a jitter of {0} % is out of range: write 0 to {MAX_JITTER_PERCENT}")]
    Jitter(u32),
    #[error(
        "held down for {first:?} and then {longest:?}: the longest time is the shorter one; raise hold_down_max, or write hold_down = \"0s\" for none"
    )]
    HoldDown { first: Duration, longest: Duration },
    #[error("held down for {0:?} at most is out of range: write 1s to 1day")]
    HoldDownMax(Duration),
    #[error(
        "{0:?} is not a request target: write a path that begins with `/`, without spaces or `#`, at most {MAX_TEXT} characters"
    )]
    Path(String),
    #[error(
        "{0:?} is not a `Host` header: write a host name or address, at most {MAX_TEXT} characters"
    )]
    Host(String),
    #[error("status codes {} to {} are not a range: write a lowest and a highest from 100 to 599, like \"200-399\"", .0.from, .0.to)]
    Status(StatusRange),
    #[error("{0:?} cannot be looked for: write 1 to {MAX_TEXT} bytes")]
    Body(String),
    #[error("the answer to HEAD has no body to look into: use GET, or leave `body` out")]
    BodyOfHead,
    #[error("{0:?} is not the name of a server: write a host name or an address, without a port")]
    Sni(String),
    #[error("{0:?} is not the whole path of a file: write one that begins with `/`")]
    CaFile(String),
    #[error("{0} answers are out of range: write 0 to {MAX_ANSWERS}")]
    MinAnswers(u16),
    #[error("{0:?} is not a service: write 1 to {MAX_TEXT} visible characters")]
    GrpcService(String),
    #[error(
        "not a command: write the whole path of a program, and its arguments, like [\"/usr/local/bin/check\", \"--fast\"]; at most {} words of {} bytes together, without NUL", MAX_COMMAND.0, MAX_COMMAND.1
    )]
    Command,
}

/// A field of a probe, by its name in a file, and what is wrong with it.
type Found = Vec<(&'static str, ProbeBreach)>;

/// Every rule that `probe` breaks, with the name of the field.
#[must_use]
pub fn probe_breaches(probe: &Probe) -> Found {
    let mut found = match &probe.kind {
        ProbeKind::Tcp | ProbeKind::Udp(_) | ProbeKind::Icmp => Vec::new(),
        ProbeKind::Http(check) => http(check),
        ProbeKind::Dns(check) => dns(check),
        ProbeKind::Grpc(check) => grpc(check),
        ProbeKind::Exec(check) => exec(check),
    };
    found.extend(timing(probe));
    found
}

fn timing(probe: &Probe) -> Found {
    let &Probe {
        interval, timeout, ..
    } = probe;
    let above = ProbeBreach::TimeoutAboveInterval { timeout, interval };
    let streak = |streak| (STREAK.contains(&streak), ProbeBreach::Streak(streak));
    let jitter = probe.jitter_percent;
    let (first, longest) = (probe.hold_down, probe.hold_down_max);
    let rules = [
        ("port", (probe.port != Some(0), ProbeBreach::Port)),
        (
            "interval",
            (
                PROBE_INTERVAL.contains(&interval),
                ProbeBreach::Interval(interval),
            ),
        ),
        (
            "timeout",
            (timeout >= MIN_TIMEOUT, ProbeBreach::Timeout(timeout)),
        ),
        ("timeout", (timeout <= interval, above)),
        ("rise", streak(probe.rise)),
        ("fall", streak(probe.fall)),
        (
            "jitter_percent",
            (jitter <= MAX_JITTER_PERCENT, ProbeBreach::Jitter(jitter)),
        ),
        (
            "hold_down",
            (first <= longest, ProbeBreach::HoldDown { first, longest }),
        ),
        (
            "hold_down_max",
            (
                HOLD_DOWN_MAX.contains(&longest),
                ProbeBreach::HoldDownMax(longest),
            ),
        ),
    ];
    let broken = rules.into_iter().filter(|(_, (holds, _))| !holds);
    broken.map(|(field, (_, breach))| (field, breach)).collect()
}

/// Whether `text` can stand in a request: it is kept to visible ASCII, so that nothing typed here can add a line to it
/// (RFC 9112 section 3.2, RFC 9110 section 7.2).
fn is_visible(text: &str) -> bool {
    (1..=MAX_TEXT).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

fn http(check: &HttpCheck) -> Found {
    let HttpCheck {
        method,
        path,
        status,
        body,
        ..
    } = check;
    let mut found = host(check.host.as_deref());
    if !(is_visible(path) && path.starts_with('/') && !path.contains('#')) {
        found.push(("path", ProbeBreach::Path(path.clone())));
    }
    let codes = 100..=599;
    if !(codes.contains(&status.from) && codes.contains(&status.to) && status.from <= status.to) {
        found.push(("status", ProbeBreach::Status(*status)));
    }
    if let Some(body) = body {
        if !(1..=MAX_TEXT).contains(&body.len()) {
            found.push(("body", ProbeBreach::Body(body.clone())));
        } else if *method == Method::Head {
            found.push(("body", ProbeBreach::BodyOfHead));
        }
    }
    found.extend(check.tls.iter().flat_map(tls));
    found
}

fn host(host: Option<&str>) -> Found {
    let is_host = |host: &str| is_visible(host) && !host.contains(['/', '?', '#', '@']);
    let wrong = host.filter(|host| !is_host(host));
    let breach = wrong.map(|host| ("host", ProbeBreach::Host(host.to_owned())));
    breach.into_iter().collect()
}

fn tls(tls: &Tls) -> Found {
    let mut found = Vec::new();
    // What a host name is, rustls says when it is used; a port is the usual mistake.
    let is_name = |sni: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let is_address = sni.parse::<std::net::IpAddr>().is_ok();
        is_address || ((1..=253).contains(&sni.len()) && sni.chars().all(allowed))
    };
    if let Some(sni) = tls.sni.as_ref().filter(|sni| !is_name(sni)) {
        found.push(("sni", ProbeBreach::Sni(sni.clone())));
    }
    if let Trust::File(path) = &tls.trust
        && !is_whole_path(path)
    {
        found.push(("ca_file", ProbeBreach::CaFile(path.display().to_string())));
    }
    found
}

fn is_whole_path(path: &Path) -> bool {
    path.is_absolute() && !path.as_os_str().as_encoded_bytes().contains(&0)
}

fn dns(check: &DnsCheck) -> Found {
    let breach = ProbeBreach::MinAnswers(check.min_answers);
    let is_wrong = check.min_answers > MAX_ANSWERS;
    is_wrong
        .then_some(("min_answers", breach))
        .into_iter()
        .collect()
}

fn grpc(check: &GrpcCheck) -> Found {
    let mut found = host(check.host.as_deref());
    if let Some(service) = check
        .service
        .as_ref()
        .filter(|service| !is_visible(service))
    {
        found.push(("grpc_service", ProbeBreach::GrpcService(service.clone())));
    }
    found.extend(check.tls.iter().flat_map(tls));
    found
}

fn exec(check: &ExecCheck) -> Found {
    let (words, bytes) = MAX_COMMAND;
    let command = &check.command;
    let is_command = command
        .first()
        .is_some_and(|program| is_whole_path(Path::new(program)))
        && command.len() <= words
        && command.iter().map(String::len).sum::<usize>() <= bytes
        && command.iter().all(|word| !word.contains('\0'));
    let breach = (!is_command).then_some(("command", ProbeBreach::Command));
    breach.into_iter().collect()
}
