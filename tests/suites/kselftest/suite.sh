# SPDX-License-Identifier: GPL-2.0
# The kernel's own VFIO selftests (tools/testing/selftests/vfio), every case that needs no iommufd.
#
# By default every program runs on igb, whose user-space driver they carry, and the quick ones on all devices;
# KSELFTEST_LONG=1 runs every program in every mode on every device.

MODES="vfio_type1_iommu vfio_type1v2_iommu"

# variants [SUFFIX]...: options that choose the variants of the two container modes.
variants() {
	for mode in $MODES; do
		for suffix in "${@:-}"; do
			printf -- '-v %s%s ' "$mode" "$suffix"
		done
	done
}

one_device() {
	t "$1.bind" bind "$1"
	for mode in $MODES; do
		[ -n "$KSELFTEST_LONG" ] || [ $mode = vfio_type1v2_iommu ] || continue
		VFIO_IOMMU_MODE=$mode t "$1.vfio_pci_device_test.$mode" kst vfio_pci_device_test "$1"
	done
	if [ -n "$KSELFTEST_LONG" ] || [ "$1" = igb ]; then
		# shellcheck disable=SC2046
		t "$1.vfio_dma_mapping_test" kst vfio_dma_mapping_test "$1" \
			$(variants _anonymous _anonymous_hugetlb_2mb _anonymous_hugetlb_1gb '')
	fi
	# shellcheck disable=SC2046
	t "$1.vfio_dma_mapping_mmio_test" kst vfio_dma_mapping_mmio_test "$1" $(variants)
	if [ "$1" = igb ]; then
		# shellcheck disable=SC2046
		t "$1.vfio_pci_driver_test" kst vfio_pci_driver_test "$1" $(variants)
	fi
	t "$1.unbind" unbind "$1"
}

ktap_begin
t load vfio_load
for dev in igb edu e1000e nvme virtio-net virtio-blk; do
	one_device $dev
done
if [ ! -e /dev/iommu ]; then
	skip iommufd "the stock kernel is built without CONFIG_IOMMUFD: modes iommufd and iommufd_compat_*"
fi
skip ivshmem "mmap_reserve() of the selftests trips over a BAR of 128 MiB, on the C modules as well"
t unload vfio_unload
ktap_end
