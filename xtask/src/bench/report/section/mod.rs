//! The document: a section for each benchmark, with its tables and plots, and what is written by hand kept as it is.

use anyhow::Result;

use super::{figures::All, goal::GOALS};

mod control;
mod packets;
mod words;

/// What stands between these lines is written by hand.
const BY_HAND: [&str; 2] = [
    "<!-- written by hand from here: `cargo xtask bench report` keeps it -->",
    "<!-- to here -->",
];
/// What stands there in the beginning.
const NOTHING_BY_HAND: &str = "\n(nothing yet)\n";

/// The document and its plots, by name.
pub(super) struct Document {
    pub(super) text: String,
    pub(super) plots: Vec<(&'static str, String)>,
}

impl Document {
    /// Of these figures and these [budgets](crate::verify::budgets), with what stands by hand in the document before.
    ///
    /// # Errors
    /// A plot cannot be drawn.
    pub(super) fn of(all: &All, budgets: &[Vec<String>], before: &str) -> Result<Self> {
        let mut document = Self {
            text: words::HEAD.to_owned(),
            plots: Vec::new(),
        };
        document.conditions(all);
        document.goals(all);
        if let Some(packet) = &all.packet {
            document.packets(all, &packet.figures)?;
        }
        if let Some(path) = &all.path {
            document.paths(&path.figures)?;
        }
        if let Some(counted) = &all.vm {
            document.instructions(&counted.figures)?;
        }
        if let Some(control) = &all.control {
            document.control(&control.figures)?;
        }
        document.failures(all);
        document.programs(all, budgets);
        let [begin, end] = BY_HAND;
        let kept = by_hand(before).unwrap_or(NOTHING_BY_HAND);
        document.say(&format!("{}\n{begin}{kept}{end}\n", words::STEPS));
        Ok(document)
    }

    fn say(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn plot(&mut self, name: &'static str, about: &str, svg: String) {
        self.say(&format!("\n![{about}](benchmarks/{name}.svg)\n"));
        self.plots.push((name, svg));
    }

    fn conditions(&mut self, all: &All) {
        let conditions = all.conditions();
        let Some((machine, ..)) = conditions.values().next() else {
            return;
        };
        self.say(&format!(
            "\n## Machine\n\n{}",
            table(&["", ""], &machine.rows())
        ));
        let rows = conditions.iter().map(|(name, (other, is_quick, seconds))| {
            let which = if machine.is(other) { "this" } else { "another" };
            let effort = if *is_quick { "quick" } else { "full" };
            let load = other.load().to_owned();
            let cells = [name, which, effort].map(str::to_owned);
            [cells.to_vec(), vec![seconds.to_string(), load]].concat()
        });
        let head = [
            "benchmark",
            "machine",
            "effort",
            "took s",
            "load average before",
        ];
        let rows: Vec<_> = rows.collect();
        self.say(&format!("\n{}", table(&head, &rows)));
        self.say(words::LOAD);
    }

    fn goals(&mut self, all: &All) {
        let rows: Vec<_> = GOALS.iter().map(|goal| goal.row(all)).collect();
        let table = table(&["goal", "wanted", "is", ""], &rows);
        self.say(&format!("\n## Goals\n\n{table}"));
    }
}

/// What stands by hand in a document, if it has a place for that.
fn by_hand(document: &str) -> Option<&str> {
    let [begin, end] = BY_HAND;
    let (_, after) = document.split_once(begin)?;
    after.split_once(end).map(|(kept, _)| kept)
}

/// A table of Markdown.
fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let line = |cells: Vec<&str>| format!("| {} |\n", cells.join(" | "));
    let mut text = line(head.to_vec());
    text.push_str(&line(vec!["---"; head.len()]));
    for row in rows {
        text.push_str(&line(row.iter().map(String::as_str).collect()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_by_hand_is_kept() {
        let first = Document::of(&All::default(), &[], "").unwrap().text;
        assert!(first.contains("(nothing yet)"), "{first}");
        let written = first.replace("(nothing yet)", "| step | before |\n| --- | --- |");
        let again = Document::of(&All::default(), &[], &written).unwrap().text;
        assert_eq!(again, written);
    }

    #[test]
    fn without_figures_every_goal_is_not_measured() {
        let document = Document::of(&All::default(), &[], "").unwrap();
        assert_eq!(document.text.matches("not measured").count(), GOALS.len());
        assert!(document.plots.is_empty());
    }
}
