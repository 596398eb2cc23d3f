# SPDX-License-Identifier: GPL-2.0
# samples/edu, the user-space driver, through everything it does; every step of its own is checked by it. Then igb's MSI-X,
# and an NVMe disk that is read and written (vfio_hardware.c).

. /vm/suite/run.sh

hardware() {
	vfio_load && bind "$1" || return 1
	vfio_hardware "$1" "$(bdf "$1")"
	hardware_status=$?
	unbind "$1"
	vfio_unload && return $hardware_status
}

# Where the write that is a message is translated as DMA is, the groups say which addresses are for that: a driver does not map
# them, the host does.
doorbell() {
	for dev in edu igb nvme; do
		grep '^0x0*8000000 0x0*80fffff msi$' "$PCI/$(bdf $dev)/iommu_group/reserved_regions" || return 1
	done
}

# The stages that the SMMU translates by are those of the machine: bits 9 and 10 of what its driver found.
stages() {
	case $MACHINE in
	*-stage2) wanted=2 ;;
	*-nested) wanted=3 ;;
	*) wanted=1 ;;
	esac
	features=$(dmesg | sed -n 's/.*arm-smmu-v3 .*(features \(0x[0-9a-f]*\)).*/\1/p')
	echo "features $features, stages $wanted"
	[ -n "$features" ] && [ $((features >> 9 & 3)) = $wanted ]
}

ktap_begin
for dev in edu edu-port; do
	t "$dev" main_job "$dev"
done
t igb hardware igb
t nvme hardware nvme
case $MACHINE in
virt-*)
	t doorbell doorbell
	t stages stages
	;;
esac
ktap_end
