# SPDX-License-Identifier: GPL-2.0
# Writes to the configuration space of devices on the C modules and on the selected ones, and compares what is read back
# (config_conformance.c).
# CONFIG_LONG=1: every byte of it, extended configuration space too, on more devices.

OUT=/tmp/config
mkdir -p $OUT

# one WHICH DEVICE STATE OPTIONS...: the writes to one device in one state.
one() {
	output=$OUT/$1.$2-$3
	address=$(bdf "$2") || return 1
	shift 3
	timeout -s KILL 1200 config_conformance "$@" "$address" >"$output" 2>&1 || echo "exit status $?" >>"$output"
}

# Everything on one device: as it is, with its memory off, asleep.
device() {
	if [ -n "$CONFIG_LONG" ]; then
		one "$1" "$2" on
		one "$1" "$2" memory-off -m -e 256
		one "$1" "$2" asleep -d -e 256
	else
		one "$1" "$2" on -e 256 -n 300
		one "$1" "$2" memory-off -m -e 8 -n 200
		one "$1" "$2" asleep -d -e 8 -n 200
	fi
}

# The first virtual function of igb, which its host driver makes.
with_vf() {
	bind igb igb || return 1
	echo 1 >"$PCI/$(bdf igb)/sriov_numvfs" || return 1
	bind 0000:01:10.0 || return 1
	device "$1" 0000:01:10.0
	unbind 0000:01:10.0
	echo 0 >"$PCI/$(bdf igb)/sriov_numvfs"
	unbind igb
}

# one_set WHICH: everything, on the modules that are loaded.
one_set() {
	for dev in $DEVICES; do
		bind "$dev" || return 1
		device "$1" "$dev"
		unbind "$dev"
	done
	with_vf "$1"
}

same() {
	# What the program did not get to the end of compares nothing.
	tail -1 "$OUT/c.$1"
	[ "$(tail -1 "$OUT/c.$1")" = done ] && alike "$OUT/c.$1" "$OUT/ours.$1"
}

DEVICES="edu igb nvme e1000e"
[ -z "$CONFIG_LONG" ] || DEVICES="$DEVICES virtio-net virtio-blk ivshmem twin-a xhci"

ktap_begin
modprobe igb
t c-load vfio_load vfio=c vfio_iommu_type1=c vfio-pci-core=c vfio-pci=c
t c-run one_set c
t c-unload vfio_unload
t load vfio_load
t run one_set ours
t unload vfio_unload
for file in "$OUT"/c.*; do
	t "${file#"$OUT"/c.}" same "${file#"$OUT"/c.}"
done
echo "# $(cat $OUT/ours.* | wc -l) lines compared"
ktap_end
