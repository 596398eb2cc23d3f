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

# drivers NAME: the drivers that the device can have: none, ours, one that leaves DMA alone, the host's.
drivers() {
	echo none vfio-pci pci-stub "$(host_driver "$1" | grep -v '^-$')"
}

# combinations NAME A B: all pairs of drivers.
combinations() {
	for first in $(drivers "$2"); do
		for second in $(drivers "$3"); do
			drive "$2" "$first" && drive "$3" "$second" || return 1
			echo "# $first and $second"
			timeout -s KILL 60 vfio_groups ask "$(bdf edu)" "$(bdf "$2")" "$(bdf "$3")"
		done
	done
	unbind "$2"
	unbind "$3"
}

# in_use A B: while the group is held, its other device gets no host driver; afterwards it does, and then the
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
	for driver in "$(host_driver "$2")" pci-stub vfio-pci; do
		bind "$2" "$driver" >/dev/null 2>&1
		echo "while it is held, bound to $driver: $(driver_of "$2")"
		unbind "$2"
	done
	exec 4>&-
	wait $holder
	echo "the holder ended with $?"
	cat /tmp/held
	rm /tmp/end
	bind "$2" "$(host_driver "$2")"
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

# Devices of this machine that share a group; the second has a host driver.
PAIRS="twin-a:twin-b pair-a:pair-b nic-a:nic-b"

pairs() {
	for pair in $PAIRS; do
		! bdf "${pair%:*}" >/dev/null || echo "$pair"
	done
}

# one_set WHICH: everything, on the modules that are loaded.
one_set() {
	bind edu && bind igb || return 1
	for pair in $(pairs); do
		a=${pair%:*} b=${pair#*:}
		combinations "$1" "$a" "$b" >"$OUT/$1.drivers-$a" 2>&1
		in_use "$a" "$b" >"$OUT/$1.in-use-$a" 2>&1
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
		[ "$(group "${pair%:*}")" = "$(group "${pair#*:}")" ] || return 1
		echo "${pair%:*} and ${pair#*:} share group $(group "${pair%:*}")"
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

# The rule, whatever C answers: a group can be used if each of its devices has no driver, or one that leaves DMA to others.
viability() {
	checked=0
	for pair in $(pairs); do
		for first in $(drivers "${pair%:*}"); do
			for second in $(drivers "${pair#*:}"); do
				case $first/$second in
				*vfio-pci*) ;;
				*) continue ;; # There is no node of the group.
				esac
				wanted=1
				for driver in $first $second; do
					case $driver in
					none | vfio-pci | pci-stub) ;;
					*) wanted=0 ;;
					esac
				done
				awk -v text="# $first and $second" '$0 == text { here = 1; next } /^#/ { here = 0 } here' "$OUT/ours.drivers-${pair%:*}" >/tmp/answers
				flags=$(sed -n 's/^status fresh.*flags \([0-9a-f]*\).*/\1/p' /tmp/answers)
				[ $((0x${flags:-ff} & 1)) = $wanted ] && [ "${flags:-none}" != none ] || {
					echo "$pair with $first and $second: flags ${flags:-none}, viable should be $wanted"
					cat /tmp/answers
					return 1
				}
				checked=$((checked + 1))
			done
		done
	done
	echo "$checked combinations"
	[ $checked -ge 6 ]
}

# hot_resets: those of a whole group work, if all of its devices are ours.
hot_resets() {
	for pair in $(pairs); do
		awk '/^#/ { here = $0 == "# vfio-pci and vfio-pci" } here' "$OUT/ours.drivers-${pair%:*}" | grep 'hot reset with its group =' >/tmp/answers
		cat /tmp/answers
		[ "$(grep -c '= 0 0$' /tmp/answers)" = 2 ] || return 1
	done
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
	modprobe "$(host_driver "${pair#*:}")"
done
t topology topology
t c-load vfio_load vfio=c vfio_iommu_type1=c vfio-pci-core=c vfio-pci=c
t c-run one_set c
t c-unload vfio_unload
t load vfio_load
t run one_set ours
t virtual-functions virtual_functions
t unload vfio_unload
t viability viability
t hot-resets hot_resets
t moved moved
# With all of its bus in the hands of vfio-pci, a device is reset before its next user gets it.
t reset-between-users sh -c "sed -n '/with its neighbour/,\$p' $OUT/ours.closes-twin-a | grep -q '^closed, opened: 0$'"
for file in $OUT/c.*; do
	t "${file#"$OUT"/c.}" same "${file#"$OUT"/c.}"
done
echo "# $(cat $OUT/ours.* | wc -l) answers compared"
ktap_end
