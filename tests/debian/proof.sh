#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Runs at boot in the Debian that tests/debian/run makes: proof.sh ours|c. Prints results as TAP to the second serial line.
which=$1
exec >/dev/ttyS1 2>&1
release=$(uname -r)
project=/root/project
number=0 failed=0

# t NAME COMMAND...: one result.
t() {
	local name=$1
	shift
	number=$((number + 1))
	echo "    # $which-$name: $*"
	if "$@" > >(sed 's/^/    /') 2>&1; then
		echo "ok $number $which-$name"
	else
		echo "not ok $number $which-$name"
		failed=1
	fi
	sleep 0.2
}

is() {
	echo "$1"
	[ "$1" = "$2" ] || { echo "expected: $2" && false; }
}

# The file that modprobe takes is that of DKMS, or the kernel's own.
taken() {
	local module file
	for module in vfio vfio_iommu_type1 vfio_pci_core vfio_pci; do
		file=$(modinfo -n "$module")
		echo "$file"
		case $which:$file in
		ours:/lib/modules/$release/updates/dkms/*) ;;
		installed:/lib/modules/$release/updates/vfio/*) ;;
		c:/lib/modules/$release/kernel/drivers/vfio/*) ;;
		*) return 1 ;;
		esac
	done
}

# Nothing is loaded yet; then what is in memory is what modprobe took.
loaded() {
	[ ! -d /sys/module/vfio ] || return 1
	modprobe vfio-pci && modprobe vfio_iommu_type1 || return 1
	local module
	for module in vfio vfio_iommu_type1 vfio_pci_core vfio_pci; do
		echo "$module: $(cat "/sys/module/$module/taint")"
		case $which:$(cat "/sys/module/$module/taint") in
		ours:*O* | installed:*O*) ;;
		c:) ;;
		*) return 1 ;;
		esac
	done
}

driver_is() {
	is "$(basename "$(readlink "/sys/bus/pci/devices/$1/driver")")" "$2"
}

# What udev made of a device: numbers that come and go are left out.
nodes() {
	udevadm settle
	local node
	for node in /dev/vfio/*; do
		stat -c '%n %A %U %G' "$node"
		udevadm info -q property -n "$node" | grep -vE '^(MINOR|MAJOR|USEC_INITIALIZED)='
	done
}

# The events of binding and unbinding a device.
events() {
	udevadm monitor --udev --property --subsystem-match=vfio --subsystem-match=vfio-dev --subsystem-match=pci >/tmp/monitor &
	local monitor=$!
	sleep 2
	driverctl set-override 0000:00:02.0 vfio-pci
	udevadm settle
	nodes
	driverctl unset-override 0000:00:02.0
	udevadm settle
	sleep 2
	kill $monitor
	# An event is a paragraph. Those of different devices come in any order.
	sed -E 's/^UDEV *\[[0-9.]*\]/UDEV/' /tmp/monitor | grep -vE '^(SEQNUM|USEC_INITIALIZED|MAJOR|MINOR)=' |
		awk 'BEGIN { RS = ""; FS = "\n"; OFS = "|" } { $1 = $1; print }' | sort | tr '|' '\n'
}

bound_by_driverctl() {
	driverctl set-override 0000:00:02.0 vfio-pci && driver_is 0000:00:02.0 vfio-pci && driverctl list-overrides | grep -F 0000:00:02.0
}

bound_by_devbind() {
	dpdk-devbind.py -b vfio-pci 0000:01:00.0 && driver_is 0000:01:00.0 vfio-pci &&
		dpdk-devbind.py --status-dev net | sed -n '/DPDK-compatible/,/^$/p' | grep -F 0000:01:00.0
}

# QEMU opens the device and maps the guest's memory; its monitor shows the device in the guest.
opened_by_qemu() {
	local tries
	{
		for tries in {1..100}; do
			sleep 2
			ls -l /proc/[0-9]*/fd >/tmp/files 2>/dev/null
			! grep -qF 'anon_inode:[vfio-device]' /tmp/files || break
		done
		# The device is there before the guest has it.
		sleep 5
		echo "info pci"
		echo quit
	} | timeout 300 qemu-system-x86_64 -accel tcg -M q35 -m 64 -nodefaults -display none -monitor stdio \
		-device vfio-pci,host=0000:00:02.0,rombar=0 -S >/tmp/qemu 2>&1
	grep -a 'QEMU\|vfio\|1234:11e8' /tmp/qemu
	grep -F vfio /tmp/files
	grep -aq '1234:11e8' /tmp/qemu && grep -qF 'anon_inode:[vfio-device]' /tmp/files
}

given_back() {
	driverctl unset-override 0000:00:02.0
	dpdk-devbind.py -b igb 0000:01:00.0 && driver_is 0000:01:00.0 igb
}

unloaded() {
	modprobe -r vfio-pci vfio_iommu_type1 vfio && [ ! -d /sys/module/vfio ] && [ ! -e /sys/bus/pci/drivers/vfio-pci ]
}

removed() {
	dpkg -r vfio-rs-dkms && [ ! -e "/lib/modules/$release/updates/dkms/vfio.ko" ] && [ ! -e "/lib/modules/$release/updates/dkms/vfio.ko.xz" ]
}

clean_log() {
	! dmesg | grep -E 'WARNING:|BUG:|Oops|Call Trace|DMAR:.*fault'
}

same() {
	diff -U 2 /root/events.c /root/events.ours
}

# scripts/install COMMAND... fails, and says this.
refused() {
	local said=$1
	shift
	"$@" >/tmp/said 2>&1 && return 1
	cat /tmp/said
	grep -qF "$said" /tmp/said && [ ! -e "/lib/modules/$release/updates/vfio" ]
}

# What it cannot install it says, and it leaves nothing behind.
install_refuses() {
	refused "there is no module vfio_foo" bash "$project/scripts/install" install vfio_foo &&
		refused "is built for $release, not for 7.3.99" env KVER=7.3.99 bash "$project/scripts/install" install &&
		refused "kernel 7.3.99+deb13-amd64 is not installed here" bash "$project/scripts/for-kernel" 7.3.99+deb13-amd64 true &&
		refused "kernel 6.12.1-amd64 is not supported" bash "$project/scripts/for-kernel" 6.12.1-amd64 true
}

install_some() {
	bash "$project/scripts/install" install vfio_iommu_type1 vfio-pci || return 1
	local module file
	for module in vfio vfio_iommu_type1 vfio_pci_core vfio_pci; do
		file=$(modinfo -n "$module")
		case $module:$file in
		vfio:*/kernel/* | vfio_pci_core:*/kernel/*) ;;
		vfio_iommu_type1:*/updates/vfio/* | vfio_pci:*/updates/vfio/*) ;;
		*) return 1 ;;
		esac
	done
	modprobe vfio-pci && modprobe vfio_iommu_type1 && driverctl set-override 0000:00:02.0 vfio-pci &&
		driver_is 0000:00:02.0 vfio-pci && driverctl unset-override 0000:00:02.0 && unloaded
}

# Who uses what is in memory is said.
in_use() {
	sleep 300 9<>/dev/vfio/vfio &
	local holder=$! status=0
	sleep 1
	bash "$project/scripts/install" install >/tmp/said 2>&1 || status=1
	kill $holder
	cat /tmp/said
	grep -q "in use by sleep ($holder)" /tmp/said && return $status
}

install_all() {
	bash "$project/scripts/install" install
}

# udev is not done with what it found at boot.
udevadm settle
[ "$which" != ours ] || t dkms dkms status
t taken taken
t loaded loaded
events >"/root/events.$which" 2>&1
t events grep -c . "/root/events.$which"
t driverctl bound_by_driverctl
t dpdk-devbind bound_by_devbind
t qemu opened_by_qemu
t given-back given_back
t unloaded unloaded
t log clean_log
if [ "$which" = ours ]; then
	t removed removed
else
	t nodes-and-events-are-the-same same
	# What `make install` and `make uninstall` do, without a boot in between. The modules that ran meanwhile are the C ones.
	t install-refuses install_refuses
	t install-some install_some
	which=installed
	t install install_all
	t taken taken
	t loaded loaded
	t driverctl bound_by_driverctl
	t in-use in_use
	t given-back driverctl unset-override 0000:00:02.0
	t unloaded unloaded
	t uninstall bash "$project/scripts/install" uninstall
	which=c
	t back taken
	t back-loaded loaded
	t back-log clean_log
fi
echo "1..$number"
echo "end $failed"
sync
systemctl poweroff
