# SPDX-License-Identifier: GPL-2.0
# Devices that sleep, while nobody uses them and by their user's doing; virtual functions in use beside their physical
# one, and the token that their users have to show. What the user (vfio_events) and sysfs see has to be the same on the C
# modules and on the selected ones. POWER_LONG=1: more devices; virtual functions of another driver.

OUT=/tmp/power
mkdir -p $OUT
. /vm/suite/user.sh

# is DEVICE STATUS: whether that is its runtime power management's status.
is() {
	[ "$(cat "$PCI/$(bdf "$1")/power/runtime_status")" = "$2" ]
}

# becomes DEVICE STATUS: waits for it; what the host sees of the device then.
becomes() {
	within 30 is "$1" "$2"
	echo "$1 is $2, in $(cat "$PCI/$(bdf "$1")/power_state"), usage $(cat "$PCI/$(bdf "$1")/power/runtime_usage")"
}

# The host has the device awake.
rouse() {
	echo on >"$PCI/$(bdf "$1")/power/control"
	becomes "$1" active
	echo auto >"$PCI/$(bdf "$1")/power/control"
}

# A word of configuration space, read by the host, which wakes nobody up.
look() {
	echo "the host reads $(od -An -tx4 -N 4 "$PCI/$(bdf "$1")/config")"
}

# sleeps DEVICE: all ways to bring it to sleep and back.
sleeps() {
	bind "$1" || return 1
	{
		becomes "$1" suspended
		use "$1"
		becomes "$1" active
		ask map
		ask peek
		echo "--- sleep, woken up for a moment by its user"
		ask sleep
		becomes "$1" suspended
		ask peek
		ask word
		ask sleep
		becomes "$1" suspended
		ask state
		becomes "$1" suspended
		rouse "$1"
		becomes "$1" suspended
		ask wake
		becomes "$1" active
		ask wake
		ask peek
		echo "--- doze, woken up by the host"
		ask doze
		becomes "$1" suspended
		look "$1"
		becomes "$1" suspended
		rouse "$1"
		within 30 told "event WAKE"
		becomes "$1" active
		ask peek
		ask wake
		echo "--- doze, woken up by itself"
		ask doze
		becomes "$1" suspended
		ask word
		becomes "$1" active
		ask state
		echo "--- D3hot"
		ask D3
		becomes "$1" active
		ask peek
		ask state
		ask D0
		ask peek
		echo "--- D3hot and sleep"
		ask D3
		ask sleep
		becomes "$1" suspended
		ask wake
		becomes "$1" active
		ask state
		ask D3
		ask reset
		ask state
		echo "--- sleep with INTx, and reset"
		ask intx
		ask sleep
		becomes "$1" suspended
		ask reset
		becomes "$1" suspended
		ask wake
		ask state
		echo "--- closed asleep"
		ask doze
		becomes "$1" suspended
		finish
		becomes "$1" suspended
		echo "--- closed in D3hot"
		use "$1"
		ask state
		ask D3
		finish
		becomes "$1" suspended
	} >>"$log" 2>&1
	unbind "$1"
	echo "unbound: $(cat "$PCI/$(bdf "$1")/power/control") $(cat "$PCI/$(bdf "$1")/power_state")" >>"$log"
}

# stays_awake DEVICE: disable_idle_d3 when the driver binds.
stays_awake() {
	echo Y >/sys/module/vfio_pci/parameters/disable_idle_d3
	bind "$1" || return 1
	echo N >/sys/module/vfio_pci/parameters/disable_idle_d3
	{
		becomes "$1" active
		use "$1"
		ask map
		becomes "$1" active
		ask sleep
		becomes "$1" suspended
		ask peek
		ask wake
		becomes "$1" active
		ask doze
		becomes "$1" suspended
		finish
		becomes "$1" active
	} >>"$log" 2>&1
	unbind "$1"
}

VF=0000:01:10.0
VF2=0000:01:10.2
TOKEN=12345678-9abc-def0-1234-56789abcdef0
OTHER=12345678-9abc-def0-1234-56789abcdef1

# tries DEVICE OPTIONS...: whether it can be opened so.
tries() {
	dev=$1
	shift
	for name in "$@"; do
		echo "$dev $name: $(vfio_events "$(bdf "$dev")" "$(bdf "$dev")$name" </dev/null 2>&1 | head -1)"
	done
}

# make_vfs COUNT: of igb, with what became of them.
make_vfs() {
	echo "$1" >"$PCI/$(bdf igb)/sriov_numvfs" 2>/tmp/why
	echo "virtual functions $1: $? $(cat /tmp/why) $(cat "$PCI/$(bdf igb)/sriov_numvfs") $(driver_of $VF) $(driver_of $VF2)"
}

# Virtual functions, in use together with their physical one.
virtual() {
	bind igb || return 1
	{
		make_vfs 1
		echo Y >/sys/module/vfio_pci/parameters/enable_sriov
		use igb
		ask D3
		for count in 3 1 0 100 8 0 2; do
			make_vfs $count
		done
		# A physical function with virtual ones does not sleep.
		ask D3
		ask sleep
		becomes igb active
		ask wake
		finish
		tries igb "" " vf_token=$TOKEN"
		tries $VF "" " vf_token=$TOKEN" " vf_token=$OTHER" " vf_token=${TOKEN%?}" " vf_token=${TOKEN}0" " vf_token=$TOKEN " \
			" vf_token=$TOKEN vf_token=$TOKEN" " vf_tokens=$TOKEN" " vf_token=" "vf_token=$TOKEN" " vf_token=$(echo $TOKEN | tr a-f A-F)"
		use $VF "vf_token=$TOKEN"
		ask state
		# As long as it is open, the token has to be known.
		tries igb "" " vf_token=$OTHER" " vf_token=$TOKEN"
		tries $VF2 " vf_token=$OTHER" " vf_token=$TOKEN"
		# Its physical function is given up: its user is asked for it, and that waits.
		unbind igb &
		waits=$!
		within 60 told "event REQ"
		sleep 1
		echo "$(driver_of igb) has igb, $(driver_of $VF) its virtual function"
		ask state
		finish
		wait $waits
		echo "then: $(driver_of igb), $([ -e "$PCI/$VF" ] && echo there)"
		# Another token now, as another driver bound to it.
		bind igb && make_vfs 1
		tries $VF "" " vf_token=$TOKEN"
		tries igb " vf_token=$OTHER"
		use $VF "vf_token=$OTHER"
		# The host takes them away.
		make_vfs 0 >/tmp/none &
		waits=$!
		within 60 told "event REQ"
		ask state
		finish
		wait $waits
		cat /tmp/none
		echo "then: $([ -e "$PCI/$VF" ] && echo there)"
		echo N >/sys/module/vfio_pci/parameters/enable_sriov
	} >>"$log" 2>&1
	unbind igb
}

# Virtual functions that there were before; the host's driver has the physical one.
foreign() {
	modprobe igb
	bind igb igb || return 1
	{
		make_vfs 2
		bind igb
		echo "bound: $? $(driver_of igb)"
		bind igb igb && make_vfs 0 && make_vfs 1
		bind $VF && tries $VF "" " vf_token=$TOKEN"
		use $VF
		ask state
		finish
		unbind $VF
		make_vfs 0
	} >>"$log" 2>&1
	unbind igb
	rmmod igb
}

# scene WHICH SCENE DEVICE
scene() {
	log=$OUT/$1.$2-$3
	"$2" "$3" && ! grep -q "^FAILED\|^FATAL" "$log" && return
	cat "$log"
	return 1
}

one_set() {
	for dev in igb ${POWER_LONG:+nvme e1000e}; do
		t "$1-sleeps-$dev" scene "$1" sleeps $dev
	done
	t "$1-stays_awake-igb" scene "$1" stays_awake igb
	t "$1-virtual-igb" scene "$1" virtual igb
	[ -z "$POWER_LONG" ] || t "$1-foreign-igb" scene "$1" foreign igb
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
