# SPDX-License-Identifier: GPL-2.0
# VGA memory and ports, ROMs, BARs of I/O ports, on the C modules and on the selected ones (legacy_regions.c).

OUT=/tmp/vga
mkdir -p $OUT

one() {
	bind "$2" || return 1
	timeout -s KILL 100 legacy_regions "$(bdf "$2")" >"$OUT/$1.$3" 2>&1 || echo "exit status $?" >>"$OUT/$1.$3"
	unbind "$2"
}

# one_set WHICH: everything, on the modules that are loaded.
one_set() {
	one "$1" vga vga && one "$1" e1000e network
}

same() {
	tail -1 "$OUT/ours.$1"
	[ "$(tail -1 "$OUT/c.$1")" = done ] && alike "$OUT/c.$1" "$OUT/ours.$1"
}

# Both would answer the same if the region were not there at all.
has_vga() {
	grep -q '^region 8: size c0000 flags 3$' "$OUT/ours.$1"
}

hidden() {
	! has_vga "$1" && grep -q '^region 8: EINVAL$' "$OUT/ours.$1"
}

# The kernel's console on the framebuffer that the firmware has left (vga=0x317) goes when the adapter is given away.
framebuffer() {
	ls /sys/class/graphics
	[ -e /sys/class/graphics/fb0 ] && bind vga || return 1
	ls /sys/class/graphics
	unbind vga
	[ ! -e /sys/class/graphics/fb0 ]
}

ktap_begin
# Only once: it does not come back.
t load-first vfio_load
if [ -e /sys/class/graphics ]; then
	t framebuffer framebuffer
else
	skip framebuffer "this kernel has no framebuffers"
fi
t unload-first vfio_unload
t c-load vfio_load vfio=c vfio_iommu_type1=c vfio-pci-core=c vfio-pci=c
t c-run one_set c
t c-unload vfio_unload
VFIO_PARAMS_vfio_pci=disable_vga=1
t c-load-disabled vfio_load vfio=c vfio_iommu_type1=c vfio-pci-core=c vfio-pci=c
t c-run-disabled one c vga disabled
t c-unload-disabled vfio_unload
t load-disabled vfio_load
t run-disabled one ours vga disabled
t unload-disabled vfio_unload
VFIO_PARAMS_vfio_pci=
t load vfio_load
t run one_set ours
t unload vfio_unload
t has-vga has_vga vga
t hidden hidden disabled
for file in "$OUT"/c.*; do
	t "${file#"$OUT"/c.}" same "${file#"$OUT"/c.}"
done
ktap_end
