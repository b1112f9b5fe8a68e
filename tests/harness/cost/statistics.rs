//! What is said of many measurements of one thing.

/// Where they lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The least.
    pub min: f64,
    /// A tenth are not above it.
    pub p10: f64,
    /// Half are not above it.
    pub median: f64,
    /// A tenth are not below the next greater.
    pub p90: f64,
}

impl Spread {
    /// Of `values`, in whatever order; by nearest rank, so that each figure is one that was measured.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |per_cent: usize| {
            let rank = (sorted.len() * per_cent).div_ceil(100).max(1);
            let value = sorted.get(rank - 1);
            *value.expect("at least one measurement")
        };
        Self {
            min: at(0),
            p10: at(10),
            median: at(50),
            p90: at(90),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_those_of_the_nearest_rank_in_any_order() {
        let values: Vec<f64> = (1..=10).rev().map(f64::from).collect();
        let spread = Spread {
            min: 1.0,
            p10: 1.0,
            median: 5.0,
            p90: 9.0,
        };
        assert_eq!(Spread::of(&values), spread);
    }

    #[test]
    fn one_outlier_moves_neither_median_nor_tenths() {
        let mut values = vec![60.0; 99];
        values.push(60_000.0);
        assert_eq!(Spread::of(&values), Spread::of(&[60.0]));
    }

    #[test]
    fn of_one_measurement_every_figure_is_that() {
        let spread = Spread {
            min: 7.0,
            p10: 7.0,
            median: 7.0,
            p90: 7.0,
        };
        assert_eq!(Spread::of(&[7.0]), spread);
    }
}
