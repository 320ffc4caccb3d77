//! Memory that a thread keeps for whichever connection needs it next.

use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

/// How many a thread keeps of a sort.
const MOST: usize = 4;

/// What came last is taken first, at the least cost: nearly always nobody else has any.
pub(super) struct Spares<T> {
    latest: Cell<Option<T>>,
    others: RefCell<Vec<T>>,
}

impl<T> Spares<T> {
    pub(super) const fn new() -> Self {
        Self { latest: Cell::new(None), others: RefCell::new(Vec::new()) }
    }

    #[inline]
    pub(super) fn take(&self) -> Option<T> {
        self.latest.take().or_else(|| self.take_another())
    }

    #[inline]
    pub(super) fn give(&self, spare: T) {
        if let Some(before) = self.latest.replace(Some(spare)) {
            self.put_aside(before);
        }
    }

    #[cold]
    fn take_another(&self) -> Option<T> {
        self.others.borrow_mut().pop()
    }

    #[cold]
    fn put_aside(&self, spare: T) {
        let mut others = self.others.borrow_mut();
        if others.len() < MOST - 1 {
            others.push(spare);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_comes_first_and_no_more_than_four_are_kept() {
        let spares = Spares::new();
        assert_eq!(spares.take(), None);
        (1..=6).for_each(|spare| spares.give(spare));
        assert_eq!([(); 5].map(|()| spares.take()), [Some(6), Some(3), Some(2), Some(1), None]);
    }
}
