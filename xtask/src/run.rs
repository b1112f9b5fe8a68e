//! `build-and-load`: everything built in release mode, then `lbd` in the foreground, or the demo.

use std::{os::unix::process::CommandExt as _, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, bail};

use crate::{demo, ebpf, setup, shell, workspace};

/// Where to load, and with what.
#[derive(clap::Args, Debug)]
pub(crate) struct Options {
    /// Interfaces to attach to; without any, the demo is run
    #[arg(long, value_name = "IFACE", num_args = 1..)]
    iface: Vec<String>,
    /// The configuration; without it lbd starts with no services, to be added by lbctl
    #[arg(long, value_name = "FILE", requires = "iface")]
    config: Option<PathBuf>,
    /// Leave the demo up, and print how to try things by hand
    #[arg(long, conflicts_with = "iface")]
    keep: bool,
    /// Write the demo's figures to FILE
    #[arg(long, value_name = "FILE", conflicts_with = "iface")]
    json: Option<PathBuf>,
}

/// Builds, then runs.
///
/// # Errors
/// Set-up, the build or the demo failed, or lbd could not be started. When it is started this does not
/// return: the process becomes lbd, so that Ctrl-C and the exit status are its own.
pub(crate) fn run(options: &Options) -> Result<()> {
    if !shell::is_root() {
        bail!("loading a program into the kernel needs root: run this as root, or by sudo");
    }
    setup::run()?;
    ebpf::build_all(ebpf::Options::default())?;
    if options.iface.is_empty() {
        return demo::run(&demo::Options {
            keep: options.keep,
            json: options.json.clone(),
        });
    }
    let mut lbd = lbd(options);
    println!(
        "{} (Ctrl-C ends it and takes the program off)",
        shell::line(&lbd)
    );
    let error = lbd.exec();
    Err(error).with_context(|| format!("starting {}", workspace::release_binary("lbd").display()))
}

fn lbd(options: &Options) -> Command {
    let mut lbd = Command::new(workspace::release_binary("lbd"));
    lbd.arg("run");
    for interface in &options.iface {
        lbd.args(["--interface", interface]);
    }
    if let Some(config) = &options.config {
        lbd.arg("--config").arg(config);
    }
    lbd.arg("--detach-on-stop");
    lbd
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Arguments {
        #[command(flatten)]
        options: Options,
    }

    fn parsed(line: &str) -> Result<Options, clap::Error> {
        Arguments::try_parse_from(line.split(' ')).map(|arguments| arguments.options)
    }

    #[test]
    fn interfaces_may_follow_one_flag_or_have_one_each() {
        for line in [
            "x --iface a b --config f",
            "x --iface a --iface b --config f",
        ] {
            let options = parsed(line).unwrap();
            let lbd = shell::line(&lbd(&options));
            assert!(
                lbd.ends_with("lbd run --interface a --interface b --config f --detach-on-stop"),
                "{lbd}"
            );
        }
    }

    #[test]
    fn a_configuration_without_an_interface_is_refused() {
        assert!(parsed("x --config f").is_err());
    }

    #[test]
    fn the_demos_options_do_not_go_with_an_interface() {
        assert!(parsed("x --iface a --keep").is_err());
        assert!(parsed("x --keep --json f").is_ok());
    }
}
