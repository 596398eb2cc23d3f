# SPDX-License-Identifier: GPL-2.0
# Devices by their own nodes and iommufd: asks the C modules and the selected ones the same things and compares the answers
# (iommufd_transcript.c); then threads race for devices, groups and iommufds while devices are unbound (iommufd_race.c).

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
	for section in node bind attach group compat user; do
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
	cmp -s $OUT/c.$1 $OUT/ours.$1 && ! grep -q '^exit status' $OUT/c.$1 && return
	echo "lines with - are what the C modules answer, lines with + what the selected ones answer"
	diff -U 2 $OUT/c.$1 $OUT/ours.$1 | sed 1,2d | head -60
	grep '^exit status' $OUT/c.$1
	return 1
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

interrupted() {
	address=$(bdf igb)
	while kill -0 $race; do
		sleep 0.4
		echo "$address" >/sys/bus/pci/drivers/vfio-pci/unbind &
		sleep 0.1
		kill -INT $!
		sleep 0.2
		kill -KILL $!
		wait $!
		bind igb
	done
}

race() {
	for dev in igb edu twin-a twin-b; do
		bind $dev || return 1
	done
	iommufd_race "${IOMMUFD_SECONDS:-20}" 3 1 "$(bdf igb)" "$(bdf edu)" "$(bdf twin-a)" "$(bdf twin-b)" &
	race=$!
	unbinding >/dev/null 2>&1 &
	interrupted >/dev/null 2>&1 &
	wait $race
	result=$?
	wait
	for dev in igb edu twin-a twin-b; do
		unbind $dev
	done
	return $result
}

pins() {
	echo 1 >/proc/sys/vm/stat_refresh
	awk '/^nr_foll_pin_acquired/ { a = $2 } /^nr_foll_pin_released/ { r = $2 } END { print a - r }' /proc/vmstat
}

nothing_left() {
	vfio_unload && rmmod iommufd || return 1
	[ "$(pins)" = "$before" ] && [ ! -e /dev/vfio ] && [ ! -e /dev/iommu ]
}

ktap_begin
before=$(pins)
t c-load vfio_load vfio=c vfio_iommu_type1=c vfio-pci-core=c vfio-pci=c
t c-run one_set c
t c-unload vfio_unload
t load vfio_load
t run one_set ours
t unload vfio_unload
for file in $OUT/c.*; do
	t "${file#"$OUT"/c.}" same "${file#"$OUT"/c.}"
done
echo "# $(cat $OUT/ours.* | wc -l) answers compared"
t load-again vfio_load
t race race
t nothing-left nothing_left
ktap_end
