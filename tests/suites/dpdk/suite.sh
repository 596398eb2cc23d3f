# SPDX-License-Identifier: GPL-2.0
# Debian's DPDK: dpdk-testpmd drives igb, e1000e and virtio-net, which hang on one wire, by virtual addresses with an IOMMU
# or by physical ones without. Bursts go round between two ports; one process sends and another receives; both are killed and
# started anew.

OUT=/tmp/dpdk
NICS="igb e1000e virtio-net"
mkdir -p $OUT /dev/hugepages /var/run
# It loads nothing from folders below one that anybody may write to.
chmod 755 /
mount -t hugetlbfs huge /dev/hugepages
case $MACHINE in
*noiommu*) MODE=pa ;;
*) MODE=va ;;
esac

# testpmd NAME "NIC..." OPTIONS...: starts it on these ports; its output is $OUT/NAME, its process the one in $OUT/NAME.pid.
testpmd() {
	name=$1
	eal="--lcores 0@0,1@1 --in-memory --no-telemetry --file-prefix $1 --iova-mode=$MODE"
	for dev in $2; do
		eal="$eal -a $(bdf "$dev")"
	done
	shift 2
	rm -f $OUT/"$name"
	/usr/bin/dpdk-testpmd $eal -- --stats-period 1 --total-num-mbufs=2048 --auto-start "$@" >$OUT/"$name" 2>&1 &
	echo $! >$OUT/"$name".pid
}

# count NAME PORT RX|TX: what the port has received or sent, as last printed.
count() {
	sed -n "/NIC statistics for port $2 /,/####/s/^ *$3-packets: *\([0-9]*\).*/\1/p" $OUT/"$1" | tail -n 1
}

# reaches NAME PORT RX|TX COUNT: waits until it has.
reaches() {
	i=0
	until [ "$(count "$1" "$2" "$3")" -ge "$4" ] 2>/dev/null; do
		i=$((i + 1))
		kill -0 "$(cat $OUT/"$1".pid)" 2>/dev/null && [ $i -lt 600 ] || {
			echo "port $2 of $1: $3 $(count "$1" "$2" "$3") of $4:"
			tail -n 40 $OUT/"$1"
			return 1
		}
		sleep 0.2
	done
	echo "port $2 of $1: $3 $(count "$1" "$2" "$3")"
}

# ended NAME [SIGNAL]: stops it; by itself it ends well.
ended() {
	pid=$(cat $OUT/"$1".pid)
	kill -"${2:-INT}" "$pid"
	i=0
	while [ -e "/proc/$pid" ]; do
		i=$((i + 1))
		[ $i -lt 300 ] || {
			kill -KILL "$pid"
			return 1
		}
		sleep 0.2
	done
	[ "${2:-INT}" = KILL ] || grep -q 'Bye' $OUT/"$1" || {
		tail -n 20 $OUT/"$1"
		return 1
	}
}

# nothing_left: no page is pinned for anybody.
nothing_left() {
	pins=$(pins)
	[ $pins = 0 ] && return
	echo "$pins pages are pinned"
	return 1
}

# round A B: bursts that each port forwards to the other.
round() {
	testpmd round "$1 $2" --forward-mode=io --tx-first
	reaches round 0 RX 1000 && reaches round 1 RX 1000
	status=$?
	ended round && nothing_left && [ $status = 0 ]
}

# apart A B: one process sends by A, another receives by B.
apart() {
	testpmd receiver "$2" --forward-mode=rxonly
	testpmd sender "$1" --forward-mode=txonly
	reaches sender 0 TX 1000 && reaches receiver 0 RX 1000
	status=$?
	ended sender && ended receiver && nothing_left && [ $status = 0 ]
}

# killed A B: in the middle of it; the devices work for who comes next.
killed() {
	for _ in 1 2; do
		testpmd killed "$1 $2" --forward-mode=io --tx-first
		reaches killed 0 RX 100 || {
			ended killed KILL
			return 1
		}
		ended killed KILL && nothing_left || return 1
	done
	round "$1" "$2"
}

bind_all() {
	for dev in $NICS; do
		bind $dev || return 1
	done
}

unbind_all() {
	for dev in $NICS; do
		unbind $dev || return 1
	done
	vfio_unload
}

no_iommu_mode() {
	echo 1 >/sys/module/vfio/parameters/enable_unsafe_noiommu_mode
}

ktap_begin
t load vfio_load
if [ $MODE = pa ] && [ ! -e /sys/module/vfio/parameters/enable_unsafe_noiommu_mode ]; then
	skip dpdk "this vfio.ko has no no-IOMMU mode"
else
	[ $MODE = va ] || t no-iommu no_iommu_mode
	t bind bind_all
	t round-intel round igb e1000e
	t round-virtio round virtio-net e1000e
	t apart-intel apart e1000e igb
	t apart-virtio apart igb virtio-net
	t killed killed e1000e igb
fi
t unbind unbind_all
ktap_end
