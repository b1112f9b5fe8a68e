//! DNS probes, against answers right, wrong and for somebody else.

use tokio::net::UdpSocket;

use super::*;
use crate::model::{DnsCheck, RecordType};

/// `AAAA www.example.com`, as RFC 1035 section 4.1.2 writes it.
const QUESTION: &[u8] = b"\x03www\x07example\x03com\x00\x00\x1c\x00\x01";

fn dns(min_answers: u16) -> ProbeKind {
    ProbeKind::Dns(DnsCheck {
        query: "www.example.com".parse().unwrap(),
        record: RecordType::Aaaa,
        min_answers,
    })
}

/// Header and question of an answer to the query with `id`.
fn answer(id: [u8; 2], flags: u16, answers: u8, question: &[u8]) -> Vec<u8> {
    let [high, low] = flags.to_be_bytes();
    let head = [id[0], id[1], high, low, 0, 1, 0, answers, 0, 0, 0, 0];
    [&head, question].concat()
}

/// A server that sends what `answers` makes of the query's id.
async fn server(answers: impl Fn([u8; 2]) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut query = [0; 512];
        let (length, from) = socket.recv_from(&mut query).await.unwrap();
        assert_eq!(query[2..12], [1, 0, 0, 1, 0, 0, 0, 0, 0, 0], "one question");
        assert_eq!(&query[12..length], QUESTION);
        for answer in answers([query[0], query[1]]) {
            socket.send_to(&answer, from).await.unwrap();
        }
    });
    address
}

#[tokio::test]
async fn an_answer_without_error_and_with_enough_records_is_good() {
    let upper = QUESTION.to_ascii_uppercase();
    for (flags, answers, min, question) in [
        (0x8180, 1, 1, QUESTION),
        (0x8180, 2, 2, QUESTION),
        (0x8400, 0, 0, QUESTION),
        // Names do not care about case (RFC 1035 section 2.3.3).
        (0x8180, 1, 1, &upper),
        // What does not fit into a datagram is there all the same.
        (0x8380, 0, 1, QUESTION),
    ] {
        let question = question.to_vec();
        let server = server(move |id| vec![answer(id, flags, answers, &question)]).await;
        let result = attempt_at(&probe(dns(min)), server).await;
        assert!(result.is_ok(), "{flags:x} {answers} {min}: {result:?}");
    }
}

#[tokio::test]
async fn errors_and_missing_records_are_told() {
    for (flags, answers, words) in [
        (0x8182, 0, "SERVFAIL for AAAA www.example.com"),
        (0x8183, 0, "NXDOMAIN for AAAA www.example.com"),
        (0x8185, 0, "REFUSED for AAAA www.example.com"),
        (0x8189, 0, "response code 9 for AAAA www.example.com"),
        (
            0x8180,
            1,
            "1 answers to AAAA www.example.com (expected 2 or more)",
        ),
    ] {
        let server = server(move |id| vec![answer(id, flags, answers, QUESTION)]).await;
        assert_eq!(failure(&probe(dns(2)), server).await, words);
    }
}

#[tokio::test]
async fn answers_to_other_questions_are_ignored() {
    let strangers = |id: [u8; 2]| {
        vec![
            answer([id[0], id[1] ^ 1], 0x8180, 1, QUESTION),
            answer(
                id,
                0x8180,
                1,
                b"\x03ftp\x07example\x03com\x00\x00\x1c\x00\x01",
            ),
            // A query, not a response.
            answer(id, 0x0180, 1, QUESTION),
            b"?".to_vec(),
        ]
    };
    let server_alone = server(strangers).await;
    assert_eq!(
        failure(&impatient(dns(1)), server_alone).await,
        "timed out after 100ms waiting for the answer to AAAA www.example.com (ignored, as they do not answer it: 4)"
    );
    let with_right_one = server(move |id| {
        let mut answers = strangers(id);
        answers.push(answer(id, 0x8180, 1, QUESTION));
        answers
    })
    .await;
    attempt_at(&probe(dns(1)), with_right_one).await.unwrap();
}

#[tokio::test]
async fn nobody_at_the_port_is_told_by_icmp() {
    let socket = UdpSocket::bind("[::1]:0").await.unwrap();
    let closed = socket.local_addr().unwrap();
    drop(socket);
    assert_eq!(failure(&probe(dns(1)), closed).await, "connection refused");
}
