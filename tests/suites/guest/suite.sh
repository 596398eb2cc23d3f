# SPDX-License-Identifier: GPL-2.0
# Debian's QEMU with KVM in the machine, run by a user without rights: a guest with an NVMe disk, an edu device, a network card and a
# virtual function, each used by a driver in the guest. They are unplugged and plugged in again; the guest is reset, and reboots.
# QEMU is killed in the middle of it all, and the devices have to work for the host afterwards.
# GUEST_MODE: container, or iommufd; GUEST_VIOMMU: the guest has an IOMMU of its own; GUEST_SHORT: it is only used, and killed.
. /vm/suite/guest.sh

VF=0000:01:10.0
BLOCKS="bs=64k count=64"
# As start() has them.
DEVICES="nvme=nvme=$NVME_PORT edu=edu=$EDU_PORT e1000e=net=$NET_PORT $VF=vf=$VF_PORT"

# The virtual function, whose physical one the host drives.
make_vf() {
	modprobe igb && bind igb igb || return 1
	echo 0 >"$PCI/$(bdf igb)/sriov_drivers_autoprobe"
	echo 1 >"$PCI/$(bdf igb)/sriov_numvfs" && [ -e $PCI/$VF ] || return 1
	ip link set "$(ls "$PCI/$(bdf igb)/net")" up
}

# The host's own driver reads the disk; what it has to hold.
host_reads() {
	modprobe nvme && bind nvme nvme && within 30 [ -b /dev/nvme0n1 ] || return 1
	dd if=/dev/nvme0n1 $BLOCKS iflag=direct 2>/dev/null | md5sum
}

disk_before() {
	host_reads >/tmp/disk && unbind nvme && cat /tmp/disk
}

bind_all() {
	for dev in $DEVICES; do
		give "${dev%%=*}" || return 1
	done
}

boots() {
	start $DEVICES
}

disk() {
	ask "modprobe nvme; i=0; until [ -b /dev/nvme0n1 ] || [ \$i = 300 ]; do sleep 0.1; i=\$((i + 1)); done; grep -c nvme0q /proc/interrupts" || return 1
	ask "dd if=/dev/nvme0n1 $BLOCKS iflag=direct 2>/dev/null | md5sum" >/tmp/read || return 1
	cmp /tmp/disk /tmp/read || {
		cat /tmp/disk /tmp/read
		ask dmesg | tail -n 5
		return 1
	}
}

# What the guest writes is what it reads.
disk_writes() {
	ask "dd if=/dev/urandom of=/r bs=64k count=8 2>/dev/null; dd if=/r of=/dev/nvme0n1 bs=64k seek=128 oflag=direct 2>/dev/null &&
		[ \"\$(dd if=/dev/nvme0n1 bs=64k skip=128 count=8 iflag=direct 2>/dev/null | md5sum)\" = \"\$(md5sum </r)\" ]"
}

# link DRIVER: the interface that it drives comes up.
link() {
	ask "modprobe $1 && n=\$(ls /sys/bus/pci/drivers/$1/*/net) && ip link set \$n up;
		i=0; until [ \"\$(cat /sys/class/net/\$n/carrier 2>/dev/null)\" = 1 ] || [ \$i = 300 ]; do sleep 0.1; i=\$((i + 1)); done;
		echo \$n after \$i; [ \$i != 300 ]" && return
	ask dmesg | tail -n 20
	return 1
}

# edu_try 1|0: its driver in the guest, with MSI or INTx, and DMA.
edu_try() {
	ask "insmod /vfio_test_edu.ko msi=$1; dmesg | grep vfio_test_edu | tail -n 1; [ -d /sys/bus/pci/drivers/vfio_test_edu/0* ]; s=\$?; rmmod vfio_test_edu; (exit \$s)"
}

# edu_by 1|0: the same; its interrupts go from kernel to kernel (irqfd, and the end of INTx by the eventfd of its level). If the
# guest has an IOMMU, each transfer is mapped and unmapped.
edu_by() {
	seen=$(traced ".*_interrupt .*$(bdf edu)") maps=$(traced "iommu_map_notify")
	edu_try "$1" || return 1
	seen=$(($(traced ".*_interrupt .*$(bdf edu)") - seen)) maps=$(($(traced "iommu_map_notify") - maps))
	echo "$seen interrupts by way of QEMU, $maps mappings made and undone"
	[ $seen = 0 ] || return 1
	[ "$1" = 1 ] || [ "$(traced "intx_enable_kvm .*$(bdf edu)")" -ge 1 ] || return 1
	[ -z "$GUEST_VIOMMU" ] || [ $maps -ge 40 ]
}

# plug NAME ID PORT [MORE]: into the running guest.
plug() {
	qmp "{\"execute\":\"device_add\",\"arguments\":{\"driver\":\"vfio-pci\",\"host\":\"$(bdf "$1")\",\"id\":\"$2\",\"bus\":\"port$3\",\"rombar\":0${iommufd:+,\"iommufd\":\"iommufd0\"}$4}}"
}

# unplug ID: the guest gives it back.
unplug() {
	qmp "{\"execute\":\"device_del\",\"arguments\":{\"id\":\"$1\"}}" "\"DEVICE_DELETED\".*\"$1\""
}

# Out of the guest, to the host and back into the guest.
replug() {
	unplug nvme && ask "[ ! -e /dev/nvme0n1 ]" || return 1
	host_reads >/tmp/read && cmp /tmp/disk /tmp/read && unbind nvme && give nvme || return 1
	plug nvme nvme $NVME_PORT && disk
}

# plug_edu [MORE]: the same, until the guest has found it.
plug_edu() {
	plug edu edu $EDU_PORT "$1" &&
		ask "i=0; until grep -q 0x11e8 /sys/bus/pci/devices/*/device || [ \$i = 300 ]; do sleep 0.1; i=\$((i + 1)); done; [ \$i != 300 ]"
}

# The host wants edu back: QEMU is asked for it, and has the guest give it up.
asked_back() {
	deleted=$(grep -c '"DEVICE_DELETED".*"edu"' $G/qmp)
	rm -f /tmp/unbound
	(unbind edu && touch /tmp/unbound) &
	within 120 [ -e /tmp/unbound ] && [ "$(grep -c '"DEVICE_DELETED".*"edu"' $G/qmp)" -gt "$deleted" ] || return 1
	give edu && plug_edu && edu_by 1
}

# edu again, with interrupts that QEMU takes and passes on; this shows as well that edu_by would notice.
by_qemu() {
	unplug edu && plug_edu ',"x-no-kvm-msi":true,"x-no-kvm-intx":true' || return 1
	for msi in 1 0; do
		kind=$([ $msi = 1 ] && echo msi || echo intx)
		seen=$(traced "${kind}_interrupt .*$(bdf edu)")
		edu_try $msi || return 1
		seen=$(($(traced "${kind}_interrupt .*$(bdf edu)") - seen))
		echo "$seen interrupts by way of QEMU"
		[ $seen -ge 31 ] || return 1
	done
}

# QEMU is the user without rights, and has told KVM of the devices.
rights() {
	pid=$(cat $G/pid)
	grep '^Uid:\|^CapEff:\|^VmLck:' /proc/$pid/status
	grep -q '^Uid:.1000.1000.1000.1000$' /proc/$pid/status && grep -q '^CapEff:.0*$' /proc/$pid/status || return 1
	ls -l /proc/$pid/fd | grep -q 'anon_inode:kvm-vfio'
}

reset() {
	qmp '{"execute":"system_reset"}' '"RESET"' && booted 2 && disk && edu_by 1
}

reboot() {
	echo "0 reboot -f" 1<>$G/in
	booted 3 && disk && edu_by 0
}

# QEMU is killed while the disk is read and the edu device reads and writes memory.
killed() {
	ask "(while :; do dd if=/dev/nvme0n1 of=/dev/null bs=64k iflag=direct; done) >/dev/null 2>&1 & insmod /vfio_test_edu.ko rounds=1000000 >/dev/null 2>&1 &" || return 1
	# It is in the middle of it.
	ask "n() { awk '/nvme0q/ { s += \$2 } END { print s }' /proc/interrupts; }; a=\$(n) i=0;
		until [ \$(n) -gt \$a ] && grep -q vfio_test_edu /proc/interrupts || [ \$i = 300 ]; do sleep 0.1; i=\$((i + 1)); done; [ \$i != 300 ]" || return 1
	slay
}

unpinned() {
	pins=$(pins)
	[ $pins = 0 ]
}

# Nothing of it is left: nobody's memory is pinned, and the devices are free.
left() {
	within 10 unpinned || {
		echo "$pins pages are pinned"
		return 1
	}
	host_reads >/tmp/read && cmp /tmp/disk /tmp/read && unbind nvme || return 1
	for dev in edu e1000e; do
		bind $dev && kst vfio_pci_device_test $dev && unbind $dev || return 1
	done
	unbind $VF
	echo 0 >"$PCI/$(bdf igb)/sriov_numvfs"
	unbind igb
	vfio_unload
}

ktap_begin
t load vfio_load
t virtual-function make_vf
t disk-before disk_before
t bind bind_all
t boot boots
if [ $ktap_failed = 0 ]; then
	t rights rights
	t disk disk
	t disk-writes disk_writes
	t edu-msi edu_by 1
	t edu-intx edu_by 0
	t link link e1000e
	t link-vf link igbvf
	[ -n "$GUEST_SHORT" ] || {
		t replug replug
		t reset reset
		t reboot reboot
		t asked-back asked_back
		t by-qemu by_qemu
	}
	t killed killed
fi
t left left
ktap_end
