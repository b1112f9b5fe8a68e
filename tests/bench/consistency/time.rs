//! Time in the simulation, and waits that chance determines.

use lb_tests::random::Random;

/// Tenths of a second since the beginning.
pub(crate) type Tick = u32;

const TICKS_PER_SECOND: Tick = 10;

pub(crate) const fn seconds(seconds: u32) -> Tick {
    seconds * TICKS_PER_SECOND
}

/// A time of exponential distribution, whose mean is `mean` seconds; at least a tick.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "not negative; a float that is too large becomes the largest integer"
)]
pub(crate) fn exponential(random: &mut Random, mean: f64) -> Tick {
    let chance = (f64::from((random.next() >> 32) as u32) + 0.5) / (f64::from(u32::MAX) + 1.0);
    let ticks = -chance.ln() * mean * f64::from(TICKS_PER_SECOND);
    (ticks.round() as Tick).clamp(1, seconds(1_000_000))
}
