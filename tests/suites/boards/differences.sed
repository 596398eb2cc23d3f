# SPDX-License-Identifier: GPL-2.0
# Applied to both outputs before they are compared: each intended difference from C (Documentation/differences.rst) has a
# line here that makes both sides read the same.
