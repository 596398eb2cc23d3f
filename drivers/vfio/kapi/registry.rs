// SPDX-License-Identifier: GPL-2.0

//! All objects of one kind that a module has, for who shows them to the administrator.

use crate::module_static::ModuleStatic;
use core::ops::Deref;
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    },
};

/// The list: a `static` of the module.
///
/// Its lock is taken inside of all others that are held where an [`Entry`] is made or dropped, and outside
/// of those that [`Self::for_each`] is told to take.
pub struct Registry<T: Send + Sync + 'static>(ModuleStatic<Mutex<KVec<Arc<T>>>>);

/// What there is a list of.
pub trait Registered: Send + Sync + Sized + 'static {
    /// The list.
    fn registry() -> &'static Registry<Self>;
}

impl<T: Registered> Registry<T> {
    /// A list that is not yet in use.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self(ModuleStatic::new())
    }

    /// Makes it an empty list; what a module does before there can be an [`Entry`].
    ///
    /// # Errors
    ///
    /// `EBUSY` if that was done before.
    pub fn init(&'static self) -> Result {
        self.0.init(new_mutex!(KVec::new(), "vfio_registry"))
    }

    /// Calls `f` for each object, with the lock of the list held. It is given no reference of its own, so that
    /// objects end when their owners say so.
    ///
    /// Context: may sleep.
    pub fn for_each(&'static self, mut f: impl FnMut(&T)) {
        for object in self.0.get().lock().iter() {
            f(object);
        }
    }
}

/// An object while it is in its list.
pub struct Entry<T: Registered>(Arc<T>);

impl<T: Registered> Entry<T> {
    /// Adds an object to the list.
    ///
    /// Context: may sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new(object: Arc<T>) -> Result<Self> {
        let list = T::registry().0.get();
        list.lock().push(object.clone(), GFP_KERNEL)?;
        Ok(Self(object))
    }
}

impl<T: Registered> Deref for Entry<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Registered> Drop for Entry<T> {
    fn drop(&mut self) {
        let mut list = T::registry().0.get().lock();
        list.retain(|other| !Arc::ptr_eq(other, &self.0));
        if list.is_empty() {
            // Nothing may be left in the static when the module goes.
            *list = KVec::new();
        }
    }
}
