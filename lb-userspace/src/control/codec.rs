//! Cuts a stream of bytes into lines, with a bound on their length and on the time they may take.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    time::{Instant, timeout_at},
};

use super::protocol::{ErrorCode, RpcError};

/// Bytes asked for at once.
const CHUNK_BYTES: usize = 8 * 1024;

/// How long the other side may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// To begin a line.
    pub idle: Duration,
    /// To end a line that has begun.
    pub unfinished: Duration,
}

/// Why there is no next line; the stream cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// So many bytes and more without a newline.
    #[error("the line is longer than {0} bytes: send less at once; the connection is closed")]
    TooLong(usize),
    /// Not UTF-8.
    #[error("the line is not UTF-8 (byte {position} of it); the connection is closed")]
    NotUtf8 {
        /// The place of the first bad byte, from 1.
        position: usize,
    },
    /// A line was begun and not ended in time.
    #[error(
        "the line was not ended within {} s: end every request with a newline; the connection is closed",
        .0.as_secs_f64()
    )]
    Unfinished(Duration),
    /// No line was begun in time.
    #[error("no request within {} s", .0.as_secs_f64())]
    Idle(Duration),
    /// The stream broke.
    #[error("cannot read a request: {0}")]
    Read(#[source] io::Error),
}

impl LineError {
    /// What the other side is told, if it is told anything.
    #[must_use]
    pub fn answer(&self) -> Option<RpcError> {
        let code = match self {
            Self::TooLong(_) => ErrorCode::TooLong,
            Self::NotUtf8 { .. } => ErrorCode::Parse,
            Self::Unfinished(_) => ErrorCode::InvalidRequest,
            Self::Idle(_) | Self::Read(_) => return None,
        };
        Some(RpcError::new(code, self.to_string()))
    }
}

/// Lines from `R`. Holds at most one of the longest lines and one chunk.
#[derive(Debug)]
pub struct Lines<R> {
    reader: R,
    /// What has been read and not been given out.
    buffer: Vec<u8>,
    /// So many bytes of the buffer are known to hold no newline.
    scanned: usize,
    patience: Patience,
    /// The longest line, in bytes, the newline included.
    longest: usize,
    /// When the line was begun that is being read or, before it is, when it began to be waited for; `None` until it is
    /// waited for.
    since: Option<Instant>,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// Lines from `reader`, the longest of which has `longest` bytes, the newline included.
    pub const fn new(reader: R, patience: Patience, longest: usize) -> Self {
        Self {
            reader,
            buffer: Vec::new(),
            scanned: 0,
            patience,
            longest,
            since: None,
        }
    }

    /// The next line that is not blank, without its newline and leading white space; `None` at the end of
    /// the stream. The last line needs no newline. Nothing is lost if the future is dropped, and its time runs on.
    ///
    /// # Errors
    /// See [`LineError`]; after one, the stream cannot be read on, but after [`LineError::Idle`], whose time begins anew.
    pub async fn next(&mut self) -> Result<Option<String>, LineError> {
        loop {
            if let Some(line) = self.take_line()? {
                self.skip_blank();
                self.since = None;
                return text(line).map(Some);
            }
            let was_empty = self.buffer.is_empty();
            let at_end = self.read_chunk().await? == 0;
            self.skip_blank();
            match (at_end, self.buffer.is_empty()) {
                (true, true) => return Ok(None),
                (true, false) => {
                    self.scanned = 0;
                    return text(std::mem::take(&mut self.buffer)).map(Some);
                }
                (false, is_empty) if was_empty && !is_empty => self.since = None,
                (false, _) => {}
            }
        }
    }

    /// The stream, for what comes after an error; what has been buffered is lost.
    pub fn into_reader(self) -> R {
        self.reader
    }

    const fn allowed(&self) -> Duration {
        if self.buffer.is_empty() {
            self.patience.idle
        } else {
            self.patience.unfinished
        }
    }

    /// White space between lines is no line: it is not kept, and does not begin one.
    fn skip_blank(&mut self) {
        let bytes = self.buffer.iter();
        let blank = bytes.take_while(|byte| byte.is_ascii_whitespace()).count();
        self.buffer.drain(..blank);
    }

    /// Takes a whole line out of the buffer.
    fn take_line(&mut self) -> Result<Option<Vec<u8>>, LineError> {
        let unseen = self.buffer.iter().skip(self.scanned);
        let newline = unseen.take_while(|byte| **byte != b'\n').count() + self.scanned;
        if newline >= self.longest {
            return Err(LineError::TooLong(self.longest));
        }
        if newline == self.buffer.len() {
            self.scanned = newline;
            return Ok(None);
        }
        let rest = self.buffer.split_off(newline + 1);
        let mut line = std::mem::replace(&mut self.buffer, rest);
        line.truncate(newline);
        self.scanned = 0;
        Ok(Some(line))
    }

    /// Reads what is there into the buffer: 0 at the end of the stream.
    async fn read_chunk(&mut self) -> Result<usize, LineError> {
        let since = *self.since.get_or_insert_with(Instant::now);
        let deadline = since + self.allowed();
        self.buffer.reserve(CHUNK_BYTES);
        let mut bounded = (&mut self.reader).take(CHUNK_BYTES as u64);
        match timeout_at(deadline, bounded.read_buf(&mut self.buffer)).await {
            Ok(read) => read.map_err(LineError::Read),
            Err(_) if self.buffer.is_empty() => {
                self.since = None;
                Err(LineError::Idle(self.patience.idle))
            }
            Err(_) => Err(LineError::Unfinished(self.patience.unfinished)),
        }
    }
}

fn text(line: Vec<u8>) -> Result<String, LineError> {
    String::from_utf8(line).map_err(|error| LineError::NotUtf8 {
        position: error.utf8_error().valid_up_to() + 1,
    })
}

#[cfg(test)]
mod tests;
