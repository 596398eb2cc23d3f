# SPDX-License-Identifier: GPL-2.0
# The regions of Intel graphics, which vfio_fake_igd makes of edu, on the C modules and on the selected ones
# (igd_regions.c; differences that are wanted: differences.sed, and Documentation/differences.rst). With other IDs edu is
# one of the devices that vfio-pci does not take unless it is told to.

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
		one "$1" absent absent=1 &&
		# The firmware itself is as good as a copy of a ROM.
		one "$1" rom absent=1 rom=0xfffe0000 rom_size=100000 &&
		one "$1" rom-small absent=1 rom=0xfffff000 rom_size=7 &&
		# XL710 and X550, whose INTx is not used.
		one "$1" broken-intx absent=1 id=0x1572 &&
		one "$1" broken-intx-2 absent=1 id=0x1563
}

# denied WHICH NAME: which devices are taken, those on the list and their neighbours, and what is said of it.
denied() {
	said=$(dmesg | grep -c denylist)
	for id in 0434 0435 0443 0b24 0b25 0b26 0cfe 19e2 19e3 37c8 37c9 37ca; do
		insmod /vm/test-modules/vfio_fake_igd.ko "device=$(bdf edu)" absent=1 id=0x$id || return 1
		bind edu >/dev/null 2>&1
		echo "8086:$id: $(driver_of edu)" >>"$OUT/$1.$2"
		unbind edu
		rmmod vfio_fake_igd
	done
	dmesg | grep denylist | tail -n +$((said + 1)) | sed 's/^\[[^]]*\] //' >>"$OUT/$1.$2"
}

same() {
	alike "$OUT/c.$1" "$OUT/ours.$1"
}

# What differs from C is checked for its own sake: whatever there is, the register shows the hardware's address.
addresses() {
	! grep -h "register is that of" $OUT/ours.* | grep -v 'yes$'
}

ktap_begin
t c-load vfio_load vfio=c vfio_iommu_type1=c vfio-pci-core=c vfio-pci=c
t c-run one_set c
t c-denied denied c denied
t c-unload vfio_unload
t load vfio_load
t run one_set ours
t denied denied ours denied
t unload vfio_unload
VFIO_PARAMS_vfio_pci=disable_denylist=1
t c-load-allowed vfio_load vfio=c vfio_iommu_type1=c vfio-pci-core=c vfio-pci=c
t c-allowed denied c allowed
t c-unload-allowed vfio_unload
t load-allowed vfio_load
t allowed denied ours allowed
t unload-allowed vfio_unload
for file in "$OUT"/c.*; do
	t "${file#"$OUT"/c.}" same "${file#"$OUT"/c.}"
done
t list-is-looked-at grep -q ": $" $OUT/ours.denied
t has-rom grep -q "^ROM: size 20000 flags 1" $OUT/ours.rom
t keeps-intx-off grep -q "interrupt 0: count 0" $OUT/ours.broken-intx
t list-is-disabled sh -c "! grep -q ': $' $OUT/ours.allowed"
[ "$(selected vfio-pci)" = c ] || t addresses addresses
ktap_end
