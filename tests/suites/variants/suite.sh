# SPDX-License-Identifier: GPL-2.0
# C variant drivers of vfio-pci on the selected modules.
#
# virtio-vfio-pci, of the kernel's source and unmodified, also takes virtio devices that are no virtual functions. They
# have no migration then, but its operations between core and device.
#
# vfio_test_variant uses all that vfio-pci-core.ko exports, and tells what is in the fields of the structure that they
# share; what variant_user prints of both has to be the same on the C modules (differences that are wanted:
# differences.sed, and Documentation/differences.rst).

OUT=/tmp/variants
VARIANT=vfio-test-variant
mkdir -p $OUT

# user NAME ARGUMENTS...: what variant_user prints, and then the driver's log, into a file.
user() {
	file=$OUT/$which.$1
	shift
	timeout -s KILL 200 variant_user "$@" >>"$file" 2>&1 || echo "exit status $?" >>"$file"
	variant_user log >>"$file"
}

# A device from binding to unbinding: everything, then again, then an open that the driver fails.
whole() {
	bind "$1" $VARIANT || return 1
	# shellcheck disable=SC2086
	user "$1" calls "$(bdf "$1")" $2
	user "$1" open "$(bdf "$1")" "$(bdf "$1")"
	echo 71 >/sys/module/vfio_test_variant/parameters/fail_open
	user "$1" open "$(bdf "$1")" "$(bdf "$1")"
	echo 0 >/sys/module/vfio_test_variant/parameters/fail_open
	user "$1" open "$(bdf "$1")" "$(bdf "$1")"
	unbind "$1"
	user "$1"-unbound log
}

# A BAR that somebody else has: the device is there without it.
claimed() {
	echo Y >/sys/module/vfio_test_variant/parameters/claim
	bind edu $VARIANT && user claimed claimed "$(bdf edu)" && unbind edu && user claimed log
	echo N >/sys/module/vfio_test_variant/parameters/claim
}

# What the core does not register.
incomplete() {
	for how in 1 2 3; do
		echo $how >/sys/module/vfio_test_variant/parameters/incomplete
		! bind edu $VARIANT >/dev/null 2>&1 || return 1
		user incomplete log
	done
	echo 0 >/sys/module/vfio_test_variant/parameters/incomplete
	unbind edu
}

# A driver that cannot initialize its part: the core gets no word of it, and may not have kept anything (kmemleak sees that).
init_fails() {
	echo 12 >/sys/module/vfio_test_variant/parameters/fail_init
	! bind edu $VARIANT >/dev/null 2>&1 || return 1
	user init-fails log
	echo 0 >/sys/module/vfio_test_variant/parameters/fail_init
	unbind edu
}

# Virtual functions of one that the driver has: they are its own as well.
virtual() {
	vf=0000:01:10.0
	bind igb $VARIANT || return 1
	numvfs=$PCI/$(bdf igb)/sriov_numvfs
	variant_user log >/dev/null
	for count in 2 1 0 1; do
		echo $count >"$numvfs" 2>/dev/null
		echo "$count: $? $(cat "$numvfs") $(driver_of $vf)" >>"$OUT/$which.virtual"
		user virtual log
	done
	token=12345678-9abc-def0-1234-56789abcdef0
	user virtual open $vf $vf "$vf vf_token=$token"
	user virtual open "$(bdf igb)" "$(bdf igb)" "$(bdf igb) vf_token=$token"
	user virtual open $vf $vf "$vf vf_token=$token" "$vf vf_token=$token " "$vf vf_token=12345678-9abc-def0-1234-56789abcdef1"
	user virtual open "$(bdf igb)" "$(bdf igb)" "$(bdf igb) vf_token=$token" "$(bdf igb) vf_token=$token vf_token=$token"
	echo 0 >"$numvfs"
	unbind igb
	user virtual log
}

one_set() {
	which=$1
	insmod /vm/test-modules/vfio_test_variant.ko || return 1
	whole edu dwords || return 1
	for dev in igb ivshmem nvme; do
		whole $dev || return 1
	done
	bind edu $VARIANT && user names match "$(bdf edu)" "$(bdf edu)" "$(bdf edu) " "$(bdf igb)" "$(bdf edu) vf_token=" \
		"$(bdf edu) vf_token=12345678-9abc-def0-1234-56789abcdef0" "$(bdf edu)x" "" && unbind edu
	claimed && incomplete && init_fails && virtual || return 1
	rmmod vfio_test_variant
}

same() {
	alike "$OUT/c.$1" "$OUT/ours.$1"
}

virtio() {
	for dev in virtio-net virtio-blk; do
		t bind-$dev bind $dev virtio_vfio_pci
		t vfio_pci_device_test-$dev kst vfio_pci_device_test $dev
		t hold-$dev vfio_abi hold "$(group $dev)" "$(bdf $dev)" "! rmmod virtio_vfio_pci; ! rmmod vfio_pci_core; ! rmmod vfio"
		t unbind-$dev unbind $dev
		# The same device by the driver without variants.
		t vfio-pci-$dev bind $dev
		t unbind-again-$dev unbind $dev
	done
}

ktap_begin
t c-load vfio_load vfio=c vfio_iommu_type1=c vfio-pci-core=c vfio-pci=c
t c-run one_set c
t c-unload vfio_unload
t load vfio_load
t run one_set ours
for file in "$OUT"/c.*; do
	t "${file#"$OUT"/c.}" same "${file#"$OUT"/c.}"
done
t load-variant insmod /vm/test-modules/virtio-vfio-pci.ko
virtio
bind virtio-net virtio_vfio_pci
t unload-variant rmmod virtio_vfio_pci
t unload vfio_unload
ktap_end
