# SPDX-License-Identifier: GPL-2.0
# Applied to both outputs before they are compared.

# With a VBT of its own C shows the address of the VBT where that of the OpRegion should be.
s/^(the register is that of the hardware:) (yes|no)$/\1 (see addresses)/
