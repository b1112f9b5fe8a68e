//! What holds the data plane in the kernel: pins, and a second hold on each, by which it can be pinned again.

use anyhow::{Context, Result};
use aya::maps::MapData;
use lb_common::names;
use tracing::warn;

use super::Kernel;
use crate::dataplane::{attach::Attachments, pins::Pins};

/// The maps of an instance, by name.
#[derive(Default)]
pub(super) struct Anchors(Vec<(&'static str, MapData)>);

impl Anchors {
    /// Opens all maps pinned under `pins`.
    pub(super) fn open(pins: &Pins) -> Result<Self> {
        let open = |name: &'static str| {
            let pin = pins.maps().join(name);
            let map = MapData::from_pin(&pin);
            let map = map.with_context(|| format!("open the pinned map {}", pin.display()))?;
            Ok((name, map))
        };
        names::MAPS
            .into_iter()
            .map(open)
            .collect::<Result<_>>()
            .map(Self)
    }

    /// Whether one of them is not pinned any more.
    pub(super) fn lack_pin(&self, pins: &Pins) -> bool {
        let maps = pins.maps();
        !self.0.iter().all(|(name, _)| maps.join(name).exists())
    }

    /// Pins those that are not; the directory is there.
    pub(super) fn mend(&self, pins: &Pins) -> Result<()> {
        for (name, map) in &self.0 {
            let pin = pins.maps().join(name);
            if !pin.exists() {
                map.pin(&pin)
                    .with_context(|| format!("pin the map {}", pin.display()))?;
            }
        }
        Ok(())
    }
}

impl Kernel {
    /// Takes everything out of the kernel: the program off all interfaces, and the pins.
    ///
    /// # Errors
    /// A pin could not be removed; those before it are gone.
    pub fn detach(&self, attachments: &mut Attachments) -> Result<()> {
        self.pins.remove()?;
        attachments.let_go();
        Ok(())
    }

    /// Pins again what somebody has taken the pins of, for the next process to find; meanwhile the program goes on, for
    /// its links and maps are held.
    ///
    /// # Errors
    /// They cannot be pinned there any more.
    pub fn mend(&self, attachments: &mut Attachments) -> Result<()> {
        if !self.anchors.lack_pin(&self.pins) && !attachments.lacks_pin() {
            return Ok(());
        }
        let root = self.pins.root();
        // Makes the directories anew.
        Pins::at(root)
            .and_then(|pins| self.anchors.mend(&pins))
            .and_then(|()| attachments.mend())
            .with_context(|| format!("pin again what was pinned under {}", root.display()))?;
        warn!(directory = %root.display(), "pins were gone; they have been put back");
        Ok(())
    }
}
