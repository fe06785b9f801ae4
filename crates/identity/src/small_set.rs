//! A set that nearly always has one element, and then costs no more than that.
//!
//! **Invariants.** Equal sets are equal values: one element is never kept as a tree.
//!
//! **Must not know:** what the elements are.

use std::{collections::BTreeSet, mem};

/// An ordered set; most of an index's keys have one entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum SmallSet<T> {
    #[default]
    None,
    One(T),
    Many(BTreeSet<T>),
}

impl<T: Ord> SmallSet<T> {
    /// Adds an element.
    pub(crate) fn insert(&mut self, element: T) {
        match self {
            Self::None => *self = Self::One(element),
            Self::One(one) if *one == element => {}
            Self::One(_) => {
                if let Self::One(one) = mem::take(self) {
                    *self = Self::Many([one, element].into_iter().collect());
                }
            }
            Self::Many(set) => drop(set.insert(element)),
        }
    }

    /// Takes an element out, if it is there.
    pub(crate) fn remove(&mut self, element: &T) {
        match self {
            Self::None => {}
            Self::One(one) => {
                if one == element {
                    *self = Self::None;
                }
            }
            Self::Many(set) => {
                set.remove(element);
                if set.len() == 1 {
                    *self = set.pop_first().map_or(Self::None, Self::One);
                }
            }
        }
    }

    /// Whether it has none.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }

    /// The elements, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        let (one, many) = match self {
            Self::None => (None, None),
            Self::One(one) => (Some(one), None),
            Self::Many(set) => (None, Some(set)),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_set_of_what_was_added_and_not_removed_and_equal_sets_are_equal_values() {
        // Each number is a history: by base 6, add 0..3 or remove 0..3.
        for history in 0..6_u32.pow(6) {
            let mut small = SmallSet::default();
            let mut set = BTreeSet::new();
            let mut rest = history;
            for _ in 0..6 {
                let element = rest % 6 / 2;
                if rest % 2 == 0 {
                    small.insert(element);
                    set.insert(element);
                } else {
                    small.remove(&element);
                    set.remove(&element);
                }
                rest /= 6;
                assert!(small.iter().eq(&set), "{history}");
                assert_eq!(small.is_empty(), set.is_empty(), "{history}");
                let mut again = SmallSet::default();
                set.iter().for_each(|element| again.insert(*element));
                assert_eq!(small, again, "{history}");
            }
        }
    }
}
