//! The grammar of keepalived.conf(5): statements of words, some with a block of statements in braces.

use super::super::Fault;

/// One statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Statement {
    /// Where it begins, from 1.
    pub(super) line: u32,
    /// At least one.
    pub(super) words: Vec<String>,
    /// What stands in its braces; empty without.
    pub(super) block: Vec<Statement>,
}

impl Statement {
    /// Its first word.
    pub(super) fn name(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    /// The words after the first.
    pub(super) fn arguments(&self) -> Vec<&str> {
        self.words.iter().skip(1).map(String::as_str).collect()
    }

    /// The statement without its block.
    pub(super) fn text(&self) -> String {
        self.words.join(" ")
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Open,
    Close,
    End,
}

/// Reads a file.
///
/// # Errors
/// A brace without its counterpart.
pub(super) fn parse(text: &str) -> Result<Vec<Statement>, Fault> {
    // Statements that are open, and what stands in their braces so far.
    let mut open: Vec<(Statement, Vec<Statement>)> = Vec::new();
    let mut found: Vec<Statement> = Vec::new();
    let mut words = Statement::default();
    let finish = |words: &mut Statement, found: &mut Vec<Statement>| {
        if !words.words.is_empty() {
            found.push(std::mem::take(words));
        }
    };
    for (line, token) in tokens(text) {
        match token {
            Token::Word(word) => {
                if words.words.is_empty() {
                    words.line = line;
                }
                words.words.push(word);
            }
            Token::End => finish(&mut words, &mut found),
            Token::Open => {
                // The brace may stand on a line of its own.
                let owner = if words.words.is_empty() {
                    found.pop()
                } else {
                    Some(std::mem::take(&mut words))
                };
                let owner = owner.ok_or_else(|| fault(line, "`{` without a word before it"))?;
                open.push((owner, std::mem::take(&mut found)));
            }
            Token::Close => {
                finish(&mut words, &mut found);
                let (mut owner, before) = open
                    .pop()
                    .ok_or_else(|| fault(line, "`}` without a `{` before it"))?;
                owner.block = std::mem::replace(&mut found, before);
                found.push(owner);
            }
        }
    }
    finish(&mut words, &mut found);
    match open.pop() {
        None => Ok(found),
        Some((owner, _)) => Err(fault(owner.line, "its `{` is never closed")),
    }
}

fn fault(line: u32, message: &str) -> Fault {
    Fault {
        line: Some(line),
        ..Fault::of_whole(message.to_owned())
    }
}

/// Words and braces with their lines; each line has an end. Comments begin with `#` or `!` and go to the end of the line,
/// and quotes hold a word together.
fn tokens(text: &str) -> Vec<(u32, Token)> {
    let mut tokens = Vec::new();
    for (line, written) in (1..).zip(text.lines()) {
        let mut rest = written.trim_start();
        while let Some(first) = rest.chars().next() {
            let (token, after) = match first {
                '#' | '!' => break,
                '{' => (Token::Open, rest.get(1..)),
                '}' => (Token::Close, rest.get(1..)),
                '"' => {
                    let inside = rest.get(1..).unwrap_or_default();
                    let (word, after) = inside.split_once('"').unwrap_or((inside, ""));
                    (Token::Word(word.to_owned()), Some(after))
                }
                _ => {
                    let is_end =
                        |c: char| c.is_whitespace() || matches!(c, '{' | '}' | '#' | '!' | '"');
                    let end = rest.find(is_end).unwrap_or(rest.len());
                    let (word, after) = rest.split_at(end);
                    (Token::Word(word.to_owned()), Some(after))
                }
            };
            tokens.push((line, token));
            rest = after.unwrap_or_default().trim_start();
        }
        tokens.push((line, Token::End));
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(statements: &[Statement]) -> String {
        let one = |statement: &Statement| {
            let block = shape(&statement.block);
            let words = statement.words.join("+");
            if !statement.block.is_empty() {
                return format!("{}:{words}({block})", statement.line);
            }
            format!("{}:{words}", statement.line)
        };
        statements.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn statements_are_read_with_their_blocks_and_lines() {
        for (text, expected) in [
            ("", ""),
            ("a b c", "1:a+b+c"),
            ("a b # c\n! d\ne", "1:a+b 3:e"),
            ("a {\n  b 1\n  c { d }\n}\ne", "1:a(2:b+1 3:c(3:d)) 5:e"),
            ("a x\n{\n b\n}", "1:a+x(3:b)"),
            ("a \"b c # d\" e", "1:a+b c # d+e"),
            ("a{b}", "1:a(1:b)"),
            ("a {\n}\n", "1:a"),
        ] {
            assert_eq!(shape(&parse(text).unwrap()), expected, "{text:?}");
        }
    }

    #[test]
    fn a_brace_without_its_counterpart_is_told_with_its_line() {
        for (text, line, message) in [
            ("a {\n b {\n }\n", 1, "its `{` is never closed"),
            ("a\n}\n", 2, "`}` without a `{` before it"),
            ("\n{ a }", 2, "`{` without a word before it"),
        ] {
            let fault = parse(text).unwrap_err();
            assert_eq!(
                (fault.line, fault.message.as_str()),
                (Some(line), message),
                "{text:?}"
            );
        }
    }
}
