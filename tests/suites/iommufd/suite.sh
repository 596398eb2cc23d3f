# SPDX-License-Identifier: GPL-2.0
# Devices by their own nodes and iommufd: asks the C modules and the selected ones the same things and compares the answers
# (iommufd_transcript.c); then threads race for devices, groups and iommufds while devices are unbound (iommufd_race.c).
# On a machine without IOMMU (IOMMUFD_NOIOMMU) the same is asked of no-IOMMU mode.

OUT=/tmp/transcripts
mkdir -p $OUT

# transcript WHICH NAME SECTION DEVICES...
transcript() {
	output=$OUT/$1.$2
	section=$3
	shift 3
	timeout -s KILL 300 iommufd_transcript "$section" $(for dev in "$@"; do bdf "$dev"; done) >"$output" 2>&1 ||
		echo "exit status $?" >>"$output"
}

one_set() {
	for dev in igb nvme edu twin-a twin-b; do
		bind $dev || return 1
	done
	for section in node bind attach group compat user refused; do
		for dev in ${IOMMUFD_DEVICES:-igb twin-a}; do
			transcript "$1" $section-$dev $section $dev
		done
	done
	# A second run would show what the first one left behind.
	transcript "$1" bind-igb-2 bind igb
	transcript "$1" reset-igb reset igb
	transcript "$1" reset-edu reset edu
	transcript "$1" reset-twins reset twin-a twin-b
	unbind twin-b
	transcript "$1" reset-alone reset twin-a
	transcript "$1" bind-alone bind twin-a
	modprobe e1000
	bind twin-b e1000
	transcript "$1" bind-host-driver bind twin-a
	transcript "$1" compat-host-driver compat twin-a
	unbind twin-b
	rmmod e1000
	functions "$1"
	emulated "$1"
	for dev in igb nvme edu twin-a; do
		unbind $dev
	done
}

# noiommu_set WHICH: without IOMMU. Each device has a group of its own, the twins as well.
noiommu_set() {
	logged=$(dmesg | wc -l)
	before_noiommu >$OUT/"$1".before
	echo 1 >/sys/module/vfio/parameters/enable_unsafe_noiommu_mode
	for dev in igb edu twin-a twin-b; do
		bind $dev || return 1
	done
	for section in node bind attach compat refused noiommu noiommu-user; do
		for dev in igb twin-a; do
			transcript "$1" $section-$dev $section $dev
		done
	done
	transcript "$1" noiommu-edu noiommu edu
	transcript "$1" reset-twins reset twin-a twin-b
	# Devices that are there go on when it is switched off; no other is taken.
	echo 0 >/sys/module/vfio/parameters/enable_unsafe_noiommu_mode
	transcript "$1" noiommu-off noiommu igb
	unbind edu
	bind edu >/dev/null
	ls /dev/vfio/devices /sys/class/vfio-dev >$OUT/"$1".nodes
	for dev in igb twin-a twin-b; do
		unbind $dev
	done
	dmesg | sed "1,${logged}d; s/^\[[^]]*\] //; s/:[0-9]*)/:PID)/" | grep noiommu >$OUT/"$1".log
}

# Nothing of it is there before it is asked for.
before_noiommu() {
	bind igb
	echo "bind: $?"
	ls /dev/vfio
}

# A virtual function, whose user has to know the token of the physical one.
functions() {
	echo 1 >/sys/module/vfio_pci/parameters/enable_sriov
	echo 1 >"$PCI/$(bdf igb)/sriov_numvfs"
	vf=$(basename "$(readlink "$PCI/$(bdf igb)/virtfn0")")
	bind "$vf"
	transcript "$1" token token igb "$vf"
	unbind "$vf"
	echo 0 >"$PCI/$(bdf igb)/sriov_numvfs"
}

# Devices whose drivers access memory in their place.
emulated() {
	insmod /vm/test-modules/vfio_test_emulated.ko || return
	timeout -s KILL 100 iommufd_emulated >$OUT/"$1".emulated 2>&1 || echo "exit status $?" >>$OUT/"$1".emulated
	rmmod vfio_test_emulated
}

same() {
	alike "$OUT/c.$1" "$OUT/ours.$1"
}

# With dynamic debugging the log says why calls are refused.
reasons() {
	[ "$(selected vfio)" = rust ] && [ "$(selected vfio-pci-core)" = rust ] || return 4
	[ -e /sys/kernel/debug/dynamic_debug/control ] || return 4
	bind igb || return 1
	for module in vfio vfio_pci_core; do
		echo "module $module +p" >/sys/kernel/debug/dynamic_debug/control
	done
	sleep 6
	lines=$(dmesg | wc -l)
	iommufd_transcript refused "$(bdf igb)" >/dev/null
	dmesg | sed -n "1,${lines}d; s/.*vfio: refused \"iommufd_transcr\" ([0-9]*): //p" >$OUT/reasons
	sed -i "s/ group \(noiommu-\)\?[0-9]*:/ group N:/" $OUT/reasons
	diff - $OUT/reasons <<-END
		BIND_IOMMUFD: unknown flags (error -22)
		BIND_IOMMUFD of a device of group N: it is open (error -16)
		BIND_IOMMUFD: the device is bound (error -22)
		ATTACH_IOMMUFD_PT: unknown flags (error -22)
		DETACH_IOMMUFD_PT: argsz ends before the PASID (error -22)
		hot reset: files of groups, but the device is used by iommufd (error -22)
	END
	result=$?
	for module in vfio vfio_pci_core; do
		echo "module $module -p" >/sys/kernel/debug/dynamic_debug/control
	done
	unbind igb
	return $result
}

unbinding() {
	while kill -0 $race; do
		sleep 0.4
		for dev in edu twin-a twin-b; do
			unbind $dev
			bind $dev
		done
	done
}

race() {
	for dev in igb edu twin-a twin-b; do
		bind $dev || return 1
	done
	iommufd_race "${IOMMUFD_SECONDS:-20}" 3 1 "$(bdf igb)" "$(bdf edu)" "$(bdf twin-a)" "$(bdf twin-b)" &
	race=$!
	unbinding >/dev/null 2>&1 &
	interrupted_unbinds $race igb >/dev/null 2>&1 &
	wait $race
	result=$?
	wait
	for dev in igb edu twin-a twin-b; do
		unbind $dev
	done
	return $result
}

nothing_left() {
	vfio_unload && rmmod iommufd || return 1
	[ "$(pins)" = "$before" ] && [ ! -e /dev/vfio ] && [ ! -e /dev/iommu ]
}

set=one_set
[ -z "$IOMMUFD_NOIOMMU" ] || set=noiommu_set
ktap_begin
before=$(pins)
t c-load vfio_load vfio=c vfio_iommu_type1=c vfio-pci-core=c vfio-pci=c
t c-run $set c
t c-unload vfio_unload
t load vfio_load
t run $set ours
t unload vfio_unload
for file in $OUT/c.*; do
	t "${file#"$OUT"/c.}" same "${file#"$OUT"/c.}"
done
echo "# $(cat $OUT/ours.* | wc -l) answers compared"
[ -z "$IOMMUFD_NOIOMMU" ] || VFIO_PARAMS_vfio=enable_unsafe_noiommu_mode=1
t load-again vfio_load
t reasons reasons
t race race
t nothing-left nothing_left
ktap_end
