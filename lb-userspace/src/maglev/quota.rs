//! How many slots each member is due.

use crate::model::Weight;

/// Bits of a quota's fraction.
const FRACTION: u32 = 32;

/// Numbers of slots that follow `weights` and sum to `slots`; all 0 if nobody has weight.
///
/// Member i gets `floor(w_i * x + u_i)` slots, with one x for all and its own `phases[i]` as `u_i`, a fraction of 2^32:
/// so whoever leaves makes x rise, and takes nothing from anybody. All phases may lie on one side, and x then makes up
/// for it, by less than what a slot for each member is worth: who weighs more than the average feels it most. Weights
/// above [`Weight::MAX`] count as that.
pub(super) fn quotas(weights: &[u32], phases: &[u32], slots: u32) -> Vec<u32> {
    if weights.iter().all(|weight| *weight == 0) {
        return vec![0; weights.len()];
    }
    let wanted = u64::from(slots);
    // At `low` all together are due `wanted` or fewer, at `high` more; below 2^10 * 2^20 * 2^32 nothing overflows.
    let (mut low, mut high) = (0, (wanted + 1) << FRACTION);
    while high - low > 1 {
        let middle = low.midpoint(high);
        let due: u64 = members(weights, phases).map(|of| due(of, middle)).sum();
        if due <= wanted {
            low = middle;
        } else {
            high = middle;
        }
    }
    let mut missing = wanted - members(weights, phases).map(|of| due(of, low)).sum::<u64>();
    members(weights, phases)
        .map(|of| {
            // Several may be due one more at the same x: the first of them get it.
            let one_more = (due(of, low + 1) - due(of, low)).min(missing);
            missing -= one_more;
            u32::try_from(due(of, low) + one_more).unwrap_or(slots)
        })
        .collect()
}

fn members(weights: &[u32], phases: &[u32]) -> impl Iterator<Item = (u64, u64)> {
    let pairs = weights.iter().zip(phases);
    pairs.map(|(weight, phase)| ((*weight).min(Weight::MAX).into(), (*phase).into()))
}

/// The slots that a member of some weight and phase is due at `x`. With weight 0 its phase is none.
const fn due((weight, phase): (u64, u64), x: u64) -> u64 {
    (weight * x + phase) >> FRACTION
}
