# SPDX-License-Identifier: GPL-2.0
# The calls of the POWER backend with their first, second, ... allocation or copy failing (spapr_faults.c), on a kernel with fault
# injection (powernv9-debug).

. /vm/suite/arm.sh

# Where modules are loaded now: ours are.
arm() {
	grep '\[' /proc/kallsyms | cut -d' ' -f1 | sort >/tmp/modules
	first=$(head -1 /tmp/modules)
	last=$(tail -1 /tmp/modules)
	arm_faults "0x$first" "0x$last" || return 1
	dmesg -n 1
	echo "# modules: $first .. $last"
}

ktap_begin
t load vfio_load
t arm arm
for device in edu edu64; do
	t bind-$device bind $device
done
all_calls() {
	{ spapr_faults "$(bdf edu)" "$(bdf edu64)"; echo $? >/tmp/status; } | tee /tmp/faults
	return "$(cat /tmp/status)"
}
t faults all_calls
t injected injected 90 /tmp/faults
for device in edu edu64; do
	t unbind-$device unbind $device
done
t unload vfio_unload
ktap_end
