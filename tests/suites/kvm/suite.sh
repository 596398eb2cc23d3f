# SPDX-License-Identifier: GPL-2.0
# KVM's link with VFIO, with the kernel's own kvm.ko: on the C modules, then on the selected ones, with the same output.
# Devices are used by their groups, or (KVM_NODES) by their own nodes.

TRACING=/sys/kernel/debug/tracing
mkdir -p /tmp/kvm
nodes=${KVM_NODES:+node-}
case $MACHINE in
*snoop*) kind=coherent ;;
*) kind=noncoherent ;;
esac

# What KVM's question makes vfio.ko ask the IOMMU, for each device, and what KVM concludes. (A function of a Rust module
# is none that this kernel's kprobes take.)
events() {
	{
		echo 'p:kprobes/asked device_iommu_capable'
		echo 'p:kprobes/registered kvm:kvm_arch_register_noncoherent_dma'
		echo 'p:kprobes/unregistered kvm:kvm_arch_unregister_noncoherent_dma'
	} >$TRACING/kprobe_events || return 1
	echo 1 >$TRACING/events/kprobes/enable
}

no_events() {
	echo 0 >$TRACING/events/kprobes/enable
	echo >$TRACING/kprobe_events
}

# part WHICH NAME [ARGUMENT]
part() {
	which=$1
	name=$2
	shift 2
	timeout -s KILL 120 kvm_vfio "$name" "$(bdf edu)" "$(bdf igb)" "$@" >/tmp/kvm/$which.$name 2>&1
	status=$?
	cat /tmp/kvm/$which.$name
	return $status
}

coherency() {
	events && part "$1" "${nodes}coherency" $kind
	status=$?
	no_events
	return $status
}

# kvm.ko can be removed afterwards: nobody kept a machine or a function of it.
unload_kvm() {
	rmmod kvm_amd && rmmod kvm && modprobe kvm_amd
}

one_set() {
	which=$1
	t "$which.bind" bind edu
	t "$which.bind-other" bind igb
	t "$which.errors" part "$which" "${nodes}errors"
	if [ -e $TRACING/kprobe_events ]; then
		t "$which.coherency" coherency "$which"
	else
		skip "$which.coherency" "this kernel has no kprobes"
	fi
	for name in lifetime orders ${nodes:+contested} race; do
		case $which-$nodes$name in
		c-node-contested | c-node-race)
			skip "$which.$name" "C loses a machine for good when two files want one device" ;;
		*) t "$which.$name" part "$which" "$nodes$name" ;;
		esac
	done
	t "$which.unload-kvm" unload_kvm
	unbind edu
	unbind igb
	t "$which.unload" vfio_unload
}

same() {
	diff -U 1 "/tmp/kvm/c.$nodes$1" "/tmp/kvm/ours.$nodes$1"
}

ktap_begin
t kvm modprobe kvm_amd
t c.load vfio_load vfio=c vfio_iommu_type1=c vfio-pci-core=c vfio-pci=c
one_set c
if grep -q rust /vm/modules; then
	t ours.load vfio_load
	one_set ours
	for name in errors coherency lifetime orders; do
		[ ! -e "/tmp/kvm/c.$nodes$name" ] || t "same.$name" same $name
	done
fi
ktap_end
