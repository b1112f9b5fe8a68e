//! Set-up that does itself: finds what is missing, says what it will do, does it.
//!
//! [`requirement`] is the list of what the project needs, [`machine`] looks at what is there, [`plan`] is
//! the pure function between the two. After a command whose result the plan depends on, the machine is looked
//! at again and planned for anew.

use std::process::Command;

use anyhow::{Result, bail};

pub(crate) mod machine;
mod plan;
mod requirement;
#[cfg(test)]
mod tests;

use crate::shell;
use machine::{Machine, Rustup};
use plan::Plan;
use requirement::{Effect, Step, requirements};

/// Times that the machine is looked at: after rustup, after an update of apt's lists, after the rest, and
/// once to see that nothing is missing.
const ROUNDS: usize = 4;

/// Installs what is missing; silent and quick when that is nothing.
///
/// # Errors
/// Something is missing and cannot be installed here (the commands to type are printed), or installing it
/// failed.
pub(crate) fn run() -> Result<()> {
    let mut machine = Machine::observe();
    for round in 0..ROUNDS {
        let plan = plan_for(&mut machine);
        if plan.missing.is_empty() {
            return Ok(());
        }
        if !plan.is_possible_on(&machine) {
            print_commands(&machine, &plan);
            bail!("set-up is not complete: {}", obstacle(&machine, &plan));
        }
        if round == 0 {
            print_missing(&plan);
        }
        carry_out(&plan, &mut machine)?;
    }
    bail!(
        "set-up ran every command without an error, but some things are still missing: see `cargo xtask setup --dry-run`"
    )
}

/// Runs the steps, up to and with the first that may change the plan.
fn carry_out(plan: &Plan, machine: &mut Machine) -> Result<()> {
    for step in &plan.steps {
        take(step, machine)?;
        if step.effect != Effect::Installs {
            break;
        }
    }
    *machine = machine.observed_again();
    Ok(())
}

/// Prints what [`run`] would run.
///
/// # Errors
/// None; the type is that of every task.
#[expect(clippy::unnecessary_wraps, reason = "every task returns a result")]
pub(crate) fn dry_run() -> Result<()> {
    let mut machine = Machine::observe();
    let plan = plan_for(&mut machine);
    if plan.missing.is_empty() {
        println!("nothing is missing");
    } else {
        print_commands(&machine, &plan);
    }
    Ok(())
}

/// The plan; apt is asked only if there is something to install.
fn plan_for(machine: &mut Machine) -> Plan {
    let plan = plan::plan(machine);
    if plan.missing.is_empty() {
        return plan;
    }
    machine.observe_packages(requirements().flat_map(requirement::Requirement::packages));
    plan::plan(machine)
}

/// Announces a step, runs it, and keeps in mind what cannot be seen by looking at the machine.
fn take(step: &Step, machine: &mut Machine) -> Result<()> {
    println!("setup: {}:\n  {}", step.purpose, step.command);
    let result = shell::run(&step.purpose, &mut command(&step.command));
    match (result, step.effect) {
        (Ok(()), Effect::UpdatesLists) => machine.packages.updated = true,
        (Ok(()), Effect::Installs | Effect::MayBeRefused) => {}
        (Err(error), Effect::Installs | Effect::UpdatesLists) => return Err(error),
        (Err(error), Effect::MayBeRefused) => {
            println!("setup: {error:#}; trying without rustup");
            machine.rustup = Rustup::Refused;
        }
    }
    Ok(())
}

/// The command of a line such as `LLVM_PREFIX=/usr cargo install bpf-linker`.
fn command(line: &str) -> Command {
    let mut words = line.split(' ').peekable();
    let mut variables = Vec::new();
    while let Some(variable) = words.peek().and_then(|word| word.split_once('=')) {
        variables.push(variable);
        words.next();
    }
    let mut command = Command::new(words.next().unwrap_or_default());
    command
        .args(words)
        .envs(variables)
        // Packages ask no questions; rustup tells at once, and in few words, that it cannot download.
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("RUSTUP_MAX_RETRIES", "0")
        .env("RUST_BACKTRACE", "0");
    command
}

fn print_missing(plan: &Plan) {
    println!("setup: missing here:");
    for requirement in &plan.missing {
        println!("  - {requirement}");
    }
}

fn print_commands(machine: &Machine, plan: &Plan) {
    println!("Missing here:");
    plan.missing
        .iter()
        .for_each(|requirement| println!("  - {requirement}"));
    for (requirement, advice) in &plan.impossible {
        println!("For {requirement}: {advice}.");
    }
    if plan.steps.is_empty() {
        return;
    }
    println!("Commands:");
    print_steps(machine, plan);
    if plan
        .steps
        .iter()
        .any(|step| step.effect == Effect::MayBeRefused)
    {
        let machine = Machine {
            rustup: Rustup::Refused,
            ..machine.clone()
        };
        println!("If rustup's command fails, instead:");
        print_steps(&machine, &plan::plan(&machine));
    }
}

fn print_steps(machine: &Machine, plan: &Plan) {
    for step in &plan.steps {
        let sudo = if step.needs_root && !machine.is_root {
            "sudo "
        } else {
            ""
        };
        println!("  {sudo}{}", step.command);
    }
}

/// Why the steps cannot be run here.
fn obstacle(machine: &Machine, plan: &Plan) -> &'static str {
    if !plan.impossible.is_empty() {
        "not everything can be installed by command on this machine"
    } else if machine.has_apt {
        "installing packages needs root; run the commands above, or this again as root"
    } else {
        "there is no apt-get here; install what the Debian packages named above hold, then run this again"
    }
}
