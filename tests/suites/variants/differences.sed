# SPDX-License-Identifier: GPL-2.0
# Applied to both outputs before they are compared: each intended difference from C (Documentation/differences.rst) has a
# line here that makes both sides read the same.
# Before a read of MSI's flags, C limits what it keeps of them in the wrong place: in the ID of the capability.
s/^(  vconfig 0[45]0) 0[15] (00|70)/\1 .. \2/
# When a device falls asleep that may, and so who wakes it up, is the kernel's own pace, on both.
s/pm_runtime_engaged [01]/pm_runtime_engaged ./
s/wakeup (set|none)/wakeup ./
s/memory_lock (held|free)/memory_lock ./
