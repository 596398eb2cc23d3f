# SPDX-License-Identifier: GPL-2.0
# An ordinary user who was given two groups attacks the host (attack.c, attack_limits.c). What he is answered, and what reaches the
# device, is the same as on the C modules; what must not be is checked on ours.

OUT=/tmp/attack
CGROUP=/sys/fs/cgroup/attack
mkdir -p $OUT

# attempt WHICH NAME PROGRAM CASE ARGUMENTS...: what is answered goes to a file, what is wrong shows.
attempt() {
	output=$OUT/$2.$1
	shift 2
	timeout -s KILL 300 "$@" >"$output" 2>"$output.wrong" || echo "exit status $?" >>"$output.wrong"
}

# removed WHICH: a device of a port is removed while the user has it, and found again.
removed() {
	port=$(basename "$(readlink -f "$PCI/$(bdf e1000e)/..")")
	attempt "$1" removed attack_limits removed "$(bdf e1000e)" "$(bdf edu)"
	[ -e "$PCI/$(bdf e1000e)" ] || echo 1 >"$PCI/$port/rescan"
	[ -e "$PCI/$(bdf e1000e)" ]
}

charged() {
	attempt "$1" charged attack_limits charged "$(bdf igb)" "$(bdf edu)" $CGROUP
}

# one_set WHICH: all attempts on these modules.
one_set() {
	chmod 666 /dev/vfio/vfio
	for dev in igb edu edu-port e1000e ivshmem; do
		bind $dev || return 1
	done
	for dev in igb edu; do
		attempt "$1" config-$dev attack config "$(bdf $dev)" "$(bdf ivshmem)"
	done
	attempt "$1" bars attack bars "$(bdf edu-port)" "$(bdf igb)"
	attempt "$1" asleep attack asleep "$(bdf igb)" "$(bdf edu)"
	attempt "$1" interrupts attack interrupts "$(bdf igb)" "$(bdf edu)"
	attempt "$1" intx attack intx "$(bdf edu-port)" "$(bdf igb)"
	# With a reset when it is closed, and without.
	attempt "$1" storm attack storm "$(bdf edu-port)" "$(bdf igb)"
	attempt "$1" storm-edu attack storm "$(bdf edu)" "$(bdf igb)"
	attempt "$1" counts attack_limits counts "$(bdf igb)" "$(bdf edu)"
	attempt "$1" limits attack_limits limits "$(bdf igb)" "$(bdf edu)"
	[ ! -d $CGROUP ] || charged "$1"
	removed "$1" || return 1
	for dev in igb edu edu-port e1000e ivshmem; do
		unbind $dev
	done
}

on_c() {
	vfio_load vfio=c vfio_iommu_type1=c vfio-pci-core=c vfio-pci=c && one_set c && vfio_unload
}

on_ours() {
	vfio_load && one_set ours && vfio_unload
}

# held NAME: what must hold on ours does, and the answers are those of the C modules.
held() {
	sed 's/^/# on C: /' $OUT/"$1".c.wrong
	cat $OUT/"$1".ours.wrong
	! grep -q 'WRONG\|FATAL\|exit status' $OUT/"$1".ours.wrong || return 1
	wc -l <$OUT/"$1".ours | sed 's/^/# lines: /'
	[ -s $OUT/"$1".c ] && diff $OUT/"$1".c $OUT/"$1".ours >/tmp/diff && return
	head -60 /tmp/diff
	return 1
}

mkdir -p /sys/fs/cgroup
if mount -t cgroup2 cgroup /sys/fs/cgroup && grep -q memory /sys/fs/cgroup/cgroup.controllers; then
	echo +memory >/sys/fs/cgroup/cgroup.subtree_control
	mkdir $CGROUP
	counted=yes
fi

ktap_begin
t c on_c
t ours on_ours
for name in config-igb config-edu bars asleep interrupts intx storm storm-edu counts limits charged removed; do
	if [ $name = charged ] && [ -z "$counted" ]; then
		skip charged "the kernel has no memory cgroup"
	else
		t $name held $name
	fi
done
ktap_end
