# SPDX-License-Identifier: GPL-2.0
# The calls of the POWER backend with their first, second, ... allocation or copy failing (spapr_faults.c), on a kernel with fault
# injection (powernv9-debug).

DEBUG=/sys/kernel/debug

# Failures hit what has a function of a module on its stack, every allocation of any size and kind.
arm() {
	grep '\[' /proc/kallsyms | cut -d' ' -f1 | sort >/tmp/modules
	first=$(head -1 /tmp/modules)
	last=$(tail -1 /tmp/modules)
	for kind in failslab fail_page_alloc fail_usercopy; do
		[ -d $DEBUG/$kind ] || return 1
		echo 32 >$DEBUG/$kind/stacktrace-depth
		echo "0x$first" >$DEBUG/$kind/require-start
		echo "0x$last" >$DEBUG/$kind/require-end
		echo 0 >$DEBUG/$kind/verbose
		[ ! -e $DEBUG/$kind/ignore-gfp-wait ] || echo N >$DEBUG/$kind/ignore-gfp-wait
	done
	dmesg -n 1
	echo N >$DEBUG/fail_page_alloc/ignore-gfp-highmem
	echo 0 >$DEBUG/fail_page_alloc/min-order
	echo "# modules: $first .. $last"
}

ktap_begin
t load vfio_load
t arm arm
for device in edu edu64; do
	t bind-$device bind $device
done
t faults spapr_faults "$(bdf edu)" "$(bdf edu64)"
for device in edu edu64; do
	t unbind-$device unbind $device
done
t unload vfio_unload
ktap_end
