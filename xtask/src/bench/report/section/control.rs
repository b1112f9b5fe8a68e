//! Sections on the control plane: tables, the socket, size, failures, probes.

use anyhow::Result;

use super::{
    super::{
        figures::{All, Control, Size, Table},
        plot::{self, Line, short},
    },
    Document, table, words,
};

impl Document {
    pub(super) fn control(&mut self, control: &Control) -> Result<()> {
        self.say(words::TABLES);
        let disk = control.fsync_p50_ms;
        self.say(&format!(
            "\nEvery change is on the disk before it is answered; a page takes this machine's disk {disk:.2} ms.\n"
        ));
        let of = |value: fn(&Table) -> f64| {
            by_series(control.tables.iter().map(|row| {
                (
                    format!("{} backends", row.backends),
                    (f64::from(row.slots), value(row)),
                )
            }))
        };
        let axes = ["slots", "ms"];
        if !control.tables.is_empty() {
            let svg = plot::lines("Building a table", axes, true, &of(|it| it.build_ms))?;
            self.plot("tables", "time to build a table by slots and backends", svg);
            let title = "A call that takes a backend out of a table, or back";
            let svg = plot::lines(title, axes, true, &of(|it| it.change_p50_ms))?;
            self.plot("changes", "time of a change by slots and backends", svg);
        }
        let rows = control.tables.iter().map(|row| {
            let numbers = [
                row.build_ms,
                row.pin_ms,
                row.change_p50_ms,
                row.change_p99_ms,
            ];
            let mut cells = vec![row.backends.to_string(), row.slots.to_string()];
            cells.extend(numbers.map(|it| format!("{it:.2}")));
            cells
        });
        let rows: Vec<_> = rows.collect();
        let head = [
            "backends",
            "slots",
            "build ms",
            "pin ms",
            "change p50 ms",
            "p99 ms",
        ];
        self.say(&format!("\n{}", table(&head, &rows)));
        self.say(words::SOCKET);
        let rows = control.socket.iter().map(|row| {
            vec![
                row.method.clone(),
                row.clients.to_string(),
                format!("{:.0}", row.requests_per_second),
                format!("{:.2}", row.p50_ms),
                format!("{:.2}", row.p99_ms),
            ]
        });
        let rows: Vec<_> = rows.collect();
        let head = ["method", "clients", "requests/s", "p50 ms", "p99 ms"];
        self.say(&format!("\n{}", table(&head, &rows)));
        self.sizes(&control.sizes)
    }

    fn sizes(&mut self, sizes: &[Size]) -> Result<()> {
        type Named = (&'static str, fn(&Size) -> f64);
        let growing: [Named; 4] = [
            ("apply", |it| it.apply_ms),
            ("one backend more", |it| it.add_p50_ms),
            ("start", |it| it.start_ms),
            ("restart", |it| it.restart_ms),
        ];
        self.say(words::SIZES);
        let ten_each = || sizes.iter().filter(|it| it.backends == 10);
        let lines: Vec<Line> = growing
            .into_iter()
            .map(|(name, value)| Line {
                name: name.to_owned(),
                points: ten_each()
                    .map(|it| (f64::from(it.services), value(it)))
                    .collect(),
            })
            .collect();
        if ten_each().next().is_some() {
            let title = "Services of 10 backends each";
            let svg = plot::lines(title, ["services", "ms"], true, &lines)?;
            self.plot("sizes", "times by the number of services", svg);
        }
        let rows: Vec<_> = sizes.iter().map(size_row).collect();
        let head = [
            "services",
            "backends of each",
            "file kB",
            "apply ms",
            "add p50 ms",
            "add p99 ms",
            "add, state in memory, p50 ms",
            "status ms",
            "start ms",
            "restart ms",
            "daemon MB",
            "maps MB",
        ];
        self.say(&format!("\n{}", table(&head, &rows)));
        let refused = sizes.iter().find_map(|it| it.apply_refused.as_ref());
        if let Some(why) = refused {
            self.say(&format!(
                "\n`*`: the socket refuses a configuration of this size (\"{why}\"); what is timed is a reload of the \
                 file by SIGHUP.\n"
            ));
        }
        Ok(())
    }

    pub(super) fn failures(&mut self, all: &All) {
        if let Some(taken) = &all.reaction {
            let it = &taken.figures;
            self.say(words::REACTION);
            self.say(&format!(
                "{} backends, {} slots, {} failures, one after the other: p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms.\n",
                it.backends, it.slots, it.failures, it.reaction_p50_ms, it.reaction_p99_ms, it.reaction_max_ms
            ));
        }
        if let Some(taken) = &all.probes {
            let it = &taken.figures;
            self.say(&format!(
                "\n## Probing\n\n`cargo xtask bench probes`. {} backends, {} every {}: {:.0} probes/s for {:.1} % of one CPU; a \
                 probe begins later than it is due by p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms.\n",
                it.backends, it.probe, it.interval, it.probes_per_second, it.cpu_percent, it.late_p50_ms, it.late_p99_ms,
                it.late_max_ms
            ));
        }
    }
}

fn size_row(row: &Size) -> Vec<String> {
    let mark = if row.apply_refused.is_some() {
        " `*`"
    } else {
        ""
    };
    let ms = |value: f64| short(value);
    vec![
        row.services.to_string(),
        row.backends.to_string(),
        (row.config_bytes / 1_000).to_string(),
        format!("{}{mark}", ms(row.apply_ms)),
        ms(row.add_p50_ms),
        ms(row.add_p99_ms),
        ms(row.add_in_memory_p50_ms),
        ms(row.status_ms),
        ms(row.start_ms),
        ms(row.restart_ms),
        (row.resident_bytes / 1_000_000).to_string(),
        (row.maps_bytes / 1_000_000).to_string(),
    ]
}

/// Points of one name make a line; lines in the order in which their names come.
fn by_series(points: impl Iterator<Item = (String, (f64, f64))>) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for (name, point) in points {
        match lines.iter_mut().find(|line| line.name == name) {
            Some(line) => line.points.push(point),
            None => lines.push(Line {
                name,
                points: vec![point],
            }),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_of_a_name_make_a_line() {
        let points = [("a", 1.0), ("b", 2.0), ("a", 3.0)];
        let points = points.map(|(name, at)| (name.to_owned(), (at, at)));
        let lines = by_series(points.into_iter());
        let names: Vec<&str> = lines.iter().map(|line| line.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(lines[0].points, [(1.0, 1.0), (3.0, 3.0)]);
    }
}
