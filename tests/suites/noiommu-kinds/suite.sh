# SPDX-License-Identifier: GPL-2.0
# No-IOMMU mode on a machine whose IOMMU covers one device (edu) and not another (nvme-bypass): groups of both kinds, which
# have nothing to do with each other.

PARAMETER=/sys/module/vfio/parameters/enable_unsafe_noiommu_mode

tainted() {
	[ $(($(cat /proc/sys/kernel/tainted) >> 6 & 1)) = 1 ]
}

not() {
	"$@" || return 0
	echo "should have failed: $*"
	return 1
}

# Off: the device with an IOMMU works, the other cannot be bound.
off() {
	bind edu && [ -c "/dev/vfio/$(group edu)" ] || return 1
	not bind nvme-bypass && not tainted || return 1
	unbind edu
	noiommu_rules off "$(bdf nvme-bypass)"
}

# On: it is nothing to a device with an IOMMU.
on() {
	echo Y >$PARAMETER
	bind edu && [ -c "/dev/vfio/$(group edu)" ] && [ ! -e "/dev/vfio/noiommu-$(group edu)" ] || return 1
	[ ! -e "$PCI/$(bdf edu)/iommu_group/name" ] && not tainted || return 1
	bind nvme-bypass && [ -c "/dev/vfio/noiommu-$(group nvme-bypass)" ] && [ ! -e "/dev/vfio/$(group nvme-bypass)" ] && tainted
}

ktap_begin
# The machine has no interrupt remapping: with it, Linux has no message interrupts for what the IOMMU does not cover.
VFIO_PARAMS_vfio_iommu_type1=allow_unsafe_interrupts=1
t load vfio_load
t off off
if [ "$(selected vfio)" = rust ] || [ -e $PARAMETER ]; then
	t on on
	t kinds noiommu_rules kinds "$(bdf edu)" "$(bdf nvme-bypass)"
	t with-iommu vfio-edu "$(bdf edu)"
	t without-iommu vfio_hardware nvme "$(bdf nvme-bypass)"
	t unbind unbind edu
	t unbind-bypass unbind nvme-bypass
fi
t unload vfio_unload
ktap_end
