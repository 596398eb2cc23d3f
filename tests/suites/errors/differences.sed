# SPDX-License-Identifier: GPL-2.0
# Applied to both transcripts before they are compared: each intended difference from C (Documentation/differences.rst)
# has a line here that makes both sides read the same.

# dma-buf export is not there yet: it answers as a feature that is compiled out.
s/^FEATURE 11 .*/FEATURE 11/
