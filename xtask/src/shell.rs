//! Running other programs: printed as one would type them, with errors that name the step.

use std::{
    env,
    ffi::OsStr,
    fmt::{self, Write as _},
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
};

use anyhow::{Context as _, Result, bail};

/// The failure of a task that has already told all there is to tell.
#[derive(Debug)]
pub(crate) struct AlreadySaid;

impl fmt::Display for AlreadySaid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failed; see above")
    }
}

impl std::error::Error for AlreadySaid {}

/// The failure of a program that was run in place of this one, and has told what there is to tell.
#[derive(Debug)]
pub(crate) struct Ended {
    program: &'static str,
    status: ExitStatus,
}

impl Ended {
    /// How `program` ended.
    pub(crate) const fn of(program: &'static str, status: ExitStatus) -> Self {
        Self { program, status }
    }

    /// The exit code that passes it on: the program's own, or 128 and the number of the signal that ended it,
    /// as a shell has it.
    pub(crate) fn code(&self) -> u8 {
        let code = self.status.code();
        let code = code.or_else(|| self.status.signal().map(|signal| 128 + signal));
        code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ended: {}", self.program, self.status)
    }
}

impl std::error::Error for Ended {}

/// Runs a command in the foreground.
///
/// # Errors
/// It could not be started, or did not succeed; `purpose` says what was attempted ("building lbd").
pub(crate) fn run(purpose: &str, command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("{purpose}: could not start `{}`", line(command)))?;
    if !status.success() {
        bail!("{purpose}: `{}` failed ({status})", line(command));
    }
    Ok(())
}

/// What a command prints, if it can be run and succeeds.
pub(crate) fn output(command: &mut Command) -> Option<String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The command as one would type it, without its environment.
pub(crate) fn line(command: &Command) -> String {
    let mut line = quoted(command.get_program());
    for argument in command.get_args() {
        let _ = write!(line, " {}", quoted(argument));
    }
    line
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=+:,@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The program that a shell would run for `name`. Without root's `PATH` the system's own directories are
/// searched too: `ip` and `bpftool` are there.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin"]
        .into_iter()
        .filter(|_| !is_root())
        .map(PathBuf::from);
    env::split_paths(&path)
        .chain(system)
        .map(|directory| directory.join(name))
        .find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    file.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// Whether this process may do everything.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_printed_as_one_would_type_it() {
        let mut command = Command::new("apt-get");
        command.args(["install", "--yes", "it's here"]);
        assert_eq!(line(&command), r"apt-get install --yes 'it'\''s here'");
    }

    #[test]
    fn a_failure_names_the_step_and_the_command() {
        let error = run("trying the impossible", &mut Command::new("false")).unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("trying the impossible: `false` failed"),
            "{text}"
        );
    }

    #[test]
    fn a_directory_is_not_a_program() {
        assert_eq!(find("."), None);
        assert!(find("sh").is_some());
    }
}
