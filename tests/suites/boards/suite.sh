# SPDX-License-Identifier: GPL-2.0
# Configuration space of boards that have each capability there is (module/vfio_test_boards.c), QEMU's devices having few: every
# byte written with 0, all ones and each bit, on the C modules and on the selected ones; what the user reads and what arrives at
# the board are compared (config_conformance.c).

OUT=/tmp/boards
mkdir -p $OUT
# Six of them have each standard capability, twenty-four each extended one where it is written to.
BOARDS=$(seq 0 $((${BOARDS:-6} - 1)))

# one WHICH SEED: all boards.
one_set() {
	insmod /vm/test-modules/vfio_test_boards.ko device="$(bdf edu)" seed="$2" || return 1
	bind edu
	for board in $BOARDS; do
		address=$(printf 1000:00:%02x.0 "$board")
		bind "$address" || return 1
		timeout -s KILL 300 config_conformance -w -e "${BYTES:-448}" -n "${WRITES:-300}" "$address" >"$OUT/$1.$2.$board" 2>&1 ||
			echo "exit status $?" >>"$OUT/$1.$2.$board"
		# On the boards with PCI Express: what they tell of themselves, the completion of AtomicOps too.
		[ $((board % 4)) = 1 ] || {
			unbind "$address"
			continue
		}
		timeout -s KILL 60 vfio_transcript device "$address" >"$OUT/$1.$2.$board-device" 2>&1 &&
			echo done >>"$OUT/$1.$2.$board-device"
		unbind "$address"
	done
	unbind edu
	rmmod vfio_test_boards
}

same() {
	# What the program did not get to the end of compares nothing.
	tail -1 "$OUT/c.$1"
	[ "$(tail -1 "$OUT/c.$1")" = done ] && alike "$OUT/c.$1" "$OUT/ours.$1"
}

# The kernel knows of no interrupt controller that would keep the boards' interrupts apart.
VFIO_PARAMS_vfio_iommu_type1=allow_unsafe_interrupts=1

ktap_begin
t c-load vfio_load vfio=c vfio_iommu_type1=c vfio-pci-core=c vfio-pci=c
for seed in ${SEEDS:-1}; do
	t c-run-$seed one_set c $seed
done
t c-unload vfio_unload
t load vfio_load
for seed in ${SEEDS:-1}; do
	t run-$seed one_set ours $seed
done
t unload vfio_unload
for file in "$OUT"/c.*; do
	t "${file#"$OUT"/c.}" same "${file#"$OUT"/c.}"
done
t has-atomic-ops grep -q ' 8[23]000000 09000000 05000000 18000000' $OUT/ours.*-device
echo "# $(cat $OUT/ours.* | wc -l) lines compared, $(grep -l '^done$' $OUT/ours.* | wc -l) boards to the end"
ktap_end
