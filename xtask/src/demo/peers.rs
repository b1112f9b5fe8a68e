//! The program `pass` at the far end of every link.
//!
//! A veth takes frames that its peer sends by XDP only if it carries a program itself.

use std::path::Path;

use anyhow::Context;
use aya::{EbpfLoader, programs::Xdp};

use super::{
    addressing::{FAR_DEVICE, Link},
    lab::Lab,
    netns,
};

/// The program's name in the object.
const PASS: &str = "pass";

/// Loads and pins `pass`, and attaches it to the far end of every link. It stays until the interfaces go.
///
/// # Errors
/// The object is missing or lacks the program, or the kernel refuses it.
pub(super) fn attach(lab: &Lab, object: &Path) -> anyhow::Result<()> {
    let pin = lab.pass_pin();
    load(object, &pin).with_context(|| format!("load `{PASS}` from {}", object.display()))?;
    for link in Link::all() {
        let attach = format!("link set dev {FAR_DEVICE} xdpdrv pinned {}", pin.display());
        netns::ip_batch(Some(&lab.netns(link.name)), &[attach])?;
    }
    Ok(())
}

fn load(object: &Path, pin: &Path) -> anyhow::Result<()> {
    let mut object = EbpfLoader::new().load_file(object)?;
    let program: &mut Xdp = object
        .program_mut(PASS)
        .context("there is no such program")?
        .try_into()?;
    program.load()?;
    program
        .pin(pin)
        .with_context(|| format!("pin it at {}", pin.display()))
}
