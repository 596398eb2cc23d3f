# SPDX-License-Identifier: GPL-2.0
# Groups of several devices: twins behind a bridge or in one slot, with every combination of drivers; groups that are moved
# between containers. What the C modules and the selected ones answer is compared.

OUT=/tmp/groups
mkdir -p $OUT

# drive NAME DRIVER: gives the device that driver, or none.
drive() {
	if [ "$2" = none ]; then
		unbind "$1"
	else
		bind "$1" "$2"
	fi
}

# combinations NAME A B DRIVER_OF_B: all pairs of drivers.
combinations() {
	for first in none vfio-pci pci-stub; do
		for second in none vfio-pci pci-stub $4; do
			drive "$2" $first && drive "$3" "$second" || return 1
			echo "# $first and $second"
			timeout -s KILL 60 vfio_groups ask "$(bdf edu)" "$(bdf "$2")" "$(bdf "$3")"
		done
	done
	unbind "$2"
	unbind "$3"
}

# in_use A B DRIVER_OF_B: while the group is held, its other device gets no host driver; afterwards it does, and then the
# group is not viable.
in_use() {
	bind "$1" && unbind "$2" || return 1
	mkfifo /tmp/end
	vfio_groups hold "$(bdf "$1")" </tmp/end >/tmp/held &
	holder=$!
	exec 4>/tmp/end
	while ! grep -q held /tmp/held; do
		kill -0 $holder || return 1
		sleep 0.1
	done
	for driver in "$3" pci-stub vfio-pci; do
		bind "$2" "$driver" >/dev/null 2>&1
		echo "while it is held, bound to $driver: $(driver_of "$2")"
		unbind "$2"
	done
	exec 4>&-
	wait $holder
	echo "the holder ended with $?"
	cat /tmp/held
	rm /tmp/end
	bind "$2" "$3"
	echo "afterwards: $(driver_of "$2")"
	vfio_groups ask "$(bdf edu)" "$(bdf "$1")" "$(bdf "$2")"
	unbind "$2"
	unbind "$1"
}

# Bridges are not for users: the one that the twins are behind is not taken.
bridge() {
	above=$(basename "$(dirname "$(readlink -f "$PCI/$(bdf twin-a)")")")
	bind "$above" >/dev/null 2>&1
	echo "probed: $(driver_of "$above")"
	echo vfio-pci >"$PCI/$above/driver_override"
	echo "$above" 2>&1 >/sys/bus/pci/drivers/vfio-pci/bind | sed 's/.*: //'
	echo "bound: $(driver_of "$above")"
	unbind "$above"
}

# closes A B: what the next user of B finds, with A bound to vfio-pci and with no driver.
closes() {
	unbind "$1" && bind "$2" || return 1
	echo "# alone"
	timeout -s KILL 60 vfio_groups closes "$(bdf "$2")" "$(bdf "$1")"
	bind "$1" || return 1
	echo "# with its neighbour"
	timeout -s KILL 60 vfio_groups closes "$(bdf "$2")" "$(bdf "$1")"
	unbind "$1"
	unbind "$2"
}

# Devices of this machine that share a group, and the host driver of the second.
PAIRS="twin-a:twin-b:e1000 pair-a:pair-b:e1000"

pairs() {
	for pair in $PAIRS; do
		! bdf "${pair%%:*}" >/dev/null || echo "$pair"
	done
}

# one_set WHICH: everything, on the modules that are loaded.
one_set() {
	bind edu && bind igb || return 1
	for pair in $(pairs); do
		rest=${pair#*:}
		a=${pair%%:*} b=${rest%:*} driver=${rest#*:}
		combinations "$1" "$a" "$b" "$driver" >"$OUT/$1.drivers-$a" 2>&1
		in_use "$a" "$b" "$driver" >"$OUT/$1.in-use-$a" 2>&1
		closes "$a" "$b" >"$OUT/$1.closes-$a" 2>&1
	done
	! bdf switch-a >/dev/null || bridge >"$OUT/$1.bridge"
	for dev in $(devices | grep switch); do
		bind "$dev"
		timeout -s KILL 60 vfio_groups ask "$(bdf edu)" "$(bdf "$dev")" >"$OUT/$1.$dev" 2>&1
		unbind "$dev"
	done
	timeout -s KILL 120 vfio_groups moves "$(bdf edu)" "$(bdf igb)" >"$OUT/$1.moves" 2>&1
	unbind edu
	unbind igb
}

# topology: what Linux makes of the machine, so that the rest is known to test what it says.
topology() {
	for pair in $(pairs); do
		rest=${pair#*:}
		[ "$(group "${pair%%:*}")" = "$(group "${rest%:*}")" ] || return 1
		echo "${pair%%:*} and ${rest%:*} share group $(group "${pair%%:*}")"
	done
	# Root ports have ACS: the device behind one has a group of its own. Ports of a switch have not: each is in the group
	# of the device behind it, driven by the host; one group for each, all the same.
	alone igb || return 1
	! bdf switch-a >/dev/null || [ "$(group switch-a)" != "$(group switch-b)" ]
}

# alone NAME: whether the device has its group for itself.
alone() {
	set -- "$1" "$PCI/$(bdf "$1")/iommu_group/devices"
	[ "$(ls "$2" | wc -l)" = 1 ] && echo "$1 is alone in its group"
}

# Virtual functions have groups of their own, and are used while the host drives the physical one.
virtual_functions() {
	pf=$PCI/$(bdf igb)
	modprobe igb
	bind igb igb && echo 2 >"$pf/sriov_numvfs" || return 1
	for vf in "$pf"/virtfn0 "$pf"/virtfn1; do
		vf=$(basename "$(readlink "$vf")")
		alone "$vf" && bind "$vf" && vfio_pci_device_test "$vf" && unbind "$vf" || return 1
	done
	echo 0 >"$pf/sriov_numvfs"
	unbind igb
}

same() {
	alike "$OUT/c.$1" "$OUT/ours.$1"
}

# The edu saw what its container had mapped, nine times.
moved() {
	[ "$(grep -c 'the device reads 100[012]$' $OUT/ours.moves)" = 9 ] || {
		cat $OUT/ours.moves
		return 1
	}
}

ktap_begin
modprobe pci-stub
for pair in $(pairs); do
	modprobe "${pair##*:}"
done
t topology topology
t c-load vfio_load vfio=c vfio_iommu_type1=c vfio-pci-core=c vfio-pci=c
t c-run one_set c
t c-unload vfio_unload
t load vfio_load
t run one_set ours
t virtual-functions virtual_functions
t unload vfio_unload
t moved moved
# With all of its bus in the hands of vfio-pci, a device is reset before its next user gets it.
t reset-between-users sh -c "sed -n '/with its neighbour/,\$p' $OUT/ours.closes-twin-a | grep -q '^closed, opened: 0$'"
for file in $OUT/c.*; do
	t "${file#"$OUT"/c.}" same "${file#"$OUT"/c.}"
done
echo "# $(cat $OUT/ours.* | wc -l) answers compared"
ktap_end
