//! A benchmark in a guest whose clock counts instructions.

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::{
    Clock, Event, Guest, Job, Kernel, STEP_LIMIT, archive, image::Image, job::Step, log_directory,
    suites, tools,
};
use crate::{ebpf, workspace};

/// What a guest has counted.
#[derive(Debug)]
pub(crate) struct Counted {
    /// Its kernel's release.
    pub(crate) release: String,
    /// What the benchmark wrote.
    pub(crate) figures: Value,
}

/// Runs a benchmark in a guest; `Err` within: that kernel cannot be had, and why.
///
/// # Errors
/// Something could not be built, or the benchmark failed.
pub(crate) fn counted(
    kernel: Kernel,
    benchmark: &str,
    arguments: &[&str],
) -> Result<Result<Counted, String>> {
    const FIGURES: &str = "/tmp/figures.json";
    ebpf::build_all(ebpf::Options::default())?;
    ebpf::build_bench_object()?;
    let program = suites::benchmark(benchmark)?;
    let image = match tools::ensure().and_then(|()| archive::fetch(&[kernel])) {
        Ok(mut images) => images.pop().context("a kernel")?.1,
        Err(error) => Err(error),
    };
    let image = match image {
        Ok(image) => image,
        Err(error) => return Ok(Err(format!("{error:#}"))),
    };
    let arguments = arguments.iter().chain(&["--json", FIGURES]);
    let step = Step {
        suite: benchmark.to_owned(),
        program,
        arguments: arguments.map(|&it| it.to_owned()).collect(),
        directory: workspace::root().join("tests"),
        figures: Some(FIGURES.into()),
    };
    let job = Job {
        steps: vec![step],
        environment: suites::environment(),
    };
    run(&image, &job).map(Ok)
}

fn run(image: &Image, job: &Job) -> Result<Counted> {
    let mut guest = Guest::boot(image, job, Clock::Instructions, &log_directory())?;
    let mut ending = None;
    let mut broken = None;
    let followed = guest.follow(STEP_LIMIT, |line| match Event::read(line) {
        Some(Event::Ended(it)) => ending = Some(it),
        Some(Event::Broken(why)) => broken = Some(why),
        Some(Event::Up(_) | Event::Begun) => {}
        None if line.is_empty() => {}
        None => println!("{line}"),
    });
    followed.with_context(|| format!("the guest's kernel said last:\n{}", guest.last_words()))?;
    if let Some(why) = broken {
        bail!("the guest could not go on: {why}");
    }
    let ending = ending.context("the guest ended before the benchmark did")?;
    let figures = ending.figures.filter(|_| ending.succeeded);
    Ok(Counted {
        release: image.release().to_owned(),
        figures: figures.context("the benchmark failed in the guest; see above")?,
    })
}
