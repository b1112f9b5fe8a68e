//! `cargo xtask`: everything one does with the project, one subcommand each.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod ci;
mod demo;
mod ebpf;
mod fuzz;
mod run;
mod setup;
mod shell;
mod test;
mod tidy;
mod torture;
mod verify;
mod vm;
mod workspace;

use shell::{AlreadySaid, Ended};

/// Everything one does with the project.
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    arg_required_else_help = true
)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Find or install what building, the demo and the tests need; silent when nothing is missing
    Setup {
        /// Print the commands that would run, and run none
        #[arg(long, visible_alias = "print")]
        dry_run: bool,
    },
    /// Build the eBPF object, then lbd and lbctl, in release mode
    Build(ebpf::Options),
    /// Build everything and run lbd on real interfaces, or without --iface and --config the demo
    BuildAndLoad(run::Options),
    /// Load each program on this kernel and print its cost
    Verify(verify::Options),
    /// Build and run every test (as root)
    Test(test::Options),
    /// Give random frames to the program and to its model, and compare (as root)
    Fuzz(fuzz::Options),
    /// Do random operations and faults to a balancer under traffic, and look at all that must hold (as root)
    Torture(torture::Options),
    /// Measure one part of the product
    #[command(subcommand)]
    Bench(bench::Benchmark),
    /// Check the rules of the architecture
    Tidy,
    /// Check licences, sources and duplicates of the dependencies
    Deny,
    /// Everything that must hold before a change is accepted
    Ci,
    /// Parts that the demo plays by starting this program again
    #[command(subcommand, hide = true)]
    Demo(demo::Role),
    /// The first process of a guest
    #[command(hide = true)]
    Guest,
}

fn main() -> ExitCode {
    match run(Arguments::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !error.is::<AlreadySaid>() {
                eprintln!("error: {error:#}");
            }
            error
                .downcast_ref::<Ended>()
                .map_or(ExitCode::FAILURE, |ended| ended.code().into())
        }
    }
}

fn run(task: Task) -> anyhow::Result<()> {
    match task {
        Task::Setup { dry_run: true } => setup::dry_run(),
        Task::Setup { dry_run: false } => setup::run(),
        Task::Build(options) => ebpf::build_all(options),
        Task::BuildAndLoad(options) => run::run(&options),
        Task::Verify(options) => verify::run(&options),
        Task::Test(options) => test::run(&options),
        Task::Fuzz(options) => fuzz::run(&options),
        Task::Torture(options) => torture::run(&options),
        Task::Bench(benchmark) => bench::run(benchmark),
        Task::Tidy => tidy::run(),
        Task::Deny => ci::deny(),
        Task::Ci => ci::run(),
        Task::Demo(role) => role.play(),
        Task::Guest => vm::guest(),
    }
}
