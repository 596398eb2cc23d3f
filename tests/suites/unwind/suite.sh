# SPDX-License-Identifier: GPL-2.0
# What fails half-way is unwound: pages that cannot be pinned, limits, arguments where memory ends, full tables of file
# descriptors, signals and kills, a cgroup without memory (unwind.c). The answers to arguments are those of the C modules.

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

no_memory() {
	mkdir -p /sys/fs/cgroup
	mount -t cgroup2 cgroup /sys/fs/cgroup || return 4
	grep -q memory /sys/fs/cgroup/cgroup.controllers || return 4
	echo +memory >/sys/fs/cgroup/cgroup.subtree_control && mkdir $CGROUP || return 1
	unwind memory "$(bdf igb)" $CGROUP || return 1
	rmdir $CGROUP
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
t memory no_memory
for device in igb edu-port; do
	t unbind-$device unbind $device
done
t unload vfio_unload
ktap_end
