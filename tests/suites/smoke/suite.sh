# SPDX-License-Identifier: GPL-2.0
# Each device of the machine is bound, driven through vfio_pci_device_test, and unbound again.

# Where interrupts are not isolated, the administrator has to want it all the same (the machine's parameter says so).
unsafe_refused() {
	parameter=/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts
	bind edu && echo 0 >$parameter || return 1
	if kst vfio_pci_device_test edu >/tmp/refused 2>&1; then
		cat /tmp/refused
		return 1
	fi
	echo 1 >$parameter
	unbind edu
	dmesg | grep 'No interrupt remapping support'
}

ktap_begin
t load vfio_load
[ -z "$VFIO_PARAMS_vfio_iommu_type1" ] || t unsafe-interrupts-refused unsafe_refused
for dev in $(devices); do
	case $dev in
	twin-*) continue ;; # Two in a group: the selftest wants one; the errors suite has them.
	ivshmem) continue ;; # The selftest's mmap_reserve() trips over a BAR of 128 MiB, on C as well.
	esac
	t "$dev.bind" bind "$dev"
	t "$dev.vfio_pci_device_test" kst vfio_pci_device_test "$dev"
	t "$dev.unbind" unbind "$dev"
done
t unload vfio_unload
ktap_end
