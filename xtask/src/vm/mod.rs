//! `test --vm`: the suites on other kernels, in guests that QEMU emulates.
//!
//! ```text
//! kernel   which are asked for             archive  fetches them          image   what was fetched
//! suites   what is run on each             job      what host and guest tell each other
//! tools    what this needs of the machine  qemu     one guest             initramfs, guest   its first process
//! count    a benchmark in a guest
//! ```
//!
//! A guest sees the host's files, read-only below a file system in memory: so it runs the programs that were built
//! here, and leaves nothing behind.

use std::{
    collections::BTreeMap,
    num::NonZero,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail};
use serde::Serialize;

mod archive;
mod count;
mod guest;
mod image;
mod initramfs;
mod job;
mod kernel;
mod qemu;
mod suites;
mod tools;

use crate::{
    test::{self, Reader, Suite},
    workspace,
};
pub(crate) use count::{Counted, counted};
pub(crate) use guest::run as guest;
use image::Image;
use job::{Ending, Event, Job};
pub(crate) use kernel::{Kernel, series};
use qemu::{Clock, Guest};
use suites::VERIFY;

/// How long a guest may take for a step on a busy machine; an idle one takes a fifth.
const STEP_LIMIT: Duration = Duration::from_mins(10);

/// What one kernel made of the suites.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Counts {
    /// Its release.
    release: String,
    /// Tests that passed.
    pub(crate) passed: usize,
    /// Tests that failed.
    pub(crate) failed: usize,
    /// Tests that were not run.
    pub(crate) skipped: usize,
    /// How long the guest ran, in seconds.
    seconds: f64,
    /// What each program costs there, as `verify` has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    programs: Option<serde_json::Value>,
    /// The counts of each suite.
    pub(crate) suites: BTreeMap<String, Suite>,
}

/// What every kernel made of the suites, by its name as asked for; or why it cannot be had.
pub(crate) type Matrix = BTreeMap<Kernel, Result<Counts, String>>;

/// How much is run in a guest if no filter says so.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All fixtures, and the end-to-end tests that say something of the kernel.
    #[default]
    Whole,
    /// Of the fixtures, too, only those: for every change.
    Essential,
}

/// Runs the suites on each kernel that `options` names: tests whose names contain its filter, or those of its extent.
///
/// # Errors
/// Something could not be built. That a kernel cannot be had stands in its place in the matrix.
pub(crate) fn matrix(options: &test::Options) -> Result<Matrix> {
    let kernels = &options.vm;
    let images = match tools::ensure().and_then(|()| archive::fetch(kernels)) {
        Ok(images) => images,
        Err(error) => {
            let all_without = |&kernel| (kernel, Err(format!("{error:#}")));
            return Ok(kernels.iter().map(all_without).collect());
        }
    };
    let job = suites::job(options.extent, options.filter.as_deref())?;
    let tried = |(kernel, image): &(Kernel, Result<Image>)| {
        let counts = match image {
            Ok(image) => Ok(run(*kernel, image, &job)),
            Err(error) => Err(format!("{error:#}")),
        };
        (*kernel, counts)
    };
    // An emulated machine keeps one processor busy, whatever it has been given.
    let at_once = thread::available_parallelism().map_or(1, NonZero::get);
    let mut matrix = Matrix::new();
    for images in images.chunks(at_once) {
        thread::scope(|scope| {
            let guests: Vec<_> = images
                .iter()
                .map(|image| scope.spawn(|| tried(image)))
                .collect();
            let ended = guests.into_iter().map(|guest| {
                let panicked = |_| anyhow!("following a guest: a thread panicked");
                guest.join().map_err(panicked)
            });
            for guest in ended {
                let (kernel, counts) = guest?;
                matrix.insert(kernel, counts);
            }
            anyhow::Ok(())
        })?;
    }
    Ok(matrix)
}

/// Runs the job on one kernel. A guest that does not get to the end of it fails the step that it was at.
fn run(kernel: Kernel, image: &Image, job: &Job) -> Counts {
    let start = Instant::now();
    let mut progress = Progress::new(kernel, job);
    let ending = follow(image, job, &mut progress);
    let mut counts = progress.finish(ending);
    image.release().clone_into(&mut counts.release);
    counts.seconds = start.elapsed().as_secs_f64().round();
    counts
}

fn follow(image: &Image, job: &Job, progress: &mut Progress<'_>) -> Result<()> {
    let mut guest = Guest::boot(image, job, Clock::Machine, &log_directory())?;
    let steps = u32::try_from(job.steps.len()).unwrap_or(u32::MAX);
    let limit = STEP_LIMIT.saturating_mul(steps.saturating_add(1));
    let ended = guest.follow(limit, |line| progress.read(line));
    ended
        .and_then(|()| progress.verdict())
        .with_context(|| format!("the guest's kernel said last:\n{}", guest.last_words()))
}

/// Where the kernels' logs go.
fn log_directory() -> PathBuf {
    workspace::target().join("vm/log")
}

/// How far a guest has come, and what it has counted.
struct Progress<'a> {
    kernel: Kernel,
    job: &'a Job,
    done: usize,
    reader: Reader,
    counts: Counts,
    broken: Option<String>,
}

impl<'a> Progress<'a> {
    fn new(kernel: Kernel, job: &'a Job) -> Self {
        Self {
            kernel,
            job,
            done: 0,
            reader: Reader::default(),
            counts: Counts::default(),
            broken: None,
        }
    }

    /// The suite that is run or would be next.
    fn suite(&self) -> Option<&'a str> {
        self.job
            .steps
            .get(self.done)
            .map(|step| step.suite.as_str())
    }

    fn read(&mut self, line: &str) {
        match Event::read(line) {
            Some(Event::Up(release)) => self.print(&format!("up: {release}")),
            Some(Event::Begun) => {
                self.print(&format!("== {} ==", self.suite().unwrap_or("?")));
                self.reader = Reader::default();
            }
            Some(Event::Ended(ending)) => self.end_step(ending),
            Some(Event::Broken(why)) => self.broken = Some(why),
            None if line.is_empty() => {}
            None => {
                self.print(line);
                self.reader.read(line);
            }
        }
    }

    /// Several guests may run at once: each line tells of which it is.
    fn print(&self, line: &str) {
        println!("{:>6}: {line}", self.kernel);
    }

    fn end_step(&mut self, ending: Ending) {
        let Some(suite) = self.suite() else { return };
        let counted = if suite == VERIFY {
            self.counts.programs = ending.figures;
            Suite::of_one("every program loads within its budget", ending.succeeded)
        } else {
            std::mem::take(&mut self.reader).finish(suite, ending.succeeded, true)
        };
        self.add(suite, counted);
        self.done += 1;
    }

    fn add(&mut self, suite: &str, counted: Suite) {
        self.counts.passed += counted.passed;
        self.counts.failed += counted.failed;
        self.counts.skipped += counted.skipped.len();
        self.counts.suites.insert(suite.to_owned(), counted);
    }

    fn verdict(&self) -> Result<()> {
        if let Some(why) = &self.broken {
            bail!("the guest could not go on: {why}");
        }
        if let Some(suite) = self.suite() {
            bail!("the guest ended before it had finished suite {suite}");
        }
        Ok(())
    }

    fn finish(mut self, ending: Result<()>) -> Counts {
        if let Err(error) = ending {
            self.print(&format!("{error:#}"));
            let suite = self.suite().unwrap_or("guest");
            let mut counted = std::mem::take(&mut self.reader).finish(suite, false, true);
            counted.failures.push(format!("{error:#}"));
            self.add(suite, counted);
        }
        self.counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> Job {
        let step = |suite: &str| job::Step {
            suite: suite.to_owned(),
            program: "/suite".into(),
            arguments: Vec::new(),
            directory: "/".into(),
            figures: None,
        };
        Job {
            steps: vec![step(VERIFY), step("netns")],
            environment: BTreeMap::new(),
        }
    }

    fn told(progress: &mut Progress<'_>, event: &Event) {
        progress.read(event.line().unwrap().trim());
    }

    fn ended(succeeded: bool) -> Event {
        Event::Ended(Ending {
            succeeded,
            figures: None,
        })
    }

    #[test]
    fn the_counts_of_the_steps_are_added() {
        let job = job();
        let [kernel, _] = Kernel::ENDS;
        let mut progress = Progress::new(kernel, &job);
        told(&mut progress, &Event::Begun);
        told(&mut progress, &ended(true));
        told(&mut progress, &Event::Begun);
        progress.read("SKIPPED: generic: this kernel has none");
        progress.read("test result: ok. 5 passed; 0 failed; 0 ignored;");
        told(&mut progress, &ended(true));
        let verdict = progress.verdict();
        let counts = progress.finish(verdict);
        assert_eq!((counts.passed, counts.failed, counts.skipped), (5, 0, 1));
    }

    #[test]
    fn a_guest_that_ends_too_early_has_failed() {
        let job = job();
        let [kernel, _] = Kernel::ENDS;
        let mut progress = Progress::new(kernel, &job);
        told(&mut progress, &Event::Begun);
        told(&mut progress, &ended(true));
        told(&mut progress, &Event::Begun);
        progress.read("test result: ok. 5 passed; 0 failed; 0 ignored;");
        let verdict = progress.verdict();
        let counts = progress.finish(verdict);
        assert_eq!(counts.failed, 1);
        let failures = &counts.suites["netns"].failures;
        assert!(
            failures[1].contains("before it had finished suite netns"),
            "{failures:?}"
        );
    }
}
