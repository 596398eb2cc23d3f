# SPDX-License-Identifier: GPL-2.0
# Clients that others wrote: rust-vmm's vfio-ioctls and the crate pci-driver (tests/clients), on six devices, with the same
# output on the C modules and on the selected ones; and drivers of NVMe in user space, the crate nvme-driver (by MSI-X and by
# INTx) and QEMU's (qemu-io on nvme://), which write and read a namespace, and are killed meanwhile.

OUT=/tmp/clients
DEVICES="edu ivshmem igb e1000e nvme virtio-net"
mkdir -p $OUT

# crate WHICH CLIENT DEVICE
crate() {
	bind "$3" || return 1
	timeout -s KILL 120 vfio-clients "$2" "$(bdf "$3")" >$OUT/"$1.$2.$3" 2>&1
	status=$?
	unbind "$3"
	[ $status = 0 ] || cat $OUT/"$1.$2.$3"
	return $status
}

# qio COMMAND...: qemu-io on the namespace; each read and write has to say that it is done.
qio() {
	printf '%s\n' "$@" | timeout -s KILL 120 /usr/bin/qemu-io -f raw "nvme://$(bdf nvme)/1" >$OUT/qio 2>&1
	wanted=$(printf '%s\n' "$@" | grep -c 'write\|read')
	done=$(grep -o '\(wrote\|read\) [0-9]*/[0-9]* bytes at' $OUT/qio | wc -l)
	[ "$done" = "$wanted" ] && ! grep -qi 'fail\|error' $OUT/qio && return
	cat $OUT/qio
	return 1
}

# The host's own driver reads what was written.
host_sees() {
	modprobe nvme && bind nvme nvme || return 1
	i=0
	until [ -b /dev/nvme0n1 ] || [ $i = 600 ]; do
		i=$((i + 1))
		sleep 0.1
	done
	dd if=/dev/nvme0n1 bs=4k skip="$1" count="$2" >$OUT/seen 2>/dev/null
	unbind nvme
	[ "$(wc -c <$OUT/seen)" = $(($2 * 4096)) ] || {
		echo "the host does not read it"
		return 1
	}
	seen=$(tr -d "\\$3" <$OUT/seen | wc -c)
	[ "$seen" = 0 ] || {
		echo "$seen bytes are others than $3"
		return 1
	}
}

# What is written by one process is read by another; then by the host.
nvme_user() {
	bind nvme || return 1
	qio "write -P 0x5a 1M 512k" "read -P 0x5a 1M 512k" "write -P 0x33 1028k 4k" "flush" || return 1
	qio "read -P 0x5a 1M 4k" "read -P 0x33 1028k 4k" "read -P 0x5a 1032k 504k" || return 1
	# A pattern that is not there is found out.
	qio "read -P 0x5b 1M 4k" >/dev/null && return 1
	# Many requests at once, and buffers that are not aligned.
	qio "aio_write -P 0x11 2M 256k" "aio_write -P 0x22 2304k 256k" "aio_flush" "aio_read -P 0x11 2M 256k" \
		"aio_read -P 0x22 2304k 256k" "aio_flush" "write -P 0x44 3M 1M" "read -P 0x44 3073k 1022k" || return 1
	unbind nvme
	host_sees 768 256 104
}

# vectors NAME: how often the interrupts of a device in use have come.
vectors() {
	awk -v d="($(bdf "$1"))" 'index($0, d) { for (i = 2; $i ~ /^[0-9]+$/; i++) n += $i } END { print n + 0 }' /proc/interrupts
}

# killed PID: ends a process that would not end by itself; fails if it has.
killed() {
	kill -KILL "$1" || return 1
	wait "$1"
	[ $? = 137 ]
}

# under_way PID COMMAND...: waits, while the process lives, until COMMAND says that it has done something.
under_way() {
	client=$1
	shift
	i=0
	until "$@"; do
		i=$((i + 1))
		kill -0 "$client" && [ $i -lt 1200 ] || {
			cat $OUT/endless
			return 1
		}
		sleep 0.1
	done
}

interrupted() {
	[ "$(vectors nvme)" -ge 50 ]
}

# In the middle of writes that have no end, once some have been done.
nvme_killed() {
	bind nvme || return 1
	for _ in 1 2 3; do
		yes 'write -P 0x77 4M 4M' | /usr/bin/qemu-io -f raw "nvme://$(bdf nvme)/1" >$OUT/endless 2>&1 &
		under_way $! interrupted || return 1
		echo "killed after $(vectors nvme) interrupts, with $(sed -n 's/^VmLck:[^0-9]*//p' /proc/$!/status) locked"
		killed $! || return 1
		qio "write -P 0x66 4M 1M" "read -P 0x66 4M 1M" || return 1
	done
	unbind nvme
	host_sees 1024 256 146
}

# crate_killed: the crate nvme-driver amid its reads and writes; the disk works for who comes next.
crate_killed() {
	bind nvme || return 1
	for _ in 1 2 3; do
		# Nothing of the one before.
		: >$OUT/endless
		vfio-clients nvme-driver-endless "$(bdf nvme)" >>$OUT/endless 2>&1 &
		under_way $! grep -q 'queue 0' $OUT/endless || return 1
		killed $! || return 1
	done
	timeout -s KILL 120 vfio-clients nvme-driver "$(bdf nvme)" || return 1
	unbind nvme
	host_sees 1536 256 116
}

one_set() {
	for client in vfio-ioctls pci-driver; do
		for dev in $DEVICES; do
			t "$1.$client.$dev" crate "$1" $client $dev
		done
	done
	t "$1.nvme-driver" crate "$1" nvme-driver nvme
	t "$1.nvme-driver-killed" crate_killed
	t "$1.nvme" nvme_user
	t "$1.nvme-killed" nvme_killed
	t "$1.unload" vfio_unload
}

same() {
	diff -U 2 $OUT/"c.$1" $OUT/"ours.$1"
}

ktap_begin
t c.load vfio_load vfio=c vfio_iommu_type1=c vfio-pci-core=c vfio-pci=c
one_set c
if grep -q rust /vm/modules; then
	t ours.load vfio_load
	one_set ours
	for client in vfio-ioctls pci-driver; do
		for dev in $DEVICES; do
			t "same.$client.$dev" same "$client.$dev"
		done
	done
	t same.nvme-driver same nvme-driver.nvme
fi
ktap_end
