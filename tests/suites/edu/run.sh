# SPDX-License-Identifier: GPL-2.0
# The main job of `make run`: our modules, QEMU's edu device, a driver in user space. Run by the guest's shell.

step() {
	echo
	echo "=== $*"
}

main_job() {
	echo "Linux $(uname -r), $(awk '/^vfio /{ v = $2 } END { print v }' /vm/modules) VFIO modules"
	step "Load the modules"
	vfio_load || return 1
	lsmod | grep -E '^(Module|vfio)'

	step "Give edu to vfio-pci by driver_override"
	bind edu || return 1
	echo "edu is $(bdf edu), driver $(driver_of edu), IOMMU group $(group edu): /dev/vfio/$(group edu)"

	step "Drive it from user space: vfio-edu $(bdf edu)"
	vfio-edu "$(bdf edu)" || return 1

	step "Take it back, remove the modules"
	unbind edu || return 1
	vfio_unload || {
		echo "a module is still in use:"
		lsmod | grep -E '^vfio'
		return 1
	}
	[ ! -e "/dev/vfio/$(group edu)" ] && [ ! -e /dev/vfio/vfio ] || {
		echo "device nodes are left:" /dev/vfio/*
		return 1
	}
	echo "All four modules are gone and no device node is left."
}
