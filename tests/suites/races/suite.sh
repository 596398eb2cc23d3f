# SPDX-License-Identifier: GPL-2.0
# Descriptors closed, passed on and killed with their processes, drivers unbound, groups moved: while calls are in progress,
# which are stopped on purpose where they are most vulnerable (vfio_windows.c), and at random (vfio_processes.c).
# RACES_LONG: more of it, on a function that is reset each time.

ROUNDS=${RACES_LONG:+40}
ROUNDS=${ROUNDS:-3}

windows() {
	timeout -s KILL 300 vfio_windows "$@" >/tmp/windows 2>&1
	result=$?
	grep -v '^fine' /tmp/windows
	return $result
}

# processes CASE [DEVICE]
processes() {
	timeout -s KILL 600 vfio_processes "$1" "$(bdf "${2:-edu}")" "$(bdf igb)" $ROUNDS
}

# What C survives is asked of it as well, in the long form: what is checked is what C does, too.
on_c() {
	t c-load vfio_load vfio=c vfio_iommu_type1=c vfio-pci-core=c vfio-pci=c
	bind edu
	bind igb
	t c-nobody-waits windows nobody-waits "$(bdf igb)" "$(bdf edu)" careful
	for case in killed closed unbound opens-meanwhile; do
		t c-$case windows $case "$(bdf edu)" "$(bdf igb)" careful
	done
	for case in $PROCESSES; do
		t c-$case processes $case
	done
	unbind edu
	unbind igb
	t c-unload vfio_unload
}

# While a device cannot be opened yet, others of its set and of other sets come and go.
busy_set() {
	bind twin-a || return 1
	unbind twin-b
	echo vfio-pci >"$PCI/$(bdf twin-b)/driver_override"
	windows busy-set "$(bdf twin-a)" "$(bdf edu)" "$(bdf twin-b)" || return
	[ "$(driver_of twin-b)" = vfio-pci ]
}

# The container of C does not keep its backend for a call.
on_c_container() {
	for dev in edu igb twin-a twin-b; do
		unbind $dev
	done
	vfio_unload && vfio_load vfio=c vfio_iommu_type1=rust && bind edu && bind igb || return 1
	windows released "$(bdf edu)" "$(bdf igb)"
}

roms() {
	bind e1000e || return 1
	processes rom e1000e
	result=$?
	unbind e1000e
	return $result
}

as_before() {
	for dev in edu igb twin-a twin-b; do
		unbind $dev
	done
	vfio_unload || return 1
	[ "$(pins)" = "$before" ] && [ ! -e /dev/vfio ]
}

PROCESSES="fork-and-exec passed-on lost-in-sockets killed-at-random mapped-bar closed-by-signal one-wins attach-and-detach
	unbound-in-use"

ktap_begin
before=$(pins)
[ -z "$RACES_LONG" ] || on_c
t load vfio_load
bind edu
bind igb
t nobody-waits windows nobody-waits "$(bdf igb)" "$(bdf edu)"
for case in killed closed unbound backend-gone others-go-on opens-meanwhile; do
	t $case windows $case "$(bdf edu)" "$(bdf igb)"
	[ -z "$RACES_LONG" ] || t $case-igb windows $case "$(bdf igb)" "$(bdf edu)"
done
for case in $PROCESSES; do
	t $case processes $case
done
t rom roms
t busy-set busy_set
[ "$(selected vfio_iommu_type1)" = c ] || t released-by-c on_c_container
t as-before as_before
ktap_end
