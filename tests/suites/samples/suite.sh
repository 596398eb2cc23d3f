# SPDX-License-Identifier: GPL-2.0
# The modules of samples/, on the selected modules and then above the C ones: they only know the kernel's C interface.

# What a module is unloaded to while its device is in use: it waits, and goes when the device is closed.
removal() {
	insmod /vm/samples/vfio_sample_emulated.ko || return 1
	sample_user hold vfio-sample-engine "rmmod vfio_sample_emulated & sleep 1; kill -0 \$! && [ -d /sys/module/vfio_sample_emulated ]" || return 1
	for _ in $(seq 50); do
		[ -d /sys/module/vfio_sample_emulated ] || return 0
		sleep 0.2
	done
	return 1
}

# with MODULE COMMAND...: the module is loaded, used and unloaded.
with() {
	insmod /vm/samples/"$1".ko || return 1
	with_module=$1
	shift
	"$@"
	with_status=$?
	rmmod "$with_module" || return 1
	return $with_status
}

# variant NAME ARGUMENTS...: an edu by this driver; another device it does not take.
variant() {
	driver=$1
	shift
	bind edu "$driver" || return 1
	sample_user variant "$(bdf edu)" "$@"
	variant_status=$?
	unbind edu
	! bind nvme "$driver" >/dev/null 2>&1 || return 1
	unbind nvme
	return $variant_status
}

backend() {
	bind edu-port || return 1
	sample_user backend "$(bdf edu-port)"
	backend_status=$?
	unbind edu-port
	return $backend_status
}

samples() {
	t "emulated-$1" with vfio_sample_emulated sample_user engine
	t "emulated-removal-$1" removal
	t "variant-$1" with vfio_sample_variant variant vfio-sample-variant 1 0x54535552
	t "c-variant-$1" with vfio_sample_c_variant variant vfio-sample-c-variant 2
	t "iommu-backend-$1" with vfio_sample_iommu backend
	t "nothing-pinned-$1" nothing_pinned
}

ktap_begin
t load vfio_load
samples ours
t unload vfio_unload
t load-c vfio_load vfio=c vfio_iommu_type1=c vfio-pci-core=c vfio-pci=c
samples c
t unload-c vfio_unload
ktap_end
