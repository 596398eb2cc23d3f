# SPDX-License-Identifier: GPL-2.0
# The main job of `make run`: our modules, QEMU's edu device, a driver in user space. Run by the guest's shell.

step() {
	echo
	echo "=== $*"
}

# main_job DEV: everything, on one of the edu devices of the machine.
main_job() {
	local dev=$1

	echo "Linux $(uname -r), $(awk '/^vfio /{ v = $2 } END { print v }' /vm/modules) VFIO modules"
	step "Load the modules"
	vfio_load || return 1
	lsmod | grep -E '^(Module|vfio)'

	step "Give $dev to vfio-pci by driver_override"
	bind "$dev" || return 1
	echo "$dev is $(bdf "$dev"), driver $(driver_of "$dev"), IOMMU group $(group "$dev"): /dev/vfio/$(group "$dev")"

	step "Drive it from user space: vfio-edu $(bdf "$dev")"
	vfio-edu "$(bdf "$dev")" || return 1

	step "Take it back, remove the modules"
	unbind "$dev" || return 1
	vfio_unload || {
		echo "a module is still in use:"
		lsmod | grep -E '^vfio'
		return 1
	}
	[ ! -e "/dev/vfio/$(group "$dev")" ] && [ ! -e /dev/vfio/vfio ] || {
		echo "device nodes are left:" /dev/vfio/*
		return 1
	}
	echo "All four modules are gone and no device node is left."
}
