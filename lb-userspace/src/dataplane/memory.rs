//! A data plane in memory, for tests: holds what it is told, and can be made to fail.

use std::collections::BTreeMap;

use lb_common::{backend::BackendId, traffic::Traffic};

use super::{Actual, Capacity, Dataplane, DataplaneError, Ledger, Step};

/// The test double.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) actual: Actual,
    pub(crate) capacity: Capacity,
    /// Steps that still work before one fails; `None`: all work.
    pub(crate) fails_after: Option<usize>,
    /// What was done, in order.
    pub(crate) done: Vec<Step>,
}

impl Dataplane for Memory {
    fn actual(&self) -> &Actual {
        &self.actual
    }

    fn capacity(&self) -> Capacity {
        self.capacity
    }

    fn refresh(&mut self) -> Result<(), DataplaneError> {
        Ok(())
    }

    fn apply(&mut self, step: &Step) -> Result<(), DataplaneError> {
        if let Some(left) = &mut self.fails_after {
            let Some(fewer) = left.checked_sub(1) else {
                return Err(DataplaneError {
                    action: step.to_string(),
                    source: anyhow::anyhow!("told to fail"),
                });
            };
            *left = fewer;
        }
        self.actual.record(step);
        self.done.push(step.clone());
        Ok(())
    }

    fn published(&mut self, generation: u32) {
        self.actual.generation = self.actual.generation.max(generation);
    }

    fn ledger(&self) -> Result<Ledger, DataplaneError> {
        Ok(BTreeMap::new())
    }

    fn traffic(&self, _: BackendId) -> Result<Traffic, DataplaneError> {
        Ok(Traffic::default())
    }
}
