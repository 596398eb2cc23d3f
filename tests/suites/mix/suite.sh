# SPDX-License-Identifier: GPL-2.0
# Each module works beside the C twins of all the others: one in Rust and three in C, and the other way round.

one_mix() {
	vfio_load "$@" || return 1
	for dev in igb edu e1000e; do
		bind $dev && kst vfio_pci_device_test $dev && unbind $dev || return 1
	done
	vfio_unload
}

# mix_loaded MODULE: nothing of an earlier mix may be left.
clean() {
	for dev in igb edu e1000e; do
		unbind $dev
	done 2>/dev/null
	vfio_unload
}

ktap_begin
t all-c one_mix vfio=c vfio_iommu_type1=c vfio-pci-core=c vfio-pci=c
for single in vfio vfio_iommu_type1 vfio-pci-core vfio-pci "vfio-pci-core vfio-pci"; do
	for which in rust c; do
		[ $which = rust ] && others=c || others=rust
		words=
		for module in vfio vfio_iommu_type1 vfio-pci-core vfio-pci; do
			case " $single " in
			*" $module "*) words="$words $module=$which" ;;
			*) words="$words $module=$others" ;;
			esac
		done
		missing=
		for word in $words; do
			[ "${word#*=}" = c ] || [ -e /vm/rust/"${word%=*}".ko ] || missing=${word%=*}
		done
		name="$(echo "$single" | tr ' ' +)-in-$which"
		if [ -n "$missing" ]; then
			skip "$name" "$missing.ko was not built"
			continue
		fi
		# shellcheck disable=SC2086
		t "$name" one_mix $words
		clean || {
			echo "Bail out! modules of $name cannot be removed"
			break 2
		}
	done
done
ktap_end
