#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Gives a PCI device to vfio-pci, or back to the kernel, by driver_override.
#
# usage: bind.sh DEVICE           bind DEVICE to vfio-pci, print its address
#        bind.sh --release DEVICE  unbind it, let the kernel find it a driver again
#
# DEVICE is a PCI address (0000:01:00.0) or a vendor and device ID (1234:11e8, the first such).
# The module vfio-pci must be loaded. Needs root; runs in a busybox shell as well.

set -eu

PCI=/sys/bus/pci

die() {
	echo "bind.sh: $*" >&2
	exit 1
}

# Prints the address of the device "$1" names.
address() {
	if [ -e "$PCI/devices/$1" ]; then
		echo "$1"
		return
	fi
	for dev in "$PCI"/devices/*; do
		read -r vendor <"$dev/vendor"
		read -r device <"$dev/device"
		if [ "${vendor#0x}:${device#0x}" = "$1" ]; then
			echo "${dev##*/}"
			return
		fi
	done
	die "there is no PCI device $1"
}

# Prints the driver of the device "$1", or nothing.
driver() {
	if [ -e "$PCI/devices/$1/driver" ]; then
		basename "$(readlink "$PCI/devices/$1/driver")"
	fi
}

unbind() {
	if [ -n "$(driver "$1")" ]; then
		echo "$1" >"$PCI/devices/$1/driver/unbind"
	fi
}

bind() {
	[ -e "$PCI/drivers/vfio-pci" ] || die "vfio-pci is not loaded"
	if [ "$(driver "$1")" != vfio-pci ]; then
		unbind "$1"
		echo vfio-pci >"$PCI/devices/$1/driver_override"
		echo "$1" >"$PCI/drivers_probe"
	fi
	[ "$(driver "$1")" = vfio-pci ] || die "vfio-pci did not take $1 (see the kernel log)"

	group=$(basename "$(readlink "$PCI/devices/$1/iommu_group")")
	tries=0
	until [ -e "/dev/vfio/$group" ] || [ -e "/dev/vfio/noiommu-$group" ]; do
		tries=$((tries + 1))
		[ "$tries" -lt 50 ] || die "/dev/vfio/$group has not appeared"
		sleep 0.1
	done
	echo "$1"
}

release() {
	unbind "$1"
	# An empty line takes the override away.
	echo >"$PCI/devices/$1/driver_override"
	echo "$1" >"$PCI/drivers_probe"
}

case "${1-}" in
--release)
	[ $# -eq 2 ] || die "usage: bind.sh --release DEVICE"
	dev=$(address "$2")
	release "$dev"
	;;
'' | -*)
	die "usage: bind.sh [--release] DEVICE"
	;;
*)
	[ $# -eq 1 ] || die "usage: bind.sh DEVICE"
	dev=$(address "$1")
	bind "$dev"
	;;
esac
