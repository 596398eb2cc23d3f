# SPDX-License-Identifier: GPL-2.0
# Emulated devices: the kernel's samples/vfio-mdev and our vfio_test_emulated.ko, on the C modules and on the selected
# ones; then on our vfio.ko above the C type1 and the other way round. The answers have to be those of the C modules.

OUT=/tmp/transcripts
mkdir -p $OUT
MDEV_SECTIONS="types serial features arcs streams display bochs removal"
DMA_SECTIONS="pins rw kinds accounting dirty mixed processes opening leaving"

# one SET NAME COMMAND...: what a command prints, as part of a set.
one() {
	output=$OUT/$1.$2
	shift 2
	timeout -s KILL 100 "$@" >"$output" 2>&1 || echo "exit status $?" >>"$output"
}

samples() {
	for sample in mtty mdpy mbochs; do
		"$1" /vm/test-modules/$sample.ko || return 1
	done
}

# one_set SET [MODULE=rust|c]...: everything on these modules.
one_set() {
	set_name=$1
	shift
	vfio_load "$@" && bind edu && bind igb && modprobe mdev && samples insmod || return 1
	insmod /vm/test-modules/vfio_test_emulated.ko || return 1
	for section in $MDEV_SECTIONS; do
		one "$set_name" mdev-"$section" vfio_mdev "$section"
	done
	for section in $DMA_SECTIONS; do
		one "$set_name" dma-"$section" emulated_dma "$section" "$(bdf edu)"
	done
	emulated=$(basename "$(readlink /sys/bus/platform/devices/vfio-test-emulated.0/iommu_group)")
	for seed in 1 2 3; do
		one "$set_name" random-$seed emulated_random "$emulated" vfio-test-emulated.0 1000 $seed
		one "$set_name" random-with-iommu-$seed emulated_random "$emulated" vfio-test-emulated.0 1000 $seed \
			"$(group edu)" "$(group igb)"
	done
	unbind edu
	unbind igb
	# A parent that goes takes its devices along.
	echo 83b8f4f2-509f-382f-3c1e-e6bfe0fa1234 >/sys/class/mdev_bus/mtty/mdev_supported_types/mtty-1/create
	rmmod vfio_test_emulated && samples rmmod && rmmod mdev && vfio_unload || return 1
	[ ! -e /sys/bus/mdev ] && [ ! -e /dev/vfio ]
}

# Where lockdep watches the C type1 is left out. It registers a device with its lock held around that of its list of devices, and
# calls a device with that of the list held, which then unpins pages: lockdep reports that, once, and looks at nothing afterwards.
watched() {
	[ -e /proc/lockdep_stats ]
}

# same SET NAME: what this set answered is what the C modules answer, if they were asked, and nothing that is wrong anyhow.
same() {
	bad=0
	[ -e $OUT/"$1"."$2" ] || return 1
	if ! watched && ! cmp -s $OUT/c."$2" $OUT/"$1"."$2"; then
		bad=1
		echo "lines with - are what the C modules answer"
		diff -U 2 $OUT/c."$2" $OUT/"$1"."$2" | sed 1,2d | head -60
	fi
	! grep -E '^(FAILED|FATAL|exit status)|ended with status' $OUT/"$1"."$2" && return $bad
}

# Threads create, use and remove devices, pin, map and unmap, on the selected modules.
stress() {
	# What the C type1 does not survive: see emulated_race.c.
	how=parallel
	[ "$(selected vfio_iommu_type1)" = rust ] || how=
	vfio_load && bind edu && modprobe mdev && samples insmod || return 1
	insmod /vm/test-modules/vfio_test_emulated.ko || return 1
	emulated_race "${EMULATED_SECONDS:-10}" "$(bdf edu)" $how
	result=$?
	unbind edu
	rmmod vfio_test_emulated && samples rmmod && rmmod mdev && vfio_unload || return 1
	return $result
}

ktap_begin
C="vfio=c vfio_iommu_type1=c vfio-pci-core=c vfio-pci=c"
sets=ours
if watched; then
	skip run-c "lockdep reports the locks of the C type1, and looks at nothing afterwards"
else
	# shellcheck disable=SC2086
	t run-c one_set c $C
fi
t run-ours one_set ours
if [ "$(selected vfio)$(selected vfio_iommu_type1)" = rustrust ]; then
	t run-type1-alone one_set type1-alone vfio=c
	sets="ours type1-alone"
	if ! watched; then
		t run-vfio-alone one_set vfio-alone vfio_iommu_type1=c
		sets="$sets vfio-alone"
	fi
fi
t stress stress
t nothing-pinned nothing_pinned
for set in $sets; do
	for file in "$OUT/$set".*; do
		t "$set-${file#"$OUT/$set".}" same "$set" "${file#"$OUT/$set".}"
	done
done
echo "# $(cat $OUT/ours.* | wc -l) answers in each set"
ktap_end
