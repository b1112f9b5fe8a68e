//! Chance, for what must differ from one time to the next and need not be secret.

use std::hash::{BuildHasher, Hasher, RandomState};

/// 64 random bits: the standard library seeds each `RandomState` differently.
pub(super) fn bits() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_differs_from_one_call_to_the_next() {
        let first = bits();
        assert!((0..10).any(|_| bits() != first));
    }
}
