//! How slots move from one backend to another: what is remembered for it, and how fast.

use std::{fmt, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which flows are remembered, so that they stay where they are when their slot moves.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Tracking {
    /// Those on slots that are about to move, have moved, or are served in another's place. No others: while nothing
    /// moves, packets touch no flow table.
    #[default]
    OnDemand,
    /// All.
    Always,
    /// None: a slot moves at once, with its flows.
    Off,
}

impl Tracking {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::OnDemand, Self::Always, Self::Off];
}

impl fmt::Display for Tracking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OnDemand => "on-demand",
            Self::Always => "always",
            Self::Off => "off",
        })
    }
}

/// How the slots of a service move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Moves {
    /// Which flows are remembered.
    pub tracking: Tracking,
    /// For so long a slot that is to move is tracked before it does: a flow that sends a packet in this time stays
    /// where it is. 0 to [`LONGEST`](Self::LONGEST).
    #[serde(with = "humantime_serde")]
    pub learn_for: Duration,
    /// Between backends that go on serving at most so many per cent of the slots learn at a time, 1 to 100.
    pub max_step: u32,
    /// For so long the share of a backend that begins to serve grows; 0: it has all of it at once. 0 to
    /// [`LONGEST`](Self::LONGEST).
    #[serde(with = "humantime_serde")]
    pub slow_start: Duration,
}

impl Moves {
    /// The longest time to learn or to grow.
    pub const LONGEST: Duration = Duration::from_hours(1);

    /// Whether nothing else was asked for.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for Moves {
    fn default() -> Self {
        Self {
            tracking: Tracking::OnDemand,
            learn_for: Duration::from_secs(30),
            max_step: 5,
            slow_start: Duration::ZERO,
        }
    }
}

/// New values for the parts of [`Moves`] that are given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MovesUpdate {
    /// Replaces which flows are remembered.
    pub tracking: Option<Tracking>,
    /// Replaces how long.
    pub learn_for: Option<Duration>,
    /// Replaces the size of a step.
    pub max_step: Option<u32>,
    /// Replaces how long a share grows.
    pub slow_start: Option<Duration>,
}

impl MovesUpdate {
    /// `moves` with these values.
    #[must_use]
    pub fn applied_to(self, moves: Moves) -> Moves {
        Moves {
            tracking: self.tracking.unwrap_or(moves.tracking),
            learn_for: self.learn_for.unwrap_or(moves.learn_for),
            max_step: self.max_step.unwrap_or(moves.max_step),
            slow_start: self.slow_start.unwrap_or(moves.slow_start),
        }
    }
}
