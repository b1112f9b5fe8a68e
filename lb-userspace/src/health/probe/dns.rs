//! The DNS probe: one question by UDP, and the head of its answer (RFC 1035 section 4.1).
//!
//! Only the header and the question of an answer are read, twelve bytes and an echo of what was sent: for that a
//! resolver's library would bring more code than it saves.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU32, Ordering},
};

use super::{Deadline, Failure, socket};
use crate::{health::chance, model::DnsCheck};

/// The header's length (RFC 1035 section 4.1.1).
const HEADER_BYTES: usize = 12;
/// What may come by UDP without EDNS (RFC 1035 section 2.3.4); the answer's head is in it in any case.
const MESSAGE_MAX_BYTES: usize = 512;
/// Recursion desired.
const RD: u16 = 0x0100;
/// This is a response.
const QR: u16 = 0x8000;
/// The answer did not fit.
const TC: u16 = 0x0200;
/// The response code.
const RCODE: u16 = 0x000f;
/// The class of the Internet.
const IN: u16 = 1;

/// Asks, and judges the first answer with the question's id; others are ignored, for they answer somebody else
/// (RFC 5452 section 9.1).
pub(super) async fn probe(
    check: &DnsCheck,
    endpoint: SocketAddr,
    deadline: Deadline,
) -> Result<(), Failure> {
    let socket = socket::datagrams(endpoint).await?;
    let question = question(check, (chance::bits() >> 48) as u16);
    socket::send(&socket, &question).await?;
    let ignored = AtomicU32::new(0);
    let answer = async {
        let mut buffer = [0; MESSAGE_MAX_BYTES];
        loop {
            let message = socket::receive(&socket, &mut buffer).await?;
            if let Some(verdict) = verdict(check, &question, message) {
                return verdict;
            }
            ignored.fetch_add(1, Ordering::Relaxed);
        }
    };
    let during = || {
        let DnsCheck { query, record, .. } = check;
        let waiting = format!("waiting for the answer to {record} {query}");
        match ignored.load(Ordering::Relaxed) {
            0 => waiting,
            count => format!("{waiting} (ignored, as they do not answer it: {count})"),
        }
    };
    deadline.limit(answer, during).await
}

/// The message that asks.
fn question(check: &DnsCheck, id: u16) -> Vec<u8> {
    let mut message = Vec::with_capacity(HEADER_BYTES + 64);
    // One question, and nothing in the other sections.
    for word in [id, RD, 1, 0, 0, 0] {
        message.extend(word.to_be_bytes());
    }
    for label in check.query.labels() {
        // A label has at most 63 bytes.
        message.extend(u8::try_from(label.len()));
        message.extend(label.as_bytes());
    }
    message.push(0);
    for word in [check.record.number(), IN] {
        message.extend(word.to_be_bytes());
    }
    message
}

/// What `message` says as an answer to `question`; `None` if it is none.
fn verdict(check: &DnsCheck, question: &[u8], message: &[u8]) -> Option<Result<(), Failure>> {
    let word = |at: usize| {
        let bytes = message.get(at..at + 2)?;
        Some(u16::from_be_bytes(bytes.try_into().ok()?))
    };
    let (flags, questions, answers) = (word(2)?, word(4)?, word(6)?);
    let has_id = message.get(..2) == question.get(..2);
    if !has_id || flags & QR == 0 {
        return None;
    }
    let DnsCheck { query, record, .. } = check;
    let failure = |words: String| Some(Err(Failure::Backend(words)));
    // Servers that refuse may leave the question out.
    let code = flags & RCODE;
    if code != 0 {
        return failure(format!("{} for {record} {query}", code_word(code)));
    }
    let asked = question.get(HEADER_BYTES..).unwrap_or_default();
    let echo = message.get(HEADER_BYTES..).unwrap_or_default();
    let echo = echo.get(..asked.len()).unwrap_or_default();
    if questions != 1 || !echo.eq_ignore_ascii_case(asked) {
        return None;
    }
    if answers < check.min_answers && flags & TC == 0 {
        let wanted = check.min_answers;
        return failure(format!(
            "{answers} answers to {record} {query} (expected {wanted} or more)"
        ));
    }
    Some(Ok(()))
}

/// The name of a response code (RFC 1035 section 4.1.1, RFC 2136 section 2.2).
fn code_word(code: u16) -> String {
    let word = match code {
        1 => "FORMERR",
        2 => "SERVFAIL",
        3 => "NXDOMAIN",
        4 => "NOTIMP",
        5 => "REFUSED",
        _ => return format!("response code {code}"),
    };
    word.to_owned()
}
