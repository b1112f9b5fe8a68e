//! How few backends of a service are too few.

use serde::{Deserialize, Serialize};

/// Below either of them a service is in an emergency: see [`plan::Emergency`](crate::plan::Emergency).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thresholds {
    /// So many ordinary backends must be able to serve, or fallback backends serve too; 0 to 10,000, 0: they never do.
    pub min_healthy: u32,
    /// So many per cent of the ordinary backends must not be down, or, unless fallback backends serve, health is
    /// ignored; 0 to 100, 0: it never is.
    pub panic_threshold: u32,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            min_healthy: 1,
            panic_threshold: 0,
        }
    }
}

impl Thresholds {
    /// Whether nothing else was asked for.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
