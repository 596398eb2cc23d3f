// SPDX-License-Identifier: GPL-2.0

//! Trees of address ranges, as drivers that log DMA take them.
//!
//! C header: [`include/linux/interval_tree.h`](srctree/include/linux/interval_tree.h)

use core::ptr::NonNull;
use kernel::{
    bindings,
    prelude::*,
    types::Opaque, //
};

/// Ranges that do not overlap, in nodes of C.
///
/// # Invariants
///
/// The nodes in the tree are those of `nodes`, which has the capacity for all and does not move.
pub struct IntervalTree {
    root: KBox<Opaque<bindings::rb_root_cached>>,
    nodes: KVec<bindings::interval_tree_node>,
}

impl IntervalTree {
    /// An empty tree with room for `capacity` ranges.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn with_capacity(capacity: usize) -> Result<Self> {
        // INVARIANT: There is no node yet. A zeroed root is an empty tree.
        Ok(Self {
            root: KBox::new(Opaque::new(pin_init::zeroed()), GFP_KERNEL)?,
            nodes: KVec::with_capacity(capacity, GFP_KERNEL)?,
        })
    }

    /// Adds the range from `start` to `last`, including both.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it overlaps another or is empty, `ENOSPC` if there is no room.
    pub fn insert(&mut self, start: usize, last: usize) -> Result {
        if start > last {
            return Err(EINVAL);
        }
        // SAFETY: The tree is valid.
        let found = unsafe { bindings::interval_tree_iter_first(self.as_raw(), start, last) };
        if !found.is_null() {
            return Err(EINVAL);
        }
        // INVARIANT: Within the capacity the nodes do not move.
        self.nodes
            .push_within_capacity(bindings::interval_tree_node {
                start,
                last,
                ..pin_init::zeroed()
            })
            .map_err(|_| ENOSPC)?;
        let root = self.as_raw();
        let node = self.nodes.last_mut().ok_or(EINVAL)?;
        // SAFETY: The node is in no tree and does not move.
        unsafe { bindings::interval_tree_insert(node, root) };
        Ok(())
    }

    /// The number of ranges.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no range.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The C tree, for calls into the kernel.
    pub fn as_raw(&mut self) -> *mut bindings::rb_root_cached {
        self.root.get()
    }
}

/// A tree that a driver lends.
pub struct BorrowedTree(NonNull<bindings::rb_root_cached>);

/// A node of a [`BorrowedTree`].
#[derive(Clone, Copy)]
struct Node(NonNull<bindings::interval_tree_node>);

impl BorrowedTree {
    /// Borrows a tree from C.
    ///
    /// # Safety
    ///
    /// `root` must be a valid tree that nobody else uses while the object exists.
    pub unsafe fn from_raw(root: NonNull<bindings::rb_root_cached>) -> Self {
        Self(root)
    }

    fn nodes(&self) -> impl Iterator<Item = Node> + '_ {
        // SAFETY: The tree is valid.
        let mut next =
            unsafe { bindings::interval_tree_iter_first(self.0.as_ptr(), 0, usize::MAX) };
        core::iter::from_fn(move || {
            let node = NonNull::new(next)?;
            // SAFETY: The node is in the tree.
            next = unsafe { bindings::interval_tree_iter_next(node.as_ptr(), 0, usize::MAX) };
            Some(Node(node))
        })
    }

    fn node(&self, index: usize) -> Option<Node> {
        self.nodes().nth(index)
    }

    /// The ranges by their starts: first and last address of each.
    pub fn ranges(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.nodes()
            // SAFETY: The node is in the tree.
            .map(|node| unsafe { (node.0.as_ref().start, node.0.as_ref().last) })
    }

    /// Makes one range of the ranges `index` and `index + 1`, and of what is between them. It stays
    /// in the first one's node; the other one leaves the tree. Answers whether there are both.
    pub fn merge_with_next(&mut self, index: usize) -> bool {
        let (Some(first), Some(next)) = (
            self.node(index),
            index.checked_add(1).and_then(|next| self.node(next)),
        ) else {
            return false;
        };
        let (root, first, next) = (self.0.as_ptr(), first.0.as_ptr(), next.0.as_ptr());
        // SAFETY: Both are in the tree, and ours. The first one is taken out and put in again, as
        // nodes above it know how far it reaches.
        unsafe {
            bindings::interval_tree_remove(next, root);
            bindings::interval_tree_remove(first, root);
            (*first).last = (*next).last;
            bindings::interval_tree_insert(first, root);
        }
        true
    }
}
