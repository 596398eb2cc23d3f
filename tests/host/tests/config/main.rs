// SPDX-License-Identifier: GPL-2.0

//! Configuration space: tables, access, and what happens on writes.

mod board;
mod header;
mod lists;
mod tables;
mod writes;
