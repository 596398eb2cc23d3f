# SPDX-License-Identifier: GPL-2.0
# Several threads do to a device all that a user can do, at random (tests/suites/pci/pci_fuzz.c): the kernel has to
# survive it, no thread may hang, and the device has to work afterwards. Before that what chance does not meet (pci_unmask.c).
# PCI_LONG=1: longer, with INTx, more devices.

SECONDS_EACH=4
SEEDS=1
DEVICES="edu edu-port e1000e"
if [ -n "$PCI_LONG" ]; then
	SECONDS_EACH=10
	SEEDS="2 3 4"
	DEVICES="$DEVICES igb ivshmem nvme virtio-net"
else
	export PCI_FUZZ_NO_INTX=1
fi

# fuzz SEED DEVICE [OTHER...]: devices that share a group.
fuzz() {
	seed=$1
	shift
	for dev in "$@"; do
		bind "$dev" || return 1
	done
	# shellcheck disable=SC2046
	timeout -s KILL 120 pci_fuzz "$(bdf "$1")" "$seed" $SECONDS_EACH $(shift && for dev in "$@"; do bdf "$dev"; done) || return 1
	for dev in "$@"; do
		unbind "$dev" || return 1
	done
}

# The eventfd that unmasks goes while its work is pending.
unmask() {
	bind edu && timeout -s KILL 120 pci_unmask "$(bdf edu)" && unbind edu
}

# virtual SEED: igb and a virtual function of it, each by a process of its own.
virtual() {
	vf=0000:01:10.0
	bind igb || return 1
	echo Y >/sys/module/vfio_pci/parameters/enable_sriov
	echo 1 >"$PCI/$(bdf igb)/sriov_numvfs" || return 1
	export PCI_FUZZ_OPTIONS=" vf_token=12345678-9abc-def0-1234-56789abcdef0"
	# Who opens the physical function while no virtual one is open says what the token is.
	timeout -s KILL 120 pci_fuzz "$(bdf igb)" "$1" 0 || return 1
	timeout -s KILL 120 pci_fuzz "$(bdf igb)" "$1" $SECONDS_EACH >/tmp/physical &
	timeout -s KILL 120 pci_fuzz $vf "$1" $SECONDS_EACH
	virtual_status=$?
	wait $!
	physical_status=$?
	cat /tmp/physical
	unset PCI_FUZZ_OPTIONS
	echo 0 >"$PCI/$(bdf igb)/sriov_numvfs"
	echo N >/sys/module/vfio_pci/parameters/enable_sriov
	unbind igb
	[ $virtual_status$physical_status = 00 ]
}

ktap_begin
t load vfio_load
# First: who knows what interrupts edu has pending after that.
t unmask unmask
for seed in $SEEDS; do
	for device in $DEVICES; do
		t "$device-$seed" fuzz "$seed" "$device"
	done
	t "twins-$seed" fuzz "$seed" twin-a twin-b
	[ -z "$PCI_LONG" ] || t "virtual-$seed" virtual "$seed"
done
t unload vfio_unload
ktap_end
