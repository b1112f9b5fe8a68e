//! The live table: what clients, health and counters say of every backend.

use std::{
    cell::RefCell,
    fmt::Write,
    time::{Duration, Instant},
};

use tokio::time::{MissedTickBehavior, interval};

use super::{
    addressing::{BACKENDS, Family, Link},
    control::{Control, Stats, Status},
    load::Load,
    screen::{Colour, Screen, grouped},
    tally::Answers,
};

/// From one drawing to the next.
const REFRESH: Duration = Duration::from_millis(500);

/// Characters of a bar that is full.
const BAR: u32 = 16;

/// What a drawing shows.
struct View {
    status: Status,
    counters: Stats,
    /// Since the begin.
    answers: Answers,
    /// Since the drawing before.
    recent: Answers,
    over: Duration,
    requests: usize,
    failed: usize,
}

/// Draws the table again and again.
///
/// # Errors
/// The daemon does not answer.
pub(super) async fn show(
    screen: &RefCell<Screen>,
    load: &Load,
    control: &mut Control,
) -> anyhow::Result<()> {
    let mut refresh = interval(REFRESH);
    refresh.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before = Instant::now();
    loop {
        refresh.tick().await;
        let (status, counters) = (control.status().await?, control.stats().await?);
        let now = Instant::now();
        let view = load.ask(|tally| View {
            status,
            counters,
            answers: tally.all_answers(),
            recent: tally.answers(before, now),
            over: now - before,
            requests: tally.len(),
            failed: tally.len() - tally.answered(),
        });
        before = now;
        let mut screen = screen.borrow_mut();
        let table = view.table(&screen);
        screen.draw(&table, &view.line());
    }
}

impl View {
    fn table(&self, screen: &Screen) -> String {
        let mut table = String::new();
        // Writing to a string cannot fail.
        let _ = writeln!(
            table,
            "\n  {} requests, {} failed · generation {} · {} XDP · {} packets",
            grouped(self.requests as u64),
            grouped(self.failed as u64),
            self.status.generation,
            self.status.xdp_mode(),
            grouped(self.counters.packets),
        );
        let _ = writeln!(
            table,
            "  {:<8} {:<10} {:>7} {:>10} {:>7} {:>12}  share now",
            "backend", "health", "slots", "requests", "req/s", "forwarded"
        );
        for (backend, (answers, recent)) in
            BACKENDS.iter().zip(self.answers.iter().zip(self.recent))
        {
            let _ = writeln!(
                table,
                "  {:<8} {} {:>6.1}% {:>10} {:>7.0} {:>12}  {}",
                backend.name,
                self.painted_health(*backend, screen),
                self.slots_percent(*backend),
                grouped(*answers),
                f64::from(recent) / self.over.as_secs_f64().max(0.001),
                grouped(self.forwarded(*backend)),
                self.bar(recent),
            );
        }
        table
    }

    fn line(&self) -> String {
        let mut line = format!(
            "{} requests, {} failed, generation {}",
            grouped(self.requests as u64),
            grouped(self.failed as u64),
            self.status.generation
        );
        for (backend, answers) in BACKENDS.iter().zip(self.answers) {
            let health = self.health(*backend);
            // Writing to a string cannot fail.
            let _ = write!(line, " | {} {health} {}", backend.name, grouped(answers));
        }
        line
    }

    /// One word if both families agree.
    fn health(&self, backend: Link) -> String {
        let mut words = Family::ALL
            .map(|family| {
                let address = backend.server(family).to_string();
                match self.status.backend(family.service(), &address) {
                    None => "removed".to_owned(),
                    Some(backend) if backend.state != "up" => backend.state.clone(),
                    Some(backend) => backend.health.clone(),
                }
            })
            .to_vec();
        words.dedup();
        words.join("/")
    }

    fn painted_health(&self, backend: Link, screen: &Screen) -> String {
        let health = self.health(backend);
        let colour = match health.as_str() {
            "up" => Colour::Green,
            "down" => Colour::Red,
            _ => Colour::Yellow,
        };
        screen.paint(colour, format!("{health:<10}"))
    }

    /// Its part of both services' lookup tables.
    fn slots_percent(&self, backend: Link) -> f64 {
        let (mut own, mut all) = (0, 0);
        for family in Family::ALL {
            let address = backend.server(family).to_string();
            own += self
                .status
                .backend(family.service(), &address)
                .map_or(0, |backend| backend.slots);
        }
        for service in &self.status.services {
            all += service.table_slots;
        }
        f64::from(own) * 100.0 / f64::from(all.max(1))
    }

    fn forwarded(&self, backend: Link) -> u64 {
        let forwarded = |family: Family| {
            self.counters
                .forwarded(family.service(), &backend.server(family).to_string())
        };
        Family::ALL.into_iter().map(forwarded).sum()
    }

    fn bar(&self, recent: u32) -> String {
        let total: u32 = self.recent.iter().sum();
        "█".repeat((recent * BAR / total.max(1)) as usize)
    }
}
