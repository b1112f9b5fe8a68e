//! Where in a TOML text a place or an offset is.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// The lines of a text.
pub(super) struct Lines<'t> {
    text: &'t str,
    /// The offset at which each line begins, in bytes.
    begins: Vec<usize>,
}

impl<'t> Lines<'t> {
    /// The lines of `text`.
    pub(super) fn of(text: &'t str) -> Self {
        let ends = text.match_indices('\n').map(|(end, _)| end + 1);
        Self {
            text,
            begins: [0].into_iter().chain(ends).collect(),
        }
    }

    /// Line and column of the byte at `offset`, both from 1, the column in characters.
    pub(super) fn position(&self, offset: usize) -> (u32, u32) {
        let line = self.begins.partition_point(|begin| *begin <= offset);
        let begin = line
            .checked_sub(1)
            .and_then(|index| self.begins.get(index))
            .copied()
            .unwrap_or(0);
        let before = self.text.get(begin..offset.min(self.text.len()));
        let column = before.map_or(0, |before| before.chars().count()) + 1;
        let number = |n| u32::try_from(n).unwrap_or(u32::MAX);
        (number(line), number(column))
    }
}

/// Where the value at `place` stands, like `service[1].backend[0].address`; or, if it is not there, the
/// innermost table or array on the way to it.
pub(super) fn span_of(root: &Spanned<DeTable<'_>>, place: &str) -> Range<usize> {
    let mut span = root.span();
    let mut table = Some(root.get_ref());
    let mut inner: Option<&DeValue<'_>> = None;
    for step in steps(place) {
        let next = match step {
            Step::Key(key) => table.and_then(|table| table.get(key)),
            Step::Index(index) => inner.and_then(|value| value.get(index)),
        };
        let Some(next) = next else { break };
        span = next.span();
        inner = Some(next.get_ref());
        table = next.get_ref().as_table();
    }
    span
}

enum Step<'p> {
    Key(&'p str),
    Index(usize),
}

fn steps(place: &str) -> impl Iterator<Item = Step<'_>> {
    let words = place.split(['.', '[']).filter(|word| !word.is_empty());
    words.map(|word| {
        let index = word.strip_suffix(']').and_then(|word| word.parse().ok());
        index.map_or(Step::Key(word), Step::Index)
    })
}
