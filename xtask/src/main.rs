//! Stand-in for trying the demo out.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

mod demo;
mod ebpf {
    pub(crate) fn object_path() -> std::path::PathBuf {
        super::workspace::target().join("bpfel-unknown-none/ebpf/lb-ebpf")
    }
}
mod workspace {
    use std::path::{Path, PathBuf};
    pub(crate) fn target() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../target")
    }
    pub(crate) fn release_binary(name: &str) -> PathBuf {
        target().join("release").join(name)
    }
}

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// The demo
    BuildAndLoad {
        #[arg(long)]
        keep: bool,
        #[arg(long)]
        json: Option<PathBuf>,
    },
    /// Parts of the demo
    #[command(subcommand, hide = true)]
    Demo(demo::Role),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().task {
        Task::BuildAndLoad { keep, json } => demo::run(&demo::Options { keep, json }),
        Task::Demo(role) => role.play(),
    }
}
