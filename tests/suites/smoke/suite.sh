# SPDX-License-Identifier: GPL-2.0
# Each device of the machine is bound, driven through vfio_pci_device_test, and unbound again.

ktap_begin
t load vfio_load
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
