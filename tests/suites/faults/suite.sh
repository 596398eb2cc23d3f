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
	# What the kernel warns of is in its log; a serial line would take longer for it than all the rest.
	dmesg -n 1
	echo N >$DEBUG/fail_page_alloc/ignore-gfp-highmem
	echo 0 >$DEBUG/fail_page_alloc/min-order
	echo "# ACPI: ${first} .. ${last}"
}

# on NAME SECTION...: a program for the devices that are named.
faults() {
	program=faults_$1
	section=$2
	shift 2
	# shellcheck disable=SC2046
	$program "$section" $(for device in "$@"; do bdf "$device"; done)
}

# functions: of igb, whose VFs are left to nobody.
functions() {
	[ -e "$PCI/$(bdf igb)/sriov_numvfs" ] || return 4
	echo 0 >"$PCI/$(bdf igb)/sriov_drivers_autoprobe"
	faults driver sriov igb
}

[ -n "$SUITE" ] || return 0
ktap_begin
t arm arm
modprobe -a $(cat /vm/needed)
export VFIO_PARAMS_vfio_pci=enable_sriov=1
t load vfio_load
for device in edu edu-port igb; do
	t bind-$device bind $device
done
t type1 faults container type1 edu edu-port
for section in info irqs access features resets; do
	t $section-igb faults device $section igb
done
t irqs-edu-port faults device irqs edu-port
t resets-edu-port faults device resets edu-port
if [ -e /dev/iommu ]; then
	t iommufd faults iommufd all edu-port
fi
t functions-igb functions
t core faults container core edu edu-port
for device in edu edu-port igb; do
	t unbind-$device unbind $device
done
t bind faults driver bind edu
# The host's driver takes the device again: nothing owns its DMA any more.
modprobe igb
t host-driver bind igb igb
unbind igb
t unload vfio_unload
t modules faults_driver modules /vm/"$(selected vfio)"
ktap_end
