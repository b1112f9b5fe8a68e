//! What the demo prints while it runs: lines that stay, and below them one table that is drawn anew.

use std::{
    fmt,
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

/// How often the summary of the table is printed where there is no terminal.
const LINE_PAUSE: Duration = Duration::from_secs(2);

/// Colours of a terminal (ECMA-48, SGR).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colour {
    Red = 31,
    Green = 32,
    Yellow = 33,
    Cyan = 36,
}

/// Standard output, with a table at its bottom if it is a terminal.
pub(super) struct Screen {
    begun: Instant,
    terminal: bool,
    /// Lines of the table that is to be seen.
    drawn: usize,
    last_line: Option<Instant>,
}

impl Screen {
    pub(super) fn new() -> Self {
        Self {
            begun: Instant::now(),
            terminal: io::stdout().is_terminal(),
            drawn: 0,
            last_line: None,
        }
    }

    /// Since the demo began.
    pub(super) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// `text` in a colour, if there is a terminal.
    pub(super) fn paint(&self, colour: Colour, text: impl fmt::Display) -> String {
        if self.terminal {
            format!("\x1b[{}m{text}\x1b[0m", colour as u8)
        } else {
            text.to_string()
        }
    }

    /// Prints something that happened, with its time, above the table.
    pub(super) fn say(&mut self, text: impl fmt::Display) {
        let time = format!("{:5.1} s", self.elapsed().as_secs_f64());
        let time = self.paint(Colour::Cyan, time);
        self.print(&format!("{time}  {text}\n"), 0);
    }

    /// Draws the table; where there is no terminal, now and then the one line instead.
    pub(super) fn draw(&mut self, table: &str, line: &str) {
        if self.terminal {
            self.print(table, table.lines().count());
        } else if self
            .last_line
            .is_none_or(|last| last.elapsed() >= LINE_PAUSE)
        {
            self.last_line = Some(Instant::now());
            self.say(line);
        }
    }

    /// Replaces the table by `text`, of which `redrawn` lines are the new table.
    fn print(&mut self, text: &str, redrawn: usize) {
        let mut out = io::stdout().lock();
        let erase = match self.drawn {
            0 => String::new(),
            lines => format!("\x1b[{lines}A\x1b[J"),
        };
        // A closed output is no reason to leave the namespaces behind.
        let _ = write!(out, "{erase}{text}").and_then(|()| out.flush());
        self.drawn = redrawn;
    }
}

/// A count with its thousands set apart: `12,345`.
pub(super) fn grouped(count: impl Into<u64>) -> String {
    let digits = count.into().to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        let cases = [
            (0_u64, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ];
        for (count, text) in cases {
            assert_eq!(grouped(count), text);
        }
    }
}
