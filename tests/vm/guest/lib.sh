# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# What suites are written in. Sourced by the guest's shell (busybox sh).

PCI=/sys/bus/pci/devices

# bdf NAME: the address of a device of this machine (an address stands for itself).
bdf() {
	case $1 in
	*:*) echo "$1" ;;
	*) awk -v n="$1" '$1 == n { print $2; found = 1 } END { exit !found }' /vm/devices ;;
	esac
}

# devices: the names of this machine's devices.
devices() {
	awk '{ print $1 }' /vm/devices
}

# host_driver NAME: the stock driver of the device, "-" if it has none.
host_driver() {
	awk -v n="$1" '$1 == n { print $4 }' /vm/devices
}

# group NAME: the number of the device's IOMMU group.
group() {
	basename "$(readlink "$PCI/$(bdf "$1")/iommu_group")"
}

# selected MODULE: "rust" or "c", as the run selected it.
selected() {
	awk -v n="$1" '$1 == n { print $2 }' /vm/modules
}

# vfio_insmod MODULE [rust|c]: loads one of them, as selected unless it is said.
# Parameters of a module: VFIO_PARAMS_vfio_iommu_type1="allow_unsafe_interrupts=1" and the like.
vfio_insmod() {
	eval "params=\${VFIO_PARAMS_$(echo "$1" | tr - _)}"
	insmod /vm/"${2:-$(selected "$1")}"/"$1".ko $params || {
		echo "# loading $1 (${2:-$(selected "$1")}) failed"
		return 1
	}
}

# vfio_load [MODULE=rust|c]...: loads the modules as selected, but for those named here.
vfio_load() {
	modprobe -a $(cat /vm/needed)
	for module in $(awk '{ print $1 }' /vm/modules); do
		which=
		for word in "$@"; do
			[ "${word%=*}" = $module ] && which=${word#*=}
		done
		vfio_insmod $module $which || return 1
	done
}

# vfio_unload: unloads them; fails if one is still in use.
vfio_unload() {
	for module in vfio_pci vfio_pci_core vfio_iommu_type1 vfio_iommu_spapr_tce vfio; do
		[ -d /sys/module/$module ] || continue
		rmmod $module || return 1
	done
}

# pins: how many pages are pinned, by all processes.
pins() {
	# Each processor counts by itself; this adds it up.
	echo 1 >/proc/sys/vm/stat_refresh
	awk '/^nr_foll_pin_acquired/ { a = $2 } /^nr_foll_pin_released/ { r = $2 } END { print a - r }' /proc/vmstat
}

# nothing_pinned: whether all pages that were pinned since the boot have been unpinned.
nothing_pinned() {
	pinned=$(pins)
	echo "$pinned pages are pinned"
	[ "$pinned" = 0 ]
}

# timeout -s KILL SECONDS COMMAND...: on a slow machine it may take longer, as the whole suite may.
timeout() {
	seconds=$3
	shift 3
	command timeout -s KILL $((seconds * ${SLOWNESS:-1})) "$@"
}

# driver_of NAME: the driver bound to the device, "" if none.
driver_of() {
	link=$(readlink "$PCI/$(bdf "$1")/driver") && basename "$link"
}

# unbind NAME: takes the device from its driver, if it has one.
unbind() {
	dev=$(bdf "$1") || return 1
	echo >"$PCI/$dev/driver_override"
	[ ! -e "$PCI/$dev/driver" ] || echo "$dev" >"$PCI/$dev/driver/unbind"
}

# bind NAME [DRIVER]: gives the device to vfio-pci (or DRIVER) by driver_override.
bind() {
	dev=$(bdf "$1") || return 1
	unbind "$1" || return 1
	echo "${2:-vfio-pci}" >"$PCI/$dev/driver_override"
	echo "$dev" >/sys/bus/pci/drivers_probe
	[ "$(driver_of "$1")" = "${2:-vfio-pci}" ] || {
		echo "# binding $1 to ${2:-vfio-pci} failed"
		return 1
	}
}

# interrupted_unbinds PID NAME: while the process runs, a device is unbound by somebody who is interrupted, then killed.
interrupted_unbinds() {
	address=$(bdf "$2")
	while kill -0 "$1"; do
		sleep 0.4
		echo "$address" >/sys/bus/pci/drivers/vfio-pci/unbind &
		sleep 0.1
		kill -INT $!
		sleep 0.2
		kill -KILL $!
		wait $!
		bind "$2"
	done
}

# kst PROGRAM NAME [ARGUMENTS]: one of the kernel's selftests on a device.
kst() {
	program=$1
	device=$2
	shift 2
	VFIO_SELFTESTS_BDF=$(bdf "$device") "$program" "$@"
}

# holding COMMAND...: starts what holds something, and waits until it says "held"; its number is $holder then.
holding() {
	: >/tmp/held
	"$@" >/tmp/held &
	holder=$!
	tries=0
	until grep -q held /tmp/held; do
		tries=$((tries + 1))
		[ $tries -lt 400 ] && kill -0 $holder 2>/dev/null || return 1
		sleep 0.05
	done
}

# monitor COMMAND...: has QEMU run a command of its monitor, prints what it says (tests/vm/vmlib/monitor.py).
monitor() {
	exec 3<>/dev/ttyS3
	echo "$*" >&3
	while read -r line <&3 && [ "$line" != . ]; do
		echo "$line"
	done
	exec 3>&-
}

# alike FILE FILE: whether the C modules (first) and the selected ones answered the same, but for what the suite's
# differences.sed, if it has one, makes alike on both sides. Shows where they differ (ALIKE_LINES of it).
alike() {
	differences=/vm/suite/differences.sed
	[ -e $differences ] || differences=/dev/null
	[ -s "$1" ] && [ -s "$2" ] || { echo "no answers in $1 or $2" && return 1; }
	# What asked was not there, or crashed.
	! grep '^exit status' "$1" "$2" || return 1
	sed -E -f $differences "$1" >/tmp/expected && sed -E -f $differences "$2" >/tmp/got || return 1
	wc -l </tmp/got
	cmp -s /tmp/expected /tmp/got && return
	echo "lines with - are what the C modules answer, lines with + what these do:$(awk '{ printf " %s=%s", $1, $2 }' /vm/modules)"
	diff -U 2 /tmp/expected /tmp/got | sed 1,2d | head -"${ALIKE_LINES:-60}"
	echo "$(diff -U 0 /tmp/expected /tmp/got | sed 1,2d | grep -c '^[-+]') lines differ"
	return 1
}

# t NAME COMMAND...: one KTAP result. What COMMAND prints becomes diagnostics, its KTAP becomes subtests;
# exit status 4 is a skip, as in the kernel's selftests.
ktap_count=0
t() {
	t_name=$1
	shift
	ktap_count=$((ktap_count + 1))
	echo "    # $t_name: $*"
	# What it is if the command does not come back: it called exit, or was killed.
	echo "exit 255" >/tmp/t.status
	{ "$@" 2>&1; echo "exit $?" >/tmp/t.status; } | sed 's/^/    /'
	read -r _ t_status </tmp/t.status
	case $t_status in
	0) echo "ok $ktap_count $t_name" ;;
	4) echo "ok $ktap_count $t_name # SKIP" ;;
	*)
		echo "not ok $ktap_count $t_name # exit status $t_status"
		ktap_failed=1
		;;
	esac
}

# skip NAME REASON: a result that says why it was not tried.
skip() {
	ktap_count=$((ktap_count + 1))
	echo "ok $ktap_count $1 # SKIP $2"
}

# cannot TEST: why no modules can pass it on this machine; fails if they can.
cannot() {
	sed -n "s/^$1 //p" /vm/cannot | grep .
}

# ktap_begin, ktap_end: the frame of a suite.
ktap_begin() {
	echo "TAP version 13"
	ktap_failed=0
}
ktap_end() {
	echo "1..$ktap_count"
	return $ktap_failed
}
