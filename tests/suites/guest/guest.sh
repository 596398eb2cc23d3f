# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# A guest in the machine: Debian's QEMU with KVM, as a user who has been given the devices' nodes and may lock memory.

G=/tmp/guest
GUEST_MB=256
iommufd=
[ "$GUEST_MODE" != iommufd ] || iommufd=yes
NVME_PORT=1 NET_PORT=2 VF_PORT=3 EDU_PORT=4

echo "root:x:0:0::/root:/bin/sh" >/etc/passwd
echo "guest:x:1000:1000::/tmp:/bin/sh" >>/etc/passwd

# within SECONDS COMMAND...: waits until it succeeds.
within() {
	within_left=$(($1 * 5))
	shift
	until "$@"; do
		within_left=$((within_left - 1))
		[ $within_left -gt 0 ] || return 1
		sleep 0.2
	done
}

# give NAME: the user gets the device's node.
give() {
	bind "$1" || return 1
	if [ -n "$iommufd" ]; then
		chown guest "/dev/vfio/devices/$(ls "$PCI/$(bdf "$1")/vfio-dev")"
	else
		chown guest "/dev/vfio/$(group "$1")"
	fi
}

# assigned NAME ID PORT: what QEMU is told of a device.
assigned() {
	echo "vfio-pci,host=$(bdf "$1"),id=$2,bus=port$3,rombar=0${iommufd:+,iommufd=iommufd0}"
}

# The user, with the rights that are his, and what QEMU and the shell talk through.
prepare() {
	[ -e /dev/kvm ] || modprobe kvm_amd || return 1
	chmod 666 /dev/kvm
	[ ! -e /dev/iommu ] || chmod 666 /dev/iommu
	rm -rf $G
	mkdir $G
	mkfifo $G/in $G/qmp.in
	touch $G/out $G/qmp
	echo 0 >$G/asked
	chown -R guest $G
}

# start NAME=ID=PORT...: QEMU with these devices. Locking memory is limited to the guest's and a little more, for each device
# that has a container or page table of its own with a vIOMMU.
start() {
	prepare || return 1
	arguments="-accel kvm -cpu host -smp 1 -m $GUEST_MB -nodefaults -no-user-config -display none"
	locked=$((GUEST_MB + 32))
	append="console=ttyS0 quiet loglevel=2 nowatchdog panic=-1 tsc=reliable no_timer_check nokaslr mitigations=off"
	append="$append clearcpuid=erms,fsrm 8250.nr_uarts=1 $GUEST_CMDLINE"
	if [ -n "$GUEST_VIOMMU" ]; then
		arguments="$arguments -M q35,hpet=off,kernel-irqchip=split -device intel-iommu,caching-mode=on,intremap=on"
		append="$append intel_iommu=on iommu.strict=1"
		# Before the guest's kernel switches translation on, each device sees all of memory.
		locked=$((locked * $#))
	else
		# Ticks that a slow machine has missed are not made up for, or there would be nothing else.
		arguments="$arguments -M q35,hpet=off -global kvm-pit.lost_tick_policy=discard"
	fi
	[ -z "$iommufd" ] || arguments="$arguments -object iommufd,id=iommufd0"
	for device in "$@"; do
		name=${device%%=*} port=${device##*=}
		id=${device#*=}
		arguments="$arguments -device pcie-root-port,id=port$port,chassis=$port"
		arguments="$arguments -device $(assigned "$name" "${id%=*}" "$port")"
	done
	# QEMU says what passes through it; what the kernel does by itself it does not see.
	for event in vfio_msi_interrupt vfio_intx_interrupt vfio_intx_enable_kvm vfio_iommu_map_notify; do
		arguments="$arguments -trace $event"
	done
	arguments="$arguments -chardev file,id=line,path=$G/out,input-path=$G/in -serial chardev:line"
	arguments="$arguments -chardev file,id=qmp,path=$G/qmp,input-path=$G/qmp.in -mon chardev=qmp,mode=control"
	arguments="$arguments -kernel /vm/guest/vmlinuz -initrd /vm/guest/initramfs"
	(
		# The pipes stay open whoever writes to them.
		exec 5<>$G/in 6<>$G/qmp.in
		ulimit -l $((locked * 1024))
		exec su -s /bin/sh guest -c "exec /usr/bin/qemu-system-x86_64 $arguments $GUEST_QEMU -append '$append'" >$G/log 2>&1
	) &
	echo $! >$G/pid
	qmp '{"execute":"qmp_capabilities"}' || return 1
	booted 1
}

# QEMU is there, and KVM has not stopped the guest.
running() {
	kill -0 "$(cat $G/pid)" 2>/dev/null && ! grep -q 'KVM internal error' $G/log
}

# times TEXT: how often the guest has said so.
times() {
	grep -cx "$1" $G/out
}

came_up() {
	[ "$(times '=== ready')" -ge "$1" ] || ! running
}

# booted COUNT: the guest has come up so many times.
booted() {
	within ${BOOT_SECONDS:-400} came_up "$1" && running && return
	echo "the guest does not boot:"
	tail -n 60 $G/log $G/out $G/qmp
	return 1
}

# answered FILE PATTERN: it is there, or QEMU is gone.
answered() {
	grep -q "$2" "$1" || ! running
}

# ask COMMAND...: the guest does it, as one line; prints what it printed, returns its status.
ask() {
	number=$(($(cat $G/asked) + 1))
	echo $number >$G/asked
	before=$(wc -l <$G/out)
	echo "$number $*" | tr '\n' ' ' | sed 's/ $/\n/' 1<>$G/in
	within ${ASK_SECONDS:-120} answered $G/out "^=== $number [0-9]" || true
	tail -n +$((before + 1)) $G/out | grep -v '^==='
	status=$(sed -n "s/^=== $number //p" $G/out)
	[ -n "$status" ] || echo "the guest does not answer to: $*; $(cat $G/log)"
	return "${status:-1}"
}

# said PATTERN: QEMU has, since the last command; or it is gone.
said() {
	tail -n +"$(cat $G/said)" $G/qmp | grep -q "$1" || ! running
}

# qmp COMMAND [PATTERN]: QEMU does it; with a pattern, waits until QEMU says that.
qmp() {
	echo $(($(wc -l <$G/qmp) + 1)) >$G/said
	echo "$1" 1<>$G/qmp.in
	# The first time it includes all that QEMU does before.
	within 300 said '"return"\|"error"'
	[ -z "$2" ] || within 300 said "$2\|\"error\""
	said "${2:-\"return\"}" && running && return
	echo "QEMU does not do $1:"
	tail -n +"$(cat $G/said)" $G/qmp
	cat $G/log
	return 1
}

# traced PATTERN: how often QEMU has said so.
traced() {
	grep -c "^vfio_$1" $G/log
}

gone() {
	! running && [ ! -e "/proc/$(cat $G/pid)" ]
}

# slay: QEMU is killed, whatever it is doing.
slay() {
	kill -KILL "$(cat $G/pid)" && within 60 gone
}

# quit: QEMU ends by itself.
quit() {
	echo '{"execute":"quit"}' 1<>$G/qmp.in
	within 60 gone || {
		slay
		return 1
	}
}
