//! One pass of bursts through the tables, with certain stages.
//!
//! Forwarding code is generic over the stages, and so is compiled for speed in the crate that uses
//! it, while the rest of this crate is compiled for size.

use core::marker::PhantomData;
use core::ops::Deref;

use crate::forward::stages::Stages;
use crate::tables::Tables;

/// The tables, for bursts with the stages `S`.
pub(crate) struct Pass<'a, S> {
    tables: &'a Tables,
    stages: PhantomData<fn() -> S>,
}

impl<S> Clone for Pass<'_, S> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Pass<'_, S> {}

impl<'a, S: Stages> Pass<'a, S> {
    /// Creates a pass through these tables.
    #[inline(always)]
    pub(crate) fn new(tables: &'a Tables) -> Self {
        Self {
            tables,
            stages: PhantomData,
        }
    }
}

impl<S> Deref for Pass<'_, S> {
    type Target = Tables;

    #[inline(always)]
    fn deref(&self) -> &Tables {
        self.tables
    }
}
