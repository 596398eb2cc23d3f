# SPDX-License-Identifier: GPL-2.0
# What comes from outside while a device is in use: PCIe errors and hot-unplug. QEMU makes them happen
# (`monitor`), vfio_events tells what the user sees; that has to be the same on the C modules and on the selected ones.
# HOTPLUG_LONG=1: more devices. SCENES: which; "lost" needs a kernel that polls its slots.

SCENES=${SCENES:-errors unplug}
OUT=/tmp/hotplug
mkdir -p $OUT
. /vm/suite/user.sh

# The port that a device is behind.
port_of() {
	basename "$(dirname "$(readlink -f "$PCI/$(bdf "$1")")")"
}

# byte BDF OFFSET: a byte of configuration space.
byte() {
	od -An -tu1 -j "$2" -N 1 "$PCI/$1/config" | tr -d ' '
}

# put_word BDF OFFSET LOW HIGH: writes two bytes of configuration space at once.
put_word() {
	# shellcheck disable=SC2059
	printf "$(printf '\\%03o\\%03o' "$3" "$4")" | dd of="$PCI/$1/config" bs=2 seek=$(($2 / 2)) conv=notrunc 2>/dev/null
}

# received KIND...: how many error messages of these kinds the port has received.
received() {
	for kind in "$@"; do
		cat "$PCI/$bridge/aer_rootport_total_err_$kind"
	done | awk '{ n += $1 } END { print n }'
}

# recovered: how often the kernel has said how it coped with an error that is not correctable.
recovered() {
	dmesg | grep -c 'AER: device recovery'
}

# more NUMBER COMMAND...: whether it prints more than that.
more() {
	number=$1
	shift
	[ "$("$@")" -gt "$number" ]
}

# quiet BDF: whether its Device Status tells of no error (the kernel clears that last).
quiet() {
	at=$(byte "$1" 52)
	while [ "$(byte "$1" "$at")" != 16 ]; do
		[ "$at" -ge 64 ] && [ "$at" -lt 255 ] || return 1
		at=$(byte "$1" $((at + 1)))
	done
	[ $(($(byte "$1" $((at + 10))) & 7)) = 0 ]
}

# inject ID ERROR: what the error does, once the kernel is done with it.
inject() {
	echo "--- $2 of $1"
	all=$(received cor nonfatal fatal) uncorrectable=$(received nonfatal fatal) recoveries=$(recovered)
	monitor pcie_aer_inject_error "$1" "$2" | grep -v '^OK'
	within 60 more "$all" received cor nonfatal fatal
	if more $uncorrectable received nonfatal fatal; then
		within 60 more "$recoveries" recovered
	elif [ "$1" = "$port" ]; then
		within 60 quiet "$bridge"
	else
		within 60 quiet "$(bdf "$1")"
	fi
	ask state
} >>"$log" 2>&1

# QEMU refuses as long as it has not removed the old one, which is some time after the kernel. The old one took its
# drive with it.
plug() {
	case $1 in
	nvme)
		monitor drive_add 0 if=none,id=disk0,file=null-co://,format=raw,file.read-zeroes=on >/dev/null
		[ -z "$(monitor device_add "nvme,serial=vfio,drive=disk0,bus=$port,id=nvme")" ]
		;;
	virtio-net) [ -z "$(monitor device_add "virtio-net-pci,iommu_platform=on,disable-legacy=on,aer=on,bus=$port,id=virtio-net")" ] ;;
	*) [ -z "$(monitor device_add "$1,bus=$port,id=$1")" ] ;;
	esac
}

# renew DEVICE: takes it out and plugs it in, so that it remembers nothing.
renew() {
	monitor device_del "$1"
	within 60 absent "$PCI/$(bdf "$1")" && within 60 plug "$1" && within 60 [ -e "$PCI/$(bdf "$1")" ]
}

# errors DEVICE: correctable, non-fatal and fatal errors, of the device and of its port. (QEMU's igb, e1000e and nvme cannot be told
# to report theirs.)
errors() {
	bridge=$(port_of "$1")
	renew "$1" >>"$log" 2>&1 || return 1
	# The port passes errors on if the firmware has set SERR Enable in its Bridge Control; QEMU's does not.
	put_word "$bridge" 62 $(($(byte "$bridge" 62) | 2)) 0
	bind "$1" && use "$1" || return 1
	{
		ask state
		inject "$1" RCVR
		inject "$1" POISON_TLP
		told "event ERR" || echo "FAILED: nothing is told"
		inject "$1" COMP_TIME
		inject "$1" DLP
		ask reset
		ask state
		# The link was reset, and the device has forgotten that it may report errors.
		finish
		use "$1"
		inject "$1" MALF_TLP
		told "event ERR" || echo "FAILED: nothing is told"
		inject "$port" BAD_TLP
		inject "$port" POISON_TLP
		inject "$port" DLP
		finish
	} >>"$log" 2>&1
	unbind "$1"
}

# again DEVICE: plugs it in again, and uses it.
again() {
	within 60 plug "$1" && within 60 [ -e "$PCI/$(bdf "$1")" ] && bind "$1" && use "$1" && ask state && finish && unbind "$1"
}

# unplug DEVICE: the device is asked back, and goes when the user has closed it.
unplug() {
	bind "$1" && use "$1" || return 1
	{
		ask state
		monitor device_del "$1"
		within 60 told "event REQ"
		ask state
		finish
		within 60 absent "$PCI/$(bdf "$1")" && echo gone
	} >>"$log" 2>&1
	again "$1" >>"$log" 2>&1
}

# off SLOT: whether it has no power.
off() {
	[ "$(cat "$1/power")" = 0 ]
}

# lost DEVICE: it is gone while it is in use. The kernel notices, and wants it back.
lost() {
	dev=$(bdf "$1")
	slot=$(dirname "$(grep -l "^${dev%.*}$" /sys/bus/pci/slots/*/address)")
	bind "$1" && use "$1" || return 1
	{
		ask state
		vfio_events pull "$(port_of "$1")"
		within 60 told "event REQ"
		ask state
		ask reset
		ask state
		finish
		within 60 absent "$PCI/$(bdf "$1")" && echo gone
		# The kernel waits for a second when it has switched the slot off; what comes meanwhile confuses it.
		within 60 off "$slot" && sleep 4
	} >>"$log" 2>&1
	again "$1" >>"$log" 2>&1
}

# scene WHICH DEVICE PORT SCENE: one, on the modules that are loaded.
scene() {
	log=$OUT/$1.$2-$4 port=$3
	"$4" "$2" && ! grep -q FAILED "$log" && return
	cat "$log"
	return 1
}

# one_set WHICH: everything.
one_set() {
	for what in $SCENES; do
		[ $what != errors ] || {
			t "$1-virtio-net-errors" scene "$1" virtio-net rp4 errors
			continue
		}
		t "$1-igb-$what" scene "$1" igb rp1 $what
		[ -n "$HOTPLUG_LONG" ] || continue
		t "$1-e1000e-$what" scene "$1" e1000e rp2 $what
		t "$1-nvme-$what" scene "$1" nvme rp3 $what
	done
}

ktap_begin
t c-load vfio_load vfio=c vfio_iommu_type1=c vfio-pci-core=c vfio-pci=c
one_set c
t c-unload vfio_unload
t load vfio_load
one_set ours
t unload vfio_unload
for file in "$OUT"/c.*; do
	t "${file#"$OUT"/c.}" same "${file#"$OUT"/c.}"
done
ktap_end
