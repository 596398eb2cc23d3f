# SPDX-License-Identifier: GPL-2.0
# Containers, groups and devices used by several threads of several processes in random order, while devices are unbound
# (also by somebody who is interrupted) and modules come and go. Everything can be removed afterwards.
# The C modules do not survive this: a container's ioctl that runs while the last group leaves uses freed memory.

SECONDS_OF_RACE=${CORE_SECONDS:-30}

unbinding() {
	while kill -0 $race; do
		sleep 0.4
		unbind edu
		bind edu
		unbind twin-a
		bind twin-a
	done
}

removing() {
	while kill -0 $race; do
		sleep 0.2
		rmmod vfio_iommu_type1 && vfio_insmod vfio_iommu_type1
		rmmod vfio
	done
}

race() {
	for dev in edu igb twin-a; do
		bind $dev || return 1
	done
	vfio_race "$SECONDS_OF_RACE" 3 1 "$(bdf edu)" "$(bdf igb)" "$(bdf twin-a)" &
	race=$!
	unbinding >/dev/null 2>&1 &
	interrupted_unbinds $race igb >/dev/null 2>&1 &
	removing >/dev/null 2>&1 &
	wait $race
	result=$?
	wait
	return $result
}

nothing_left() {
	for dev in edu igb twin-a; do
		unbind $dev
	done
	[ -d /sys/module/vfio_iommu_type1 ] || vfio_insmod vfio_iommu_type1
	vfio_unload || return 1
	after=$(pins)
	[ "$after" = "$before" ] && [ ! -e /dev/vfio ] && return
	echo "$after pages are pinned, $before were before"
	ls /dev/vfio
	return 1
}

ktap_begin
before=$(pins)
t load vfio_load
t race race
t nothing-left nothing_left
ktap_end
