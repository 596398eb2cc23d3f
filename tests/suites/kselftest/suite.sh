# SPDX-License-Identifier: GPL-2.0
# The kernel's own VFIO selftests (tools/testing/selftests/vfio): the modes that use containers, and with
# KSELFTEST_IOMMUFD=1 those that use iommufd.
#
# By default every program runs on igb, whose user-space driver they carry, and the quick ones on all devices;
# KSELFTEST_LONG=1 runs every program in every mode on every device, KSELFTEST_SHORT=1 all in one mode on igb, and the first of
# them on the others.

MODES="vfio_type1_iommu vfio_type1v2_iommu"
[ -z "$KSELFTEST_IOMMUFD" ] || MODES="iommufd_compat_type1 iommufd_compat_type1v2 iommufd"
[ -z "$KSELFTEST_SHORT" ] || MODES=vfio_type1v2_iommu
# The mode of what is only run in one; the last of them.
MODE=${MODES##* }

# variants [SUFFIX]...: options that choose the variants of the modes.
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
		[ -n "$KSELFTEST_LONG" ] || [ $mode = "$MODE" ] || continue
		VFIO_IOMMU_MODE=$mode t "$1.vfio_pci_device_test.$mode" kst vfio_pci_device_test "$1"
	done
	if [ -n "$KSELFTEST_LONG" ] || [ "$1" = igb ]; then
		# shellcheck disable=SC2046
		t "$1.vfio_dma_mapping_test" kst vfio_dma_mapping_test "$1" \
			$(variants _anonymous _anonymous_hugetlb_2mb _anonymous_hugetlb_1gb '')
	fi
	if [ -z "$KSELFTEST_SHORT" ] || [ "$1" = igb ]; then
		# shellcheck disable=SC2046
		t "$1.vfio_dma_mapping_mmio_test" kst vfio_dma_mapping_mmio_test "$1" $(variants)
	fi
	if [ "$1" = igb ] && why=$(cannot vfio_pci_driver_test); then
		skip "$1.vfio_pci_driver_test" "$why"
	elif [ "$1" = igb ]; then
		# shellcheck disable=SC2046
		t "$1.vfio_pci_driver_test" kst vfio_pci_driver_test "$1" $(variants)
	fi
	if [ "$1" = igb ] && [ -z "$KSELFTEST_IOMMUFD" -o -n "$KSELFTEST_LONG" ]; then
		# It makes a virtual function, and opens both.
		echo Y >/sys/module/vfio_pci/parameters/enable_sriov
		# shellcheck disable=SC2046
		t "$1.vfio_pci_sriov_uapi_test" kst vfio_pci_sriov_uapi_test "$1" $(variants _same_uuid _diff_uuid _null_uuid)
		echo N >/sys/module/vfio_pci/parameters/enable_sriov
	fi
	[ -z "$KSELFTEST_IOMMUFD" ] || t "$1.vfio_iommufd_setup_test" kst vfio_iommufd_setup_test "$1"
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
