//! Sections on packets: what one costs, and whole paths; and on the programs.

use anyhow::Result;

use super::{
    super::{
        figures::{All, Counted, Packet, Paths},
        plot::{self, Bar, Line},
    },
    Document, table, words,
};

impl Document {
    pub(super) fn packets(&mut self, all: &All, rows: &[Packet]) -> Result<()> {
        self.say(words::PACKET);
        let bars: Vec<Bar> = rows
            .iter()
            .filter(|row| row.name.starts_with("v4/") && row.name.matches('/').count() == 5)
            .map(|row| Bar {
                name: row.name.trim_start_matches("v4/").to_owned(),
                value: row.ratio,
                kind: usize::from(row.name.ends_with("/always")),
            })
            .collect();
        if !bars.is_empty() {
            let svg = plot::bars(
                "One IPv4 packet (orange: every flow is remembered)",
                "times the floor",
                &bars,
            )?;
            self.plot("packet", "what one packet costs, by kind", svg);
        }
        let lines = flows(all);
        if !lines.is_empty() {
            let title = "IPIP, one service: cost by flows";
            let axes = ["flows", "times the floor"];
            let svg = plot::lines(title, axes, false, &lines)?;
            self.plot("flows", "cost of a packet by the number of flows", svg);
        }
        let rows: Vec<_> = rows.iter().map(packet_row).collect();
        let head = ["row", "min ns", "p10", "median", "p90", "floor", "ratio"];
        self.say(&format!("\n{}", table(&head, &rows)));
        Ok(())
    }

    pub(super) fn paths(&mut self, paths: &Paths) -> Result<()> {
        self.say(words::PATH);
        let bar = |name: &str, value| Bar {
            name: name.to_owned(),
            value,
            kind: kind(name),
        };
        let bars: Vec<Bar> = paths
            .packets
            .iter()
            .map(|row| bar(&row.name, row.mpps.median))
            .collect();
        if !bars.is_empty() {
            let svg = plot::bars("Packets through real veths, one CPU", "Mpps, median", &bars)?;
            self.plot("path", "packets per second by path", svg);
        }
        let rows = paths.packets.iter().map(|row| {
            let numbers = [row.mpps.min, row.mpps.median, row.mpps.max];
            let mut cells = vec![row.name.clone()];
            cells.extend(numbers.map(|it| format!("{it:.2}")));
            cells.push(format!("{:.1}", row.delivered_percent));
            cells
        });
        let head = ["path", "min Mpps", "median", "max", "delivered %"];
        let rows: Vec<_> = rows.collect();
        self.say(&format!("\n{}", table(&head, &rows)));
        self.say(words::TCP);
        let bars: Vec<Bar> = paths
            .tcp
            .iter()
            .map(|row| bar(&row.name, row.connections_per_second.median))
            .collect();
        if !bars.is_empty() {
            let title = "New TCP connections, each with one request";
            let svg = plot::bars(title, "connections per second, median", &bars)?;
            self.plot("connections", "connections per second by path", svg);
        }
        let rows = paths.tcp.iter().map(|row| {
            let (gbit, rate) = (row.gbit_per_second, row.connections_per_second);
            vec![
                row.name.clone(),
                format!("{:.2} ({:.2} - {:.2})", gbit.median, gbit.min, gbit.max),
                format!("{:.0} ({:.0} - {:.0})", rate.median, rate.min, rate.max),
                format!("{:.2}", row.connection_p50_ms),
                format!("{:.2}", row.connection_p99_ms),
            ]
        });
        let head = ["path", "Gbit/s", "connections/s", "p50 ms", "p99 ms"];
        let rows: Vec<_> = rows.collect();
        self.say(&format!("\n{}", table(&head, &rows)));
        for why in &paths.not_measured {
            self.say(&format!("\nNot measured: {why}.\n"));
        }
        Ok(())
    }

    pub(super) fn instructions(&mut self, counted: &Counted) -> Result<()> {
        self.say(words::INSTRUCTIONS);
        let counts = &counted.instructions;
        let least = counts.iter().map(|it| it.instructions);
        let least = least.fold(f64::INFINITY, f64::min);
        let bars: Vec<Bar> = counts
            .iter()
            .map(|it| Bar {
                name: it.name.clone(),
                value: it.instructions,
                kind: kind(&it.name),
            })
            .collect();
        if !bars.is_empty() {
            let title = format!("Instructions by packet, kernel {}", counted.kernel);
            let svg = plot::bars(
                &title,
                "instructions, generator and receiver included",
                &bars,
            )?;
            self.plot("instructions", "instructions by packet and path", svg);
        }
        let rows = counts.iter().map(|it| {
            let numbers = [it.instructions, it.instructions - least];
            let mut cells = vec![it.name.clone()];
            cells.extend(numbers.map(|it| format!("{it:.0}")));
            cells
        });
        let rows: Vec<_> = rows.collect();
        let head = ["path", "instructions by packet", "more than the least"];
        self.say(&format!("\n{}", table(&head, &rows)));
        Ok(())
    }

    pub(super) fn programs(&mut self, all: &All, budgets: &[Vec<String>]) {
        let Some(taken) = &all.verify else {
            return;
        };
        let known =
            |number: Option<u32>| number.map_or_else(|| "?".to_owned(), |it| it.to_string());
        let rows = taken.figures.programs.iter().map(|it| {
            vec![
                it.name.clone(),
                it.settings.clone(),
                it.object_instructions.to_string(),
                known(it.translated_instructions),
                known(it.verified_instructions),
                it.stack_bytes.iter().sum::<u32>().to_string(),
                it.jited_bytes.to_string(),
                format!("{:.0}", it.load_ms),
            ]
        });
        let rows: Vec<_> = rows.collect();
        let head = [
            "program",
            "settings",
            "instructions",
            "after the verifier",
            "verified",
            "stack bytes",
            "JITed bytes",
            "load ms",
        ];
        self.say(words::PROGRAMS);
        self.say(&table(&head, &rows));
        let head = [
            "kernel",
            "settings",
            "program",
            "after the verifier",
            "verified",
            "stack bytes",
            "JITed bytes",
        ];
        self.say(words::KERNELS);
        self.say(&table(&head, budgets));
    }
}

fn packet_row(row: &Packet) -> Vec<String> {
    let numbers = [
        row.ns_min,
        row.ns_p10,
        row.ns_median,
        row.ns_p90,
        row.floor_ns_median,
    ];
    let mut cells = vec![format!("`{}`", row.name)];
    cells.extend(numbers.map(|it| format!("{it:.0}")));
    cells.push(format!("{:.2}", row.ratio));
    cells
}

/// The colour of a path: ours have one.
fn kind(name: &str) -> usize {
    usize::from(!name.starts_with("ours"))
}

/// Cost by flows, a line for each IP version and kind of tracking.
fn flows(all: &All) -> Vec<Line> {
    let counts = [
        ("1", 1.0),
        ("1k", 1_024.0),
        ("64k", 65_536.0),
        ("1M", 1_048_576.0),
    ];
    let lines = ["v4", "v6"].into_iter().flat_map(|family| {
        ["on-demand", "always", "off"].map(|tracking| {
            let point = |(word, flows): (&str, f64)| {
                let row = all.packet(&format!("{family}/tcp-data/ipip/{word}/1/{tracking}"))?;
                Some((flows, row.ratio))
            };
            Line {
                name: format!("{family}, tracking {tracking}"),
                points: counts.into_iter().filter_map(point).collect(),
            }
        })
    });
    lines.filter(|line| line.points.len() > 1).collect()
}
