# SPDX-License-Identifier: GPL-2.0
# No-IOMMU mode on a machine without IOMMU: nothing of it until it is asked for; then who may do what, and DMA by physical
# address. The C modules of the stock kernel were built without: with these only the first part is run.

PARAMETER=/sys/module/vfio/parameters/enable_unsafe_noiommu_mode
DEVICES="edu igb nvme twin-a"

# tainted: whether the kernel carries TAINT_USER.
tainted() {
	[ $(($(cat /proc/sys/kernel/tainted) >> 6 & 1)) = 1 ]
}

# logged COUNT TEXT: the kernel log has so many lines with the text.
logged() {
	seen=$(dmesg | grep -cF "$2")
	[ "$seen" = "$1" ] || {
		echo "logged $seen times instead of $1: $2"
		return 1
	}
}

# not COMMAND...: the command has to fail.
not() {
	"$@" || return 0
	echo "should have failed: $*"
	return 1
}

addresses() {
	for dev in "$@"; do
		bdf "$dev"
	done
}

# Nothing of it exists until it is asked for.
absent() {
	for dev in $DEVICES; do
		not bind "$dev" || return 1
	done
	noiommu_rules off $(addresses $DEVICES) || return 1
	not tainted && [ -z "$(ls /sys/kernel/iommu_groups)" ] && [ -z "$(ls /sys/class/vfio /sys/class/vfio-dev | grep -v :)" ] || return 1
	logged 0 noiommu && logged 0 "Adding to iommu group"
}

parameter_is() {
	[ "$(stat -c %a $PARAMETER)" = 644 ] && [ "$(cat $PARAMETER)" = "$1" ]
}

# The node appears when a device is bound, is named as the group is, and only root may open it.
bound() {
	echo 1 >$PARAMETER
	parameter_is Y || return 1
	not tainted || return 1
	bind edu && tainted || return 1
	node=/dev/vfio/noiommu-$(group edu)
	[ "$(stat -c '%F %a %u' "$node")" = "character special file 600 0" ] || return 1
	[ -d "/sys/class/vfio/noiommu-$(group edu)" ] && [ "$(cat "$PCI/$(bdf edu)/iommu_group/name")" = vfio-noiommu ] || return 1
	logged 1 "vfio-pci $(bdf edu): Adding kernel taint for vfio-noiommu group on device" || return 1
	unbind edu
	[ ! -e "$node" ] && [ ! -e "$PCI/$(bdf edu)/iommu_group" ] && [ ! -e "/sys/class/vfio/${node##*/}" ] && tainted
}

# A device that was bound before it was switched off goes on; no other is taken.
switched_off() {
	bind edu || return 1
	echo N >$PARAMETER
	not bind igb || return 1
	[ -e "/dev/vfio/noiommu-$(group edu)" ] || return 1
	unbind edu
	not bind edu || return 1
	echo Y >$PARAMETER
	bind edu && unbind edu
}

with() {
	program=$1
	shift
	for dev in "$@"; do
		bind "$dev" || return 1
	done
	"$program" "$what" $(addresses "$@")
	result=$?
	for dev in "$@"; do
		unbind "$dev"
	done
	return $result
}

# rules WHAT DEV...: a part of noiommu_rules.
rules() {
	what=$1
	shift
	with noiommu_rules "$@"
}

hardware() {
	what=$1
	with vfio_hardware "$1"
}

sample() {
	bind "$1" || return 1
	vfio-edu --no-iommu "$(bdf "$1")"
	result=$?
	unbind "$1"
	[ $result = 0 ] && logged "$2" "$(bdf "$1"): vfio-noiommu device opened by user (vfio-edu:"
}

# One group for each device, also for two behind one bridge, which no IOMMU could tell apart. The twin that is not bound
# has no group, so a hot reset of both is refused.
twins() {
	bind twin-a && unbind twin-b && noiommu_rules reset-info "$(bdf twin-a)" EPERM || return 1
	bind twin-b && noiommu_rules reset-info "$(bdf twin-a)" 0 || return 1
	[ "$(group twin-a)" != "$(group twin-b)" ] || return 1
	unbind twin-a && unbind twin-b
}

# While a device is in use nothing can be removed.
in_use() {
	bind edu || return 1
	noiommu_rules hold "$(bdf edu)" >/tmp/held &
	holder=$!
	tries=0
	until grep -q held /tmp/held; do
		tries=$((tries + 1))
		[ $tries -lt 200 ] || return 1
		sleep 0.05
	done
	for module in vfio_pci vfio_pci_core vfio; do
		not rmmod $module 2>/dev/null || return 1
	done
	kill $holder
	wait $holder
	unbind edu
}

# Threads that open, attach, use and close everything, while devices are unbound and the parameter is switched.
race() {
	for dev in edu igb twin-a; do
		bind $dev || return 1
	done
	vfio_race "${NOIOMMU_SECONDS:-10}" 3 1 $(addresses edu igb twin-a) &
	race=$!
	while kill -0 $race 2>/dev/null; do
		for dev in edu twin-a; do
			unbind $dev
			bind $dev
		done
		echo N >$PARAMETER
		sleep 0.1
		echo Y >$PARAMETER
	done >/dev/null 2>&1
	wait $race
	result=$?
	for dev in edu igb twin-a; do
		unbind $dev
	done
	return $result
}

# offered: whether the modules that are tested should know of it. A C vfio.ko may have been built with it or without.
offered() {
	[ "$(selected vfio)" = rust ] || [ -e $PARAMETER ]
}

gone() {
	vfio_unload || return 1
	[ ! -e /dev/vfio ] && [ -z "$(ls /sys/kernel/iommu_groups)" ] && [ ! -e /sys/class/vfio ]
}

ktap_begin
t load vfio_load
t absent absent
offered && offered=yes
if [ "$offered" ]; then
	t parameter parameter_is N
	t bound bound
	t switched-off switched_off
	t doors rules doors edu
	t container rules container edu igb
	t parameter-in-use rules parameter edu igb
	t unbind rules unbind edu
	t twins twins
	t igb hardware igb
	t nvme hardware nvme
	for dev in edu edu-port; do
		t "sample-$dev" sample "$dev" 2
	done
	t in-use in_use
	t race race
fi
t gone gone
if [ "$offered" ]; then
	VFIO_PARAMS_vfio=enable_unsafe_noiommu_mode=1
	t load-with-parameter vfio_load
	t parameter-from-load parameter_is Y
	t bind-with-parameter bind edu
	t without-type1 rmmod vfio_iommu_type1
	t doors-without-type1 rules doors edu
	t unbind-again unbind edu
	t gone-again gone
fi
ktap_end
