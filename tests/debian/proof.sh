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

# If DKMS cannot take the modules away, the package stays, and dpkg says so.
not_removed() {
	printf '#!/bin/sh\n[ "$1" != status ] || exec /usr/sbin/dkms "$@"\nexit 1\n' >/usr/local/sbin/dkms
	chmod +x /usr/local/sbin/dkms
	local status=0
	! dpkg --no-triggers -r vfio-rs-dkms || status=1
	rm /usr/local/sbin/dkms
	is "$(dpkg-query -W -f '${db:Status-Status}' vfio-rs-dkms)" installed && return $status
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

# The package's modules are in updates/dkms.
beside_dkms() {
	refused "the package vfio-rs-dkms is installed" bash "$project/scripts/install" install
}

# setarch_arm64 COMMAND...: on a host that calls itself arm64
setarch_arm64() {
	mkdir -p /tmp/arm64
	printf '#!/bin/sh\n[ "$*" != -m ] || { echo aarch64; exit; }\nexec /usr/bin/uname "$@"\n' >/tmp/arm64/uname
	chmod +x /tmp/arm64/uname
	PATH=/tmp/arm64:$PATH "$@"
}

# staged_link COMMAND...: for a staged tree that leads back to this host
staged_link() {
	mkdir -p /tmp/staged
	ln -sfn /usr/lib /tmp/staged/lib
	DESTDIR=/tmp/staged KVER=$release "$@"
}

# What it cannot install it says, and it leaves nothing behind.
install_refuses() {
	refused "there is no module vfio_foo" bash "$project/scripts/install" install vfio_foo &&
		refused "outside of DESTDIR=/tmp/staged" staged_link bash "$project/scripts/install" install &&
		refused "is built for $release, not for 7.3.99" env KVER=7.3.99 bash "$project/scripts/install" install &&
		refused "kernel 7.3.99+deb13-amd64 is not installed here" bash "$project/scripts/for-kernel" 7.3.99+deb13-amd64 true &&
		refused "kernel $release is not for ARCH=arm64" env ARCH=arm64 bash "$project/scripts/for-kernel" "$release" true &&
		refused "this host is aarch64" setarch_arm64 bash "$project/scripts/for-kernel" "$release" true &&
		refused "kernel 6.12.1-amd64 is not supported" bash "$project/scripts/for-kernel" 6.12.1-amd64 true
}

# The packages of one kernel in the cache are not those of the next, whose source package has the same name: it is asked for, which
# fails at once here.
other_version() {
	local cache=/tmp/cache tools=/tmp/offline name
	mkdir -p $cache/downloads $tools
	printf '#!/bin/sh\nexit 1\n' >$tools/apt-get
	printf '#!/bin/sh\n' >$tools/sleep
	printf '#!/bin/sh\nprintf "Avail\\n99999999\\n"\n' >$tools/df
	chmod +x $tools/*
	for name in binary-unsigned modules base headers; do
		: >"$cache/downloads/linux-$name-7.3.99+deb13-amd64_7.3.99-1_amd64.deb"
	done
	: >$cache/downloads/linux-source-7.3_7.3.4-1_all.deb
	refused "the package index of http://none cannot be read" env PATH="$tools:$PATH" VFIO_CACHE=$cache VFIO_MIRROR=http://none \
		VFIO_KERNEL=7.3.99+deb13 VFIO_KERNEL_PACKAGE=7.3.99-1 bash "$project/scripts/setup-kernel" fetch
}

# Installing that fails, at the first module or at its end, leaves what was there.
rolled_back() {
	local tools=/tmp/failing
	mkdir -p $tools
	printf '#!/bin/sh\ncase $* in *pci.new) exit 1 ;; esac\nexec /usr/bin/install "$@"\n' >$tools/install
	chmod +x $tools/install
	refused "vfio-pci.ko cannot be written" env PATH="$tools:$PATH" bash "$project/scripts/install" install || return 1
	echo 'search built-in updates' >/etc/depmod.d/zz-none.conf
	refused "modprobe would not take" bash "$project/scripts/install" install
	local status=$?
	rm /etc/depmod.d/zz-none.conf
	return $status
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

# An initramfs with VFIO modules is made anew, by installing and by uninstalling. Its tools are ours here, as making one takes minutes
# in this machine: it has a VFIO module at the beginning, and more behind it than a pipe holds.
renewed() {
	mkdir -p /tmp/tools
	cat >/tmp/tools/lsinitramfs <<-'END'
		#!/bin/bash
		set -e
		echo usr/lib/modules/updates/vfio/vfio.ko
		for i in {1..5000}; do echo "usr/lib/modules/kernel/drivers/others/other-$i.ko.xz"; done
	END
	printf '#!/bin/sh\necho "$@" >>/tmp/renewed\n' >/tmp/tools/update-initramfs
	chmod +x /tmp/tools/*
	local what
	# The second time nothing is there to be uninstalled: the first may have been cut off.
	for what in install uninstall uninstall; do
		rm -f /tmp/renewed
		PATH=/tmp/tools:$PATH bash "$project/scripts/install" $what && is "$(cat /tmp/renewed)" "-u -k $release" || return 1
	done
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
	t install-refuses beside_dkms
	t not-removed not_removed
	t removed removed
else
	t nodes-and-events-are-the-same same
	# What `make install` and `make uninstall` do, without a boot in between. The modules that ran meanwhile are the C ones.
	t install-refuses install_refuses
	t other-version other_version
	t rolled-back rolled_back
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
	t initramfs renewed
	which=c
	t back taken
	t back-loaded loaded
	t back-log clean_log
fi
echo "1..$number"
echo "end $failed"
sync
systemctl poweroff
