//! Debug lines that the program writes, if both halves were built with the feature `log`.

use std::time::Duration;

use anyhow::{Context, Result};
use aya_log::EbpfLogger;
use tokio::time::{MissedTickBehavior, interval};

use super::attach::Attachments;

/// How often the ring buffer is emptied. Lines are for debugging: a moment late is good enough, and needs no
/// registration of a descriptor that somebody else owns.
const PERIOD: Duration = Duration::from_millis(50);

/// Follows the program's lines until the runtime ends. Must be called within a Tokio runtime.
///
/// # Errors
/// The program was built without the feature.
pub fn follow(attachments: &mut Attachments) -> Result<()> {
    let mut logger =
        EbpfLogger::init(attachments.ebpf_mut()).context("find the program's log lines")?;
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    tokio::spawn(async move {
        loop {
            ticks.tick().await;
            logger.flush();
        }
    });
    Ok(())
}
