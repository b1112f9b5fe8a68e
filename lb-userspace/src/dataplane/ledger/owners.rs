//! Which interface has which ledger: a function of values.

use std::collections::{BTreeMap, BTreeSet};

use lb_common::interface::Interface;

use crate::dataplane::attach::AttachError;

/// The ledgers that are given out, by the name of the interface.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Owners(BTreeMap<String, Owner>);

/// An interface with a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Owner {
    ledger: u32,
    /// The element of the map that says so; `None`: another interface's stands there now.
    element: Option<u32>,
    /// Whether the program is attached to it, or about to be.
    in_use: bool,
}

/// What must be written for an interface to have a ledger, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    /// Elements that are nobody's any more.
    pub(super) vacated: BTreeSet<u32>,
    /// Whether the ledger was another's, whose counts go to [`Interface::OTHER`].
    pub(super) is_taken_over: bool,
    /// The ledger.
    pub(super) ledger: u32,
}

impl Owners {
    /// Notes what the map says; answers the element that says something else of the same name.
    pub(super) fn note(&mut self, name: String, interface: &Interface) -> Option<u32> {
        let owner = Owner {
            ledger: interface.ledger,
            element: Some(Interface::element(interface.index)),
            in_use: false,
        };
        self.0.insert(name, owner)?.element
    }

    /// Ledgers that nobody has.
    pub(super) fn free(&self) -> BTreeSet<u32> {
        let mut free: BTreeSet<u32> = (0..Interface::LEDGERS).collect();
        free.remove(&Interface::OTHER);
        for owner in self.0.values() {
            free.remove(&owner.ledger);
        }
        free
    }

    /// The ledgers that are given out, by name.
    pub(super) fn ledgers(&self) -> BTreeMap<&str, u32> {
        let owners = self.0.iter();
        owners
            .map(|(name, owner)| (name.as_str(), owner.ledger))
            .collect()
    }

    /// Gives the interface `name` with this index a ledger: the one that an interface of this name has had, or a
    /// free one, or that of an interface that is not in use.
    ///
    /// # Errors
    /// [`AttachError::SharedElement`], [`AttachError::NoLedger`].
    pub(super) fn grant(&mut self, name: &str, index: u32) -> Result<Grant, AttachError> {
        let element = Interface::element(index);
        let mut others = self.0.iter().filter(|(other, _)| *other != name);
        if let Some((other, _)) =
            others.find(|(_, owner)| owner.in_use && owner.element == Some(element))
        {
            return Err(AttachError::SharedElement {
                other: other.clone(),
            });
        }
        let mut vacated = BTreeSet::new();
        let mut is_taken_over = false;
        let ledger = if let Some(known) = self.0.remove(name) {
            vacated.extend(known.element);
            known.ledger
        } else if let Some(ledger) = self.free().pop_first() {
            ledger
        } else {
            let last = self.take_over().ok_or(AttachError::NoLedger)?;
            vacated.extend(last.element);
            is_taken_over = true;
            last.ledger
        };
        vacated.remove(&element);
        for owner in self.0.values_mut() {
            owner.element = owner.element.filter(|other| *other != element);
        }
        let owner = Owner {
            ledger,
            element: Some(element),
            in_use: true,
        };
        self.0.insert(name.to_owned(), owner);
        Ok(Grant {
            vacated,
            is_taken_over,
            ledger,
        })
    }

    /// Takes an interface away that is not in use.
    fn take_over(&mut self) -> Option<Owner> {
        let mut owners = self.0.iter();
        let name = owners.find(|(_, owner)| !owner.in_use)?.0.clone();
        self.0.remove(&name)
    }

    /// The program is not attached to it any more. It keeps its ledger until another one has no other.
    pub(super) fn release(&mut self, name: &str) {
        if let Some(owner) = self.0.get_mut(name) {
            owner.in_use = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(owners: &mut Owners, name: &str, index: u32) -> Grant {
        owners.grant(name, index).expect("a ledger")
    }

    fn new(ledger: u32) -> Grant {
        Grant {
            vacated: BTreeSet::new(),
            is_taken_over: false,
            ledger,
        }
    }

    #[test]
    fn an_interface_that_comes_back_goes_on_with_its_ledger() {
        let mut owners = Owners::default();
        assert_eq!(grant(&mut owners, "eth0", 2), new(1));
        assert_eq!(grant(&mut owners, "eth1", 3), new(2));
        owners.release("eth0");
        let back = grant(&mut owners, "eth0", 9);
        let vacated = BTreeSet::from([2]);
        assert_eq!(back, Grant { vacated, ..new(1) });
        assert_eq!(owners.ledgers(), [("eth0", 1), ("eth1", 2)].into());
    }

    #[test]
    fn two_interfaces_in_use_do_not_share_an_element() {
        let mut owners = Owners::default();
        let (index, same) = (7, 7 + Interface::ELEMENTS);
        let _ = grant(&mut owners, "eth0", index);
        let refused = owners.grant("eth1", same).unwrap_err();
        assert!(
            matches!(&refused, AttachError::SharedElement { other } if other == "eth0"),
            "{refused}"
        );
        owners.release("eth0");
        assert_eq!(grant(&mut owners, "eth1", same), new(2));
        // The element is the other's now: it is not vacated.
        assert_eq!(grant(&mut owners, "eth0", 8), new(1));
    }

    #[test]
    fn the_ledger_of_one_that_is_not_in_use_is_given_out_when_there_is_no_other() {
        let mut owners = Owners::default();
        for index in 1..Interface::LEDGERS {
            assert_eq!(grant(&mut owners, &format!("v{index}"), index), new(index));
        }
        let refused = owners.grant("eth0", 100).unwrap_err();
        assert!(matches!(refused, AttachError::NoLedger), "{refused}");
        owners.release("v5");
        let taken_over = Grant {
            vacated: BTreeSet::from([5]),
            is_taken_over: true,
            ledger: 5,
        };
        assert_eq!(grant(&mut owners, "eth0", 100), taken_over);
        assert!(!owners.ledgers().contains_key("v5"));
    }

    #[test]
    fn what_the_map_says_is_adopted_and_what_it_says_twice_is_cleared() {
        let mut owners = Owners::default();
        let said = |index| Interface {
            index,
            ledger: 4,
            ..Interface::default()
        };
        assert_eq!(owners.note("eth0".to_owned(), &said(2)), None);
        assert_eq!(owners.note("eth0".to_owned(), &said(9)), Some(2));
        assert_eq!(owners.free().len(), Interface::LEDGERS as usize - 2);
        assert_eq!(grant(&mut owners, "eth0", 9), new(4));
    }
}
