# SPDX-License-Identifier: GPL-2.0
# Load, bind, open, close, unbind, unload, in every order that the kernel allows, and what it must refuse in between.
# 100 times (LIFECYCLE_ROUNDS); afterwards pins, slab objects and module references are back where they started.

ROUNDS=${LIFECYCLE_ROUNDS:-100}

load_one() {
	insmod /vm/"$(selected "$1")"/"$1".ko
}

# Every order of loading and unloading that the modules' dependencies allow.
LOADS="vfio:vfio_iommu_type1:vfio-pci-core:vfio-pci vfio:vfio-pci-core:vfio_iommu_type1:vfio-pci vfio:vfio-pci-core:vfio-pci:vfio_iommu_type1"
UNLOADS="vfio_pci:vfio_pci_core:vfio_iommu_type1:vfio vfio_pci:vfio_iommu_type1:vfio_pci_core:vfio vfio_iommu_type1:vfio_pci:vfio_pci_core:vfio"
CLOSES="cgd cdg gcd gdc dcg dgc"

modules_in() {
	for module in $(echo "$1" | tr : ' '); do
		load_one "$module" || return 1
	done
}

modules_out() {
	for module in $(echo "$1" | tr : ' '); do
		rmmod "$module" || return 1
	done
}

# refused COMMAND...: the command has to fail.
refused() {
	"$@" 2>/dev/null || return 0
	echo "not refused: $*"
	return 1
}

hold() {
	holding vfio_hold "$(bdf "$1")" "$2" "$3"
}

nth() {
	shift "$1"
	echo "$1"
}

round() {
	n=$1
	in=$(nth $((n % 3 + 1)) $LOADS)
	out=$(nth $((n / 3 % 3 + 1)) $UNLOADS)
	# Bound before or after the type1 backend is there, one device or several, unbound by hand or by removing vfio-pci.
	modules_in "$in" || return 1
	for dev in edu igb twin-a; do
		bind $dev || return 1
	done
	for close in $CLOSES; do
		vfio_hold "$(bdf edu)" $close >/dev/null || return 1
	done
	vfio_hold "$(bdf igb)" "$(nth $((n % 6 + 1)) $CLOSES)" >/dev/null || return 1

	# While it is open nothing may go away, and asking twice changes nothing.
	hold edu "$(nth $((n % 6 + 1)) $CLOSES)" 60 || return 1
	for module in vfio_pci vfio_pci_core vfio_iommu_type1 vfio; do
		refused rmmod $module || return 1
		refused rmmod $module || return 1
	done
	# Unbinding waits for the user, and asks for the device by REQ, which the holder answers by closing.
	unbind edu || return 1
	wait $holder || return 1
	[ -z "$(driver_of edu)" ] || return 1

	# A group that is taken away and comes back; a process killed with everything open.
	bind edu || return 1
	hold edu cgd 60 || return 1
	kill -9 $holder
	wait $holder 2>/dev/null
	unbind edu && bind edu || return 1

	[ $((n % 2)) = 0 ] || for dev in edu igb twin-a; do
		unbind $dev || return 1
	done
	modules_out "$out" || return 1
	for dev in edu igb twin-a; do
		unbind $dev
	done
	[ ! -e /sys/module/vfio ] && [ ! -e /dev/vfio ] || {
		echo "left behind: $(ls -d /sys/module/vfio* /dev/vfio/* 2>/dev/null)"
		return 1
	}
}

# With slub_debug=U every object knows who allocated it; the traces name modules while these are loaded.
vfio_objects() {
	cat /sys/kernel/debug/slab/*/alloc_traces 2>/dev/null | awk '
		/^ *[0-9]+ / { if (mine) sum += count; count = $1; mine = 0 }
		/\[vfio/ { mine = 1 }
		END { if (mine) sum += count; print sum + 0 }'
}

available() {
	sync
	echo 3 >/proc/sys/vm/drop_caches
	awk '/^MemAvailable/ { print $2 }' /proc/meminfo
}

opens() {
	for i in 1 2 3 4 5 6; do
		for close in $CLOSES; do
			vfio_hold "$(bdf edu)" $close >/dev/null || return 1
		done
	done
	# What RCU and caches hold on to is not a leak.
	echo 3 >/proc/sys/vm/drop_caches
	sleep 1
}

# Opening and closing again and again on the same modules: as many objects afterwards as before.
no_objects_kept() {
	vfio_load || return 1
	bind edu || return 1
	opens || return 1
	before=$(vfio_objects)
	opens || return 1
	after=$(vfio_objects)
	echo "slab objects allocated by vfio modules: $before before 36 opens, $after after"
	# Deferred work may hold a few at any moment; a leak would be one an open or more.
	[ $((after - before)) -lt 18 ] || return 1
	unbind edu || return 1
	sleep 1
	echo "and $(vfio_objects) with no device bound"
	vfio_unload
}

nothing_kept() {
	echo "pages pinned and not released: $(pins), at the start $pins"
	[ "$(pins)" = "$pins" ] || return 1
	now=$(available)
	echo "memory available: $memory kB after the first round, $now kB now"
	[ $((memory - now)) -lt 24576 ]
}

ktap_begin
modprobe -a $(cat /vm/needed)
pins=$(pins)
for n in $(seq 0 $((ROUNDS - 1))); do
	t "round-$n" round "$n"
	[ $ktap_failed = 0 ] || break
	[ "$n" != 0 ] || memory=$(available)
done
if [ $ktap_failed = 0 ]; then
	if [ -e /sys/kernel/debug/kmemleak ]; then
		skip objects "KASAN keeps freed objects for a while; kmemleak looks for leaks"
		skip memory "as above"
	else
		t objects no_objects_kept
		t memory nothing_kept
	fi
fi
ktap_end
