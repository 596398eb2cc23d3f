# SPDX-License-Identifier: GPL-2.0
# Every operation with its first, second, ... allocation or copy from or to user space failing (faults.h), on a kernel with
# fault injection (q35-debug).

DEBUG=/sys/kernel/debug

# Failures hit what has a function of a module on its stack, every allocation of any size and kind. Not ACPI's interpreter:
# it allocates by the thousand, and what its failures do is its own.
arm() {
	sed -n '/ _stext$/,/ _etext$/p' /proc/kallsyms | grep -E ' [tT] acpi_(ds|ev|ex|hw|ns|ps|rs|tb|ut)_' >/tmp/acpi
	first=$(head -1 /tmp/acpi)
	last=$(tail -1 /tmp/acpi)
	for kind in failslab fail_page_alloc fail_usercopy; do
		[ -d $DEBUG/$kind ] || return 1
		echo 32 >$DEBUG/$kind/stacktrace-depth
		echo 0xffffffffa0000000 >$DEBUG/$kind/require-start
		echo 0xffffffffff000000 >$DEBUG/$kind/require-end
		echo "0x${first%% *}" >$DEBUG/$kind/reject-start
		echo "0x${last%% *}" >$DEBUG/$kind/reject-end
		echo "${FAULTS_VERBOSE:-0}" >$DEBUG/$kind/verbose
		[ ! -e $DEBUG/$kind/ignore-gfp-wait ] || echo N >$DEBUG/$kind/ignore-gfp-wait
	done
	echo N >$DEBUG/fail_page_alloc/ignore-gfp-highmem
	echo 0 >$DEBUG/fail_page_alloc/min-order
	echo "# ACPI: ${first} .. ${last}"
}

ktap_begin
t arm arm
t load vfio_load
for device in edu-port igb; do
	t bind-$device bind $device
done
t core faults_container core "$(bdf edu-port)" "$(bdf igb)"
t type1 faults_container type1 "$(bdf igb)" "$(bdf edu-port)"
for device in edu-port igb; do
	t unbind-$device unbind $device
done
t unload vfio_unload
ktap_end
