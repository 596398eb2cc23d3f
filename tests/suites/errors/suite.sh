# SPDX-License-Identifier: GPL-2.0
# Asks the C modules and the selected ones the same things, right and wrong, and compares the answers.
# (vfio_transcript.c; vfio_core_errors.c, whose cases are one result each; differences that are wanted: differences.sed, and Documentation/differences.rst.)

OUT=/tmp/transcripts
mkdir -p $OUT

# transcript WHICH RUN NAME SECTION DEVICES...: one section on one set of devices.
transcript() {
	which=$1 run=$2 name=$3 section=$4
	shift 4
	program "$which" "$run" "$name" vfio_transcript "$section" $(for dev in "$@"; do bdf "$dev"; done)
}

# program WHICH RUN NAME COMMAND...: the same with another program that prints what it was answered.
program() {
	output=$OUT/$1.$2.$3
	shift 3
	timeout -s KILL 300 "$@" >"$output" 2>&1 || echo "exit status $?" >>"$output"
}

# one_set WHICH: everything, on the modules that are loaded.
one_set() {
	for dev in edu igb e1000e nvme virtio-net ivshmem; do
		bind $dev || return 1
	done
	vfio_core_errors all $OUT/$1.core "$(bdf edu)" "$(bdf igb)"
	# The second run on the same modules would show what the first one left behind.
	for run in 1 2; do
		transcript "$1" $run container container edu igb
		transcript "$1" $run type1 type1 edu
		transcript "$1" $run dirty dirty igb
		transcript "$1" $run limits limits edu
		transcript "$1" $run maps-random maps-random edu
		for how in "v2 root" "v1 root" "v2 user"; do
			# shellcheck disable=SC2086
			program "$1" $run "type1-stress-${how% *}-${how#* }" type1_stress "$(group edu)" 500 $run $how "$(group igb)"
		done
		for dev in edu igb e1000e nvme virtio-net ivshmem; do
			[ $run = 1 ] || [ $dev = edu ] || [ $dev = igb ] || continue
			transcript "$1" $run device-$dev device $dev
			transcript "$1" $run config-$dev config $dev
			transcript "$1" $run config-random-$dev config-random $dev
			transcript "$1" $run irqs-$dev irqs $dev
			transcript "$1" $run irqs-random-$dev irqs-random $dev
			transcript "$1" $run reset-$dev reset $dev
		done
		transcript "$1" $run runs runs ivshmem
	done
	transcript "$1" 1 msi-mask-igb msi-mask igb
	for dev in ivshmem igb; do
		program "$1" 1 type1-memory-$dev type1_memory "$(group $dev)" "$(bdf $dev)" "$(group e1000e)"
	done
	echo 3 >/sys/module/vfio_iommu_type1/parameters/dma_entry_limit
	transcript "$1" 1 entries entries edu
	for dev in edu igb e1000e nvme virtio-net ivshmem; do
		unbind $dev
	done
	bind xhci || return 1
	transcript "$1" 1 msi-messages-xhci msi-messages xhci
	unbind xhci
	controller "$1" || return 1
	viability "$1"
	bind edu && bind igb && rmmod vfio_iommu_type1 || return 1
	vfio_core_errors bare $OUT/$1.core "$(bdf edu)" "$(bdf igb)"
	unbind edu
	unbind igb
}

# INTx that is masked at the interrupt controller, and not shared.
controller() {
	echo Y >/sys/module/vfio_pci/parameters/nointxmask
	for dev in edu e1000e; do
		bind $dev || return 1
		transcript "$1" 1 nointxmask-irqs-$dev irqs $dev
		transcript "$1" 1 nointxmask-irqs-random-$dev irqs-random $dev
		transcript "$1" 1 nointxmask-reset-$dev reset $dev
		unbind $dev
	done
	echo N >/sys/module/vfio_pci/parameters/nointxmask
}

# Two devices in one group: neither, one, both bound; one driven by a host driver.
viability() {
	bind twin-a
	transcript "$1" 1 viable-one viable twin-a twin-b
	bind twin-b
	transcript "$1" 1 viable-both viable twin-a twin-b
	transcript "$1" 1 reset-twins reset twin-a
	modprobe e1000
	bind twin-b e1000
	transcript "$1" 1 viable-not viable twin-a twin-b
	transcript "$1" 2 viable-not viable twin-a twin-b
	unbind twin-b
	transcript "$1" 2 viable-one viable twin-a twin-b
	unbind twin-a
	rmmod e1000
}

same() {
	alike "$OUT/c.$1" "$OUT/ours.$1"
}

ktap_begin
t c-load vfio_load vfio=c vfio_iommu_type1=c vfio-pci-core=c vfio-pci=c
t c-run one_set c
t c-unload vfio_unload
t load vfio_load
t run one_set ours
t unload vfio_unload
t nothing-pinned nothing_pinned
for file in $OUT/c.*; do
	t "${file#"$OUT"/c.}" same "${file#"$OUT"/c.}"
done
echo "# $(cat $OUT/ours.* | wc -l) answers compared"
ktap_end
