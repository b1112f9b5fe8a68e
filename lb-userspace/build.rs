//! Embeds the eBPF object, so that `lbd` is one file.
//!
//! The object is built before, by `cargo xtask build`: it needs a compiler with `core`'s source and
//! `bpf-linker`, which a plain `cargo check` should not. Without an object an empty one is embedded, and
//! `lbd` says at start what is missing.

use std::{env, fs, path::PathBuf};

fn main() -> std::io::Result<()> {
    println!("cargo::rerun-if-env-changed=LB_EBPF_OBJECT");
    let target =
        env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("../target"), PathBuf::from);
    let object = env::var_os("LB_EBPF_OBJECT").map_or_else(
        || target.join("bpfel-unknown-none/ebpf/lb-ebpf"),
        PathBuf::from,
    );
    println!("cargo::rerun-if-changed={}", object.display());
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("lb-ebpf.o");
    if object.is_file() {
        fs::copy(&object, out)?;
    } else {
        println!(
            "cargo::warning=no eBPF object at {}: run `cargo xtask build`",
            object.display()
        );
        fs::write(out, [])?;
    }
    Ok(())
}
