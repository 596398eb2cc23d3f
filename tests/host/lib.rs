// SPDX-License-Identifier: GPL-2.0

//! Tests of `vfio_logic`; see the `tests` folder.
