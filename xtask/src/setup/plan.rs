//! From what a machine has to the commands that bring the rest: a function of values.

use super::{
    machine::Machine,
    requirement::{Effect, Install, Requirement, Step, offers_old_compiler, requirements},
};

/// What is to be done.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    /// What is missing.
    pub(super) missing: Vec<Requirement>,
    /// The commands, in order.
    pub(super) steps: Vec<Step>,
    /// What no command of ours can bring, with what to do about it.
    pub(super) impossible: Vec<(Requirement, &'static str)>,
}

impl Plan {
    /// Whether this machine can run the steps: packages need apt and root.
    pub(super) fn is_possible_on(&self, machine: &Machine) -> bool {
        let installable = machine.has_apt && machine.is_root;
        self.impossible.is_empty()
            && (installable || self.steps.iter().all(|step| !step.needs_root))
    }
}

/// The commands for everything that is missing. Commands of rustup come first (they may fail, and then the
/// plan is another), then all packages at once, then what is built against them.
pub(super) fn plan(machine: &Machine) -> Plan {
    let mut plan = Plan::default();
    let mut packages = Vec::new();
    let mut builds = Vec::new();
    for requirement in requirements().filter(|it| !it.is_met(machine)) {
        plan.missing.push(requirement);
        match requirement.install(machine) {
            Install::Command(step) => plan.steps.push(step),
            Install::Packages(names, build) => {
                packages.extend(names);
                builds.extend(build);
            }
            Install::Impossible(advice) => plan.impossible.push((requirement, advice)),
        }
    }
    if !packages.is_empty() {
        if needs_update(machine, &packages) {
            plan.steps.push(as_root(
                "apt-get update",
                "learn which packages there are",
                Effect::UpdatesLists,
            ));
        }
        let install = format!(
            "apt-get install --yes --no-install-recommends {}",
            packages.join(" ")
        );
        plan.steps
            .push(as_root(&install, "install packages", Effect::Installs));
    }
    plan.steps.extend(builds);
    plan
}

/// Whether apt's lists lack a package, or know only a compiler that is too old.
fn needs_update(machine: &Machine, packages: &[String]) -> bool {
    let candidates = &machine.packages.candidates;
    let compiler_wanted = packages.iter().any(|it| it == "rustc-web");
    !machine.packages.updated
        && (packages.iter().any(|it| !candidates.contains_key(it))
            || (compiler_wanted && offers_old_compiler(machine)))
}

fn as_root(command: &str, purpose: &str, effect: Effect) -> Step {
    Step {
        command: command.to_owned(),
        purpose: purpose.to_owned(),
        needs_root: true,
        effect,
    }
}
