# SPDX-License-Identifier: GPL-2.0
# A device without power (D3cold): its port is switched off when it sleeps, and it forgets its configuration (tests/vm/vmlib/acpi.py).
# What the user (vfio_events) and sysfs see has to be the same on the C modules and on the selected ones.

OUT=/tmp/cold
mkdir -p $OUT
. /vm/suite/user.sh

# in_state STATE: whether the device is there, and what runtime power management says fits.
in_state() {
	[ "$(cat "$PCI/$(bdf nvme)/power_state")" = "$1" ]
}

# gets STATE: waits for it.
gets() {
	within 30 in_state "$1" || exit 1
	echo "nvme is in $1, $(cat "$PCI/$(bdf nvme)/power/runtime_status"), usage $(cat "$PCI/$(bdf nvme)/power/runtime_usage")"
}

# The host has the device awake.
rouse() {
	echo on >"$PCI/$(bdf nvme)/power/control"
	gets D0
	echo auto >"$PCI/$(bdf nvme)/power/control"
}

sleeps() {
	bind nvme || return 1
	# In a process of its own: it ends where it waits in vain.
	(
		gets D3cold
		use nvme
		gets D0
		ask map
		ask peek
		ask state
		echo "--- sleep, woken up for a moment by its user"
		ask sleep
		gets D3cold
		ask peek
		ask word
		gets D3cold
		ask state
		gets D3cold
		ask wake
		gets D0
		ask peek
		ask state
		echo "--- doze, woken up by the host"
		ask doze
		gets D3cold
		rouse
		within 30 told "event WAKE"
		gets D0
		ask peek
		ask state
		echo "--- doze, woken up by itself"
		ask doze
		gets D3cold
		ask word
		gets D0
		ask peek
		echo "--- D3hot and sleep"
		ask D3
		ask sleep
		gets D3cold
		ask wake
		ask state
		echo "--- sleep with INTx, and reset"
		ask intx
		ask sleep
		gets D3cold
		ask reset
		gets D3cold
		ask wake
		ask state
		echo "--- closed asleep"
		ask sleep
		gets D3cold
		finish
		gets D3cold
		echo "--- not cold"
		echo 0 >"$PCI/$(bdf nvme)/d3cold_allowed"
		gets D3hot
		use nvme
		ask map
		ask sleep
		gets D3hot
		ask peek
		ask wake
		ask peek
		finish
		gets D3hot
		echo 1 >"$PCI/$(bdf nvme)/d3cold_allowed"
		gets D3cold
		echo "--- killed asleep"
		use nvme
		ask sleep
		gets D3cold
		user=$!
		kill -KILL "$user"
		exec 4>&-
		wait "$user"
		gets D3cold
		use nvme
		ask state
		finish
		gets D3cold
	) >>"$log" 2>&1
	unbind nvme
	echo "unbound: $(cat "$PCI/$(bdf nvme)/power/control")" >>"$log"
}

# one_set WHICH: everything, on the modules that are loaded.
one_set() {
	log=$OUT/$1.sleeps
	sleeps && ! grep -q "^FAILED\|^FATAL" "$log" && return
	cat "$log"
	return 1
}

# Switched off it really was: it has forgotten where its memory is, as QEMU sees, who wakes nobody up.
forgets() {
	bind nvme && (gets D3cold) || return 1
	echo "its port is in $(cat "$PCI/0000:00:04.0/power_state")"
	monitor "xp /1wx 0xb0100010" | tee /tmp/bar
	unbind nvme
	monitor "xp /1wx 0xb0100010"
	grep -q ': 0x00000004' /tmp/bar
}

# QEMU's ports have no power management of their own, so the kernel does not let them be switched off unless it is told to.
echo 1 >"$PCI/0000:00:04.0/d3cold_allowed"

ktap_begin
t c-load vfio_load vfio=c vfio_iommu_type1=c vfio-pci-core=c vfio-pci=c
t c-sleeps one_set c
t c-unload vfio_unload
t load vfio_load
t sleeps one_set ours
t forgets forgets
t unload vfio_unload
t same same sleeps
ktap_end
