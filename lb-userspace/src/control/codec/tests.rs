//! Lines come out whole, in order, bounded in length and time.

use tokio::io::AsyncWriteExt as _;

use super::*;
use crate::control::protocol::MAX_LINE_BYTES;

const PATIENT: Patience = Patience {
    idle: Duration::from_hours(1),
    unfinished: Duration::from_mins(1),
};

/// All lines of a stream that arrives in pieces of `piece` bytes, and the error it ends with.
async fn lines_of(bytes: &[u8], piece: usize) -> (Vec<String>, Option<LineError>) {
    let (mut writer, reader) = tokio::io::duplex(piece);
    let write = async move {
        // The reading end may give up before everything is written.
        drop(writer.write_all(bytes).await);
    };
    let read = async move {
        let mut lines = Lines::new(reader, PATIENT, MAX_LINE_BYTES);
        let mut all = Vec::new();
        loop {
            match lines.next().await {
                Ok(Some(line)) => all.push(line),
                Ok(None) => return (all, None),
                Err(error) => return (all, Some(error)),
            }
        }
    };
    tokio::join!(write, read).1
}

#[tokio::test]
async fn lines_are_whole_however_the_bytes_arrive() {
    for piece in [1, 2, 3, 7, 4_096] {
        let (lines, error) =
            lines_of("one\n\n \r\n\u{e9}t\u{e9}\r\nthree\nlast".as_bytes(), piece).await;
        assert_eq!(
            lines,
            ["one", "\u{e9}t\u{e9}\r", "three", "last"],
            "pieces of {piece}"
        );
        assert!(error.is_none(), "{error:?}");
    }
}

#[tokio::test]
async fn the_longest_line_passes_and_one_byte_more_does_not() {
    let longest = [vec![b'x'; MAX_LINE_BYTES - 1], b"\nnext\n".to_vec()].concat();
    let (lines, error) = lines_of(&longest, 65_536).await;
    assert_eq!((lines.len(), lines[0].len()), (2, MAX_LINE_BYTES - 1));
    assert!(error.is_none(), "{error:?}");

    let longer = [vec![b'x'; MAX_LINE_BYTES], b"\nnext\n".to_vec()].concat();
    let (lines, error) = lines_of(&longer, 65_536).await;
    assert!(lines.is_empty());
    assert!(
        matches!(error, Some(LineError::TooLong(MAX_LINE_BYTES))),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_endless_line_is_not_buffered() {
    let (mut writer, reader) = tokio::io::duplex(65_536);
    let mut lines = Lines::new(reader, PATIENT, MAX_LINE_BYTES);
    let write = async move { while writer.write_all(&[b'x'; 4_096]).await.is_ok() {} };
    let read = async move {
        let error = lines.next().await.unwrap_err();
        assert!(
            matches!(error, LineError::TooLong(MAX_LINE_BYTES)),
            "{error:?}"
        );
        assert!(lines.buffer.len() <= MAX_LINE_BYTES + CHUNK_BYTES);
    };
    tokio::join!(write, read);
}

#[tokio::test]
async fn bytes_that_are_no_text_are_a_parse_error() {
    let (lines, error) = lines_of(b"good\nb\xffd\n", 64).await;
    assert_eq!(lines, ["good"]);
    let error = error.unwrap();
    assert!(
        matches!(error, LineError::NotUtf8 { position: 2 }),
        "{error:?}"
    );
    assert_eq!(error.answer().unwrap().code, ErrorCode::Parse.number());
}

#[tokio::test(start_paused = true)]
async fn a_half_sent_line_has_less_time_than_a_pause_between_lines() {
    let (mut writer, reader) = tokio::io::duplex(64);
    let mut lines = Lines::new(reader, PATIENT, MAX_LINE_BYTES);
    let begin = Instant::now();
    writer.write_all(b"one\ntw").await.unwrap();
    assert_eq!(lines.next().await.unwrap().as_deref(), Some("one"));
    let error = lines.next().await.unwrap_err();
    assert!(matches!(error, LineError::Unfinished(_)), "{error:?}");
    assert_eq!(begin.elapsed().as_secs(), PATIENT.unfinished.as_secs());

    let (_writer, reader) = tokio::io::duplex(64);
    let begin = Instant::now();
    let error = Lines::new(reader, PATIENT, MAX_LINE_BYTES)
        .next()
        .await
        .unwrap_err();
    assert!(
        matches!(error, LineError::Idle(_)) && error.answer().is_none(),
        "{error:?}"
    );
    assert_eq!(begin.elapsed().as_secs(), PATIENT.idle.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_line_sent_byte_by_byte_gets_no_more_time() {
    let (mut writer, reader) = tokio::io::duplex(64);
    let mut lines = Lines::new(reader, PATIENT, MAX_LINE_BYTES);
    let begin = Instant::now();
    let write = async move {
        while writer.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_secs(7)).await;
        }
    };
    let read = async move {
        let error = lines.next().await.unwrap_err();
        assert!(matches!(error, LineError::Unfinished(_)), "{error:?}");
        assert_eq!(begin.elapsed().as_secs(), PATIENT.unfinished.as_secs());
    };
    tokio::join!(write, read);
}
