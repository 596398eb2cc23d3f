# SPDX-License-Identifier: GPL-2.0
# An ordinary user who was given two groups attacks the host (the programs of this folder). What he is answered, and what reaches the
# device, is the same as on the C modules; what must not be is checked on ours. ATTACK: `lost` for a device that is pulled out, which
# needs a kernel that polls its slots; else all the others.

OUT=/tmp/attack
CGROUP=/sys/fs/cgroup/attack
# Asked of the C modules too, or of ours only: what C does then is undefined, or not what it should be.
BOTH="config-igb config-edu bars asleep interrupts intx storm storm-edu unmapped later message table peer dma-asleep counts limits charged
	unbind remove leave"
OURS="fields-memory fields-device fields-vectors fields-logging fields-migration exhaust"
[ "$ATTACK" != lost ] || { BOTH=lost OURS=; }
mkdir -p $OUT

# attempt NAME PROGRAM CASE DEVICE DEVICE...: what is answered goes to a file; what is wrong, and what stays pinned, shows.
attempt() {
	output=$OUT/$1.$which program=$2 case=$3
	devices="$(bdf "$4") $(bdf "$5")"
	shift 5
	# shellcheck disable=SC2086
	timeout -s KILL 600 $program $case $devices "$@" >"$output" 2>"$output.wrong" || echo "exit status $?" >>"$output.wrong"
	[ "$(pins)" = 0 ] || echo "WRONG: $(pins) pages stay pinned" >>"$output.wrong"
}

# removal HOW: a device of a port is taken away while the user has it, and given back.
removal() {
	port=$(basename "$(readlink -f "$PCI/$(bdf e1000e)/..")")
	attempt "$1" attack_removed "$1" e1000e igb "$which"
	[ -e "$PCI/$(bdf e1000e)" ] || echo 1 >"$PCI/$port/rescan"
	[ -e "$PCI/$(bdf e1000e)" ] && bind e1000e
}

# off SLOT: whether it has no power.
off() {
	[ "$(cat "$1/power")" = 0 ]
}

plug() {
	[ -z "$(monitor device_add e1000e,bus=rp2,id=e1000e)" ]
}

# pulled: the same device is pulled out at once, and another put in.
pulled() {
	. /vm/suite/user.sh
	dev=$(bdf e1000e)
	slot=$(dirname "$(grep -l "^${dev%.*}$" /sys/bus/pci/slots/*/address)")
	attempt lost attack_removed lost e1000e igb "$which"
	# The kernel waits for a second when it has switched the slot off; what comes meanwhile confuses it.
	within 60 off "$slot" && sleep 4
	within 60 plug && within 60 [ -e "$PCI/$dev" ] && bind e1000e
}

# migrating: the sample mtty logs DMA, and can be migrated.
migrating() {
	mdev=83b8f4f2-509f-382f-3c1e-e6bfe0faa77a
	modprobe mdev && insmod /vm/test-modules/mtty.ko || return 1
	echo $mdev >/sys/class/mdev_bus/mtty/mdev_supported_types/mtty-2/create
	for case in logging migration; do
		output=$OUT/fields-$case.$which
		timeout -s KILL 600 attack_fields $case $mdev "$(bdf edu)" >"$output" 2>"$output.wrong" ||
			echo "exit status $?" >>"$output.wrong"
	done
	echo 1 >/sys/bus/mdev/devices/$mdev/remove
	rmmod mtty mdev
}

# one NAME: an attack.
one() {
	case $1 in
	config-*) attempt "$1" attack config "${1#config-}" ivshmem ;;
	bars | intx | storm) attempt "$1" attack "$1" edu-port igb ;;
	asleep | interrupts) attempt "$1" attack "$1" igb edu ;;
	# With a reset when it is closed, and without.
	storm-edu) attempt "$1" attack storm edu igb ;;
	unmapped | message | peer) attempt "$1" attack_dma "$1" edu-port edu ;;
	later) attempt "$1" attack_dma later edu igb ;;
	table) attempt "$1" attack_dma table igb edu ;;
	dma-asleep) attempt "$1" attack_dma asleep nvme edu ;;
	counts) attempt "$1" attack_counts counts igb edu ;;
	limits) attempt "$1" attack_memory limits igb edu ;;
	charged) attempt "$1" attack_memory charged igb nvme $CGROUP ;;
	exhaust) attempt "$1" attack_memory exhaust igb edu $CGROUP ;;
	# With the one before.
	fields-migration) ;;
	fields-logging) migrating ;;
	fields-*) attempt "$1" attack_fields "${1#fields-}" igb edu ;;
	leave) attempt "$1" attack_removed leave edu igb ;;
	unbind | remove) removal "$1" ;;
	lost) pulled ;;
	esac
}

# has NAME: whether the kernel has what that needs.
has() {
	case $1 in
	charged | exhaust) [ -d $CGROUP ] ;;
	esac
}

# all WHICH NAME...: all of these, on the modules that are loaded.
all() {
	which=$1
	shift
	chmod 666 /dev/vfio/vfio
	for dev in $DEVICES; do
		bind $dev || return 1
	done
	for name in "$@"; do
		! has "$name" || one "$name" || return 1
	done
	for dev in $DEVICES; do
		unbind $dev
	done
}

on_c() {
	# shellcheck disable=SC2086
	vfio_load vfio=c vfio_iommu_type1=c vfio-pci-core=c vfio-pci=c && all c $BOTH && vfio_unload
}

on_ours() {
	# shellcheck disable=SC2086
	vfio_load && all ours $BOTH $OURS && vfio_unload
}

# right NAME: what must hold on ours does.
right() {
	cat $OUT/"$1".ours.wrong
	[ -s $OUT/"$1".ours ] || { echo "there are no answers" && return 1; }
	! grep -q 'WRONG\|FATAL\|exit status' $OUT/"$1".ours.wrong
}

# held NAME: and the answers are those of the C modules.
held() {
	sed 's/^/# on C: /' $OUT/"$1".c.wrong
	right "$1" || return 1
	wc -l <$OUT/"$1".ours | sed 's/^/# lines: /'
	# What is not as it was before is told behind a #, and wrong on ours.
	for set in c ours; do
		grep -v '^#' $OUT/"$1".$set >/tmp/held.$set || return 1
	done
	diff /tmp/held.c /tmp/held.ours >/tmp/diff && return
	head -60 /tmp/diff
	return 1
}

# as_charged: at least half of what is charged with the C modules is with ours; their notes need not have the same size.
as_charged() {
	awk '/^figure / && FNR == NR { c[$2] = $3 }
		/^figure / && FNR != NR { n++; print "# kB of " $2 ": " c[$2] " on C, " $3; if (2 * $3 < c[$2]) { print "WRONG: too little"; bad = 1 } }
		END { exit bad || !n }' $OUT/charged.c.wrong $OUT/charged.ours.wrong
}

if [ "$ATTACK" = lost ]; then
	DEVICES="igb e1000e"
else
	DEVICES="igb edu edu-port e1000e ivshmem nvme"
	mkdir -p /sys/fs/cgroup
	if mount -t cgroup2 cgroup /sys/fs/cgroup && grep -q memory /sys/fs/cgroup/cgroup.controllers; then
		echo +memory >/sys/fs/cgroup/cgroup.subtree_control
		mkdir $CGROUP
	fi
fi

ktap_begin
t c on_c
t ours on_ours
for name in $BOTH $OURS; do
	if ! has $name; then
		skip $name "the kernel has no memory cgroup"
	elif [ -e $OUT/$name.c ]; then
		t $name held $name
	else
		t $name right $name
	fi
	[ $name != charged ] || ! has charged || t as-charged as_charged
done
ktap_end
