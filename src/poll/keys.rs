//! The application's source of masking keys, shared by the halves of a connection.

use alloc::boxed::Box;
use core::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::SendError;
use crate::connection::KeySource;

/// The source, while nobody runs it. It runs without any lock, so that it may use the halves.
pub(super) struct SharedKeys(Mutex<Slot>);

struct Slot {
    source: Option<Box<dyn KeySource>>,
    /// Somebody has looked for the source in vain and waits for keys.
    is_awaited: bool,
}

impl SharedKeys {
    pub(super) fn new(source: Box<dyn KeySource>) -> Self {
        Self(Mutex::new(Slot { source: Some(source), is_awaited: false }))
    }

    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the source out; `None` if somebody runs it, who is then asked to wake the others.
    pub(super) fn begin(&self) -> Option<Drawing<'_>> {
        let mut slot = self.lock();
        let source = slot.source.take();
        slot.is_awaited |= source.is_none();
        drop(slot);
        source.map(|source| Drawing { keys: self, source: Some(source) })
    }

    pub(super) fn into_source(self) -> Option<Box<dyn KeySource>> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner).source
    }
}

/// The source outside of its slot. It goes back when this is dropped, also if it panics.
pub(super) struct Drawing<'a> {
    keys: &'a SharedKeys,
    source: Option<Box<dyn KeySource>>,
}

impl Drawing<'_> {
    pub(super) fn next(&mut self) -> Result<[u8; 4], SendError> {
        self.source.as_mut().map_or(Err(SendError::MaskKey), |source| source.next())
    }

    /// Puts the source back and returns whether somebody waits for keys.
    pub(super) fn end(mut self) -> bool {
        self.put_back()
    }

    fn put_back(&mut self) -> bool {
        let Some(source) = self.source.take() else { return false };
        let mut slot = self.keys.lock();
        slot.source = Some(source);
        mem::take(&mut slot.is_awaited)
    }
}

impl Drop for Drawing<'_> {
    fn drop(&mut self) {
        self.put_back();
    }
}
