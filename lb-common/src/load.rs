//! What each backend has to bear, for services whose new flows go to the backend with fewer of them.
//!
//! An array indexed by [`BackendId`](crate::backend::BackendId), shared by all CPUs. The program counts; the daemon writes
//! weights, and now and then what it finds in the flow tables: a flow that is evicted is counted until then, and one that
//! ends without a word for as long as it is held to go on (see [`Flow`](crate::flow::Flow)).

/// Flows of a backend. 16 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Load {
    /// Flows that it has, as far as their ends have been seen; less than 0 for moments. At a multiple of 8 bytes: it is
    /// added to atomically.
    pub flows: i64,
    /// How many flows it is to have beside the others: its weight times its present per cent. 0: nobody counts.
    pub weight: u32,
    /// 0.
    pub reserved: u32,
}

impl Load {
    /// Whether one more flow burdens this backend less, for its weight, than `other`.
    #[inline]
    #[must_use]
    pub const fn is_below(&self, other: &Self) -> bool {
        self.with_one_more().wrapping_mul(other.weight as u64)
            < other.with_one_more().wrapping_mul(self.weight as u64)
    }

    #[inline]
    const fn with_one_more(&self) -> u64 {
        if self.flows < 0 {
            1
        } else {
            self.flows.cast_unsigned() + 1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn load(flows: i64, weight: u32) -> Load {
        Load {
            flows,
            weight,
            reserved: 0,
        }
    }

    #[test]
    fn the_next_flow_burdens_the_one_least_that_has_least_for_its_weight() {
        for (one, other, is_below) in [
            (load(3, 100), load(4, 100), true),
            (load(4, 100), load(4, 100), false),
            (load(0, 200), load(0, 100), true),
            (load(0, 100), load(0, 200), false),
            // 6 of 200 are as many as 3 of 100.
            (load(5, 200), load(2, 100), false),
            (load(4, 200), load(2, 100), true),
            (load(-7, 100), load(0, 100), false),
            (load(0, 0), load(9, 0), false),
            (
                load(1 << 40, 1_000_000),
                load((1 << 40) + 1, 1_000_000),
                true,
            ),
        ] {
            assert_eq!(one.is_below(&other), is_below, "{one:?}, {other:?}");
        }
    }
}
