# SPDX-License-Identifier: GPL-2.0
# The devices that the steps are taken on.

STEPS_DEVICES="edu igb nvme"
STEPS_IOMMUS="0 2 3 4"

# use c|ours: loads the C modules, or the selected ones.
use() {
	unuse || return 1
	if [ "$1" = c ]; then
		vfio_load vfio=c vfio_iommu_type1=c vfio-pci-core=c vfio-pci=c || return 1
	else
		vfio_load || return 1
	fi
	for device in $STEPS_DEVICES; do
		bind "$device" || return 1
	done
	insmod /vm/test-modules/vfio_test_emulated.ko && insmod /vm/test-modules/vfio_test_iommu.ko || return 1
	# Those of vfio_test_iommu.ko are not isolated.
	echo 1 >/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts
}

unuse() {
	[ -d /sys/module/vfio ] || return 0
	for device in $STEPS_DEVICES; do
		unbind "$device"
	done
	[ ! -d /sys/module/vfio_test_emulated ] || rmmod vfio_test_emulated || return 1
	if [ -d /sys/module/vfio_test_iommu ]; then
		echo 0 >/sys/module/vfio_test_iommu/parameters/devices
		rmmod vfio_test_iommu || return 1
	fi
	vfio_unload
}

platform_group() {
	basename "$(readlink /sys/bus/platform/devices/"$1"/iommu_group)"
}

# world: STEPS_WORLD for type1_steps.
world() {
	list=
	for device in $STEPS_DEVICES; do
		list=$list${list:+,}$(group "$device")
	done
	for number in $STEPS_IOMMUS; do
		list=$list,$(platform_group vfio-test-iommu."$number")
	done
	echo "$(bdf edu) $list vfio-test-emulated.0 $(platform_group vfio-test-emulated.0)"
}
