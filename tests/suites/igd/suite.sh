# SPDX-License-Identifier: GPL-2.0
# The regions of Intel graphics, which vfio_fake_igd makes of edu, on the C modules and on the selected ones
# (igd_regions.c; differences that are wanted: differences.sed, and Documentation/differences.rst).

OUT=/tmp/igd
mkdir -p $OUT

# one WHICH NAME PARAMETERS...: with this OpRegion. Twice: opening it once more finds it as it was.
one() {
	output=$OUT/$1.$2
	shift 2
	insmod /vm/test-modules/vfio_fake_igd.ko "device=$(bdf edu)" "$@" || return 1
	bind edu || return 1
	for _ in 1 2; do
		timeout -s KILL 60 igd_regions "$(bdf edu)" >>"$output" 2>&1 || echo "exit status $?" >>"$output"
	done
	unbind edu
	rmmod vfio_fake_igd
}

one_set() {
	one "$1" plain &&
		one "$1" old version=0x100 vbt=0x3000 vbt_size=5000 &&
		one "$1" absolute version=0x200 vbt=0x3000 vbt_size=5000 &&
		one "$1" absolute-none version=0x200 vbt=0x3000 &&
		one "$1" relative version=0x201 vbt=0x2000 vbt_size=6144 &&
		one "$1" newer version=0x204 vbt=0x4001 vbt_size=1 &&
		one "$1" small size=4 &&
		one "$1" empty size=0 &&
		one "$1" unsigned signature=IntelGraphicsMen &&
		one "$1" absent absent=1
}

same() {
	sed -E -f /vm/suite/differences.sed "$OUT/c.$1" >/tmp/expected
	sed -E -f /vm/suite/differences.sed "$OUT/ours.$1" >/tmp/got
	wc -l </tmp/got
	cmp -s /tmp/expected /tmp/got && return
	echo "lines with - are what the C modules answer, lines with + what the selected ones answer"
	diff -U 1 /tmp/expected /tmp/got | sed 1,2d | head -40
	return 1
}

# What differs from C is checked for its own sake: whatever there is, the register shows the hardware's address.
addresses() {
	! grep -h "register is that of" $OUT/ours.* | grep -v 'yes$'
}

ktap_begin
t c-load vfio_load vfio=c vfio_iommu_type1=c vfio-pci-core=c vfio-pci=c
t c-run one_set c
t c-unload vfio_unload
t load vfio_load
t run one_set ours
t unload vfio_unload
for file in "$OUT"/c.*; do
	t "${file#"$OUT"/c.}" same "${file#"$OUT"/c.}"
done
[ "$(selected vfio-pci)" = c ] || t addresses addresses
ktap_end
