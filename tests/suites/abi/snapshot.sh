# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# What there is to see of the VFIO modules at one moment, and while something happens. Sourced by suite.sh and,
# as some of it has to be seen from inside of another program, by shells that vfio_abi starts.
. /vm/lib.sh

# Left out: counters and clocks, sizes and addresses of code, what reading does something to the device, and debugfs.
tree() {
	vfio_abi tree "$@" '*/sections' '*/notes' '*/coresize' '*/initsize' '*/srcversion' '*/runtime_*_time' \
		'/sys/kernel/btf/*' '/sys/kernel/debug/*' '*/resource[0-9]*' '*/rom' '*/vpd' '*/local_cpu*' '*/wakeup*'
}

# snapshot WHEN DEVICE...: everything, each line begins with WHEN and a bar, which compare.sh knows.
snapshot() {
	when=$1
	shift
	{
		awk '/vfio|^irqbypass/ { print "/proc/modules", $1, $3, $4, $5 }' /proc/modules
		for file in devices misc filesystems; do
			grep -E 'vfio|^Character' /proc/$file | sed "s|^|/proc/$file |"
		done
		awk '/vfio/ { $1 = $2 = $3 = ""; print "/proc/interrupts", $0 }' /proc/interrupts
		for file in iomem ioports; do
			grep vfio /proc/$file | sed "s|^|/proc/$file |"
		done
		ps -o comm | grep vfio | sed 's/^/thread /'
		echo "tainted $(cat /proc/sys/kernel/tainted)"
		for tree in /sys/module/*vfio* /sys/class/*vfio* /sys/class/misc/*vfio* /sys/devices/virtual/*vfio* \
			/sys/devices/virtual/misc/vfio /sys/dev/char/10:196 /sys/bus/pci/drivers/*vfio* /sys/bus/*vfio* \
			/sys/kernel/debug/*vfio* /sys/kernel/btf/vfio* /sys/kernel/slab/*vfio* /dev/vfio; do
			[ ! -e "$tree" ] || tree "$tree"
		done
		for dev in "$@"; do
			tree "$PCI/$(bdf "$dev")/"
			tree "$PCI/$(bdf "$dev")/iommu_group/"
		done
	} | sed "s#^#$when| #"
}

# during WHEN COMMAND: what it prints, its uevents, its kernel messages without what counts up, its exit status.
during() {
	echo "abi: $1" >/dev/kmsg
	{
		vfio_abi uevents ". /vm/suite/snapshot.sh; $2" 2>&1
		echo "exit status $?"
		dmesg | sed -E 's/^\[[^]]*\] //; s/"([^"]*)" \([0-9]+\)/"\1" (PID)/g; s/(container|vfio: group) [0-9]+/\1 N/' | awk -v mark="abi: $1" '
			$0 == mark { lines = 0; next }
			{ line[lines++] = $0 }
			END { for (i = 0; i < lines; i++) print "dmesg", line[i] }'
	} | sed "s#^#$1| #"
}
