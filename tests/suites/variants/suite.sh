# SPDX-License-Identifier: GPL-2.0
# A variant driver of the kernel's source (C, unmodified) on our modules: virtio-vfio-pci, which also takes virtio
# devices that are no virtual functions. They have no migration then, but its operations between core and device.

ktap_begin
t load vfio_load
t load-variant insmod /vm/test-modules/virtio-vfio-pci.ko
for dev in virtio-net virtio-blk; do
	t bind-$dev bind $dev virtio_vfio_pci
	t vfio_pci_device_test-$dev kst vfio_pci_device_test $dev
	t hold-$dev vfio_abi hold "$(group $dev)" "$(bdf $dev)" "! rmmod virtio_vfio_pci; ! rmmod vfio_pci_core; ! rmmod vfio"
	t unbind-$dev unbind $dev
	# The same device by the driver without variants.
	t vfio-pci-$dev bind $dev
	t unbind-again-$dev unbind $dev
done
bind virtio-net virtio_vfio_pci
t unload-variant rmmod virtio_vfio_pci
t unload vfio_unload
ktap_end
