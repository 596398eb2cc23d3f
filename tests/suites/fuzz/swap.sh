# SPDX-License-Identifier: GPL-2.0
# swap.sh c|ours|none [DEVICE...]: these modules instead of those that are loaded; the devices, or all of them, are bound.
. /vm/lib.sh

which=$1
shift
for dev in $(devices); do
	[ "$(driver_of "$dev")" != vfio-pci ] || unbind "$dev"
done
vfio_unload || exit 1
case $which in
none) exit 0 ;;
c) vfio_load vfio=c vfio_iommu_type1=c vfio-pci-core=c vfio-pci=c ;;
*) vfio_load ;;
esac || exit 1
for dev in ${*:-$(devices)}; do
	bind "$dev" || exit 1
done
