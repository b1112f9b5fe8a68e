//! Weights that follow how backends do: from what, and how fast.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What the weights of a service's backends follow. A weight that was configured is the base of the one that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DynamicWeights {
    /// How long probes of a backend take, beside the median of all.
    pub response_time: bool,
    /// The port of each backend at which its agent says how much it can take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_port: Option<u16>,
    /// From one step to the next, and from one question to an agent to the next; 100 ms to 1 h.
    #[serde(with = "humantime_serde")]
    pub interval: Duration,
    /// A step is at most so many per cent of the base; 1 to 100.
    pub step: u32,
    /// So many per cent of the base are the most; 100 to [`HIGHEST`](Self::HIGHEST).
    pub ceiling: u32,
    /// What differs by no more than so many per cent of the base from what a weight follows moves nothing; 0 to 50.
    pub dead_band: u32,
}

impl DynamicWeights {
    /// The least that is left of a weight, in per cent.
    pub const FLOOR: u32 = 1;
    /// The highest ceiling, in per cent.
    pub const HIGHEST: u32 = 1_000;
    /// The least and the most from one step to the next.
    pub const INTERVAL: (Duration, Duration) =
        (Duration::from_millis(100), Duration::from_hours(1));
}

impl Default for DynamicWeights {
    fn default() -> Self {
        Self {
            response_time: false,
            agent_port: None,
            interval: Duration::from_secs(2),
            step: 10,
            ceiling: 200,
            dead_band: 10,
        }
    }
}
