# SPDX-License-Identifier: GPL-2.0
# What fails half-way is unwound: pages that cannot be pinned, limits, arguments where memory ends, full tables of file
# descriptors, signals and kills, a cgroup without memory (unwind.c). The answers to arguments are those of the C modules.
# Bitmaps that do not arrive, with an emulated device (unwind_dirty.c).

CGROUP=/sys/fs/cgroup/unwind

# arguments WHICH: on those modules.
arguments() {
	vfio_load vfio="$1" vfio_iommu_type1="$1" vfio-pci-core="$1" vfio-pci="$1" && bind igb || return 1
	unwind arguments "$(bdf igb)" >/tmp/arguments."$1"
	result=$?
	unbind igb
	vfio_unload || return 1
	return $result
}

same_answers() {
	arguments c && arguments rust || return 1
	wc -l </tmp/arguments.rust | sed 's/^/# lines: /'
	[ -s /tmp/arguments.c ] && diff /tmp/arguments.c /tmp/arguments.rust
}

# in_cgroup COMMAND...: that can use the memory of $CGROUP.
in_cgroup() {
	mkdir -p /sys/fs/cgroup
	[ -e /sys/fs/cgroup/cgroup.controllers ] || mount -t cgroup2 cgroup /sys/fs/cgroup || return 4
	grep -q memory /sys/fs/cgroup/cgroup.controllers || return 4
	echo +memory >/sys/fs/cgroup/cgroup.subtree_control && mkdir $CGROUP || return 1
	"$@" || return 1
	rmdir $CGROUP
}

dirty() {
	insmod /vm/test-modules/vfio_test_emulated.ko || return 1
	in_cgroup unwind_dirty $CGROUP
	result=$?
	rmmod vfio_test_emulated || return 1
	return $result
}

ktap_begin
if [ "$(selected vfio)" = rust ]; then
	t arguments same_answers
fi
t load vfio_load
for device in igb edu-port; do
	t bind-$device bind $device
done
for section in pages limit files signals; do
	t $section unwind $section "$(bdf igb)"
done
t files-intx unwind files "$(bdf edu-port)"
t memory in_cgroup unwind memory "$(bdf igb)" $CGROUP
[ "$(selected vfio_iommu_type1)" = c ] || t dirty dirty
for device in igb edu-port; do
	t unbind-$device unbind $device
done
t unload vfio_unload
ktap_end
