//! Plain tables.

use std::fmt::Display;

use comfy_table::{CellAlignment, Table, presets};

/// A table without borders: columns two spaces apart, numbers to the right.
pub(super) struct Columns(Table);

impl Columns {
    /// Headers of columns that hold numbers.
    const NUMBERS: [&'static str; 8] = [
        "WEIGHT",
        "SLOTS",
        "MOVED SLOTS",
        "BACKENDS",
        "PACKETS",
        "BYTES",
        "FLOWS",
        "MOVED FLOWS",
    ];

    pub(super) fn new(headers: &[&str]) -> Self {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header(headers);
        for (column, header) in table.column_iter_mut().zip(headers) {
            column.set_padding((0, 2));
            if Self::NUMBERS.contains(header) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        Self(table)
    }

    pub(super) fn row<'a>(&mut self, cells: impl IntoIterator<Item = &'a dyn Display>) {
        self.0.add_row(cells.into_iter().map(ToString::to_string));
    }

    pub(super) fn text(&self) -> String {
        self.0.trim_fmt() + "\n"
    }
}
