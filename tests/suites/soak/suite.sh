# SPDX-License-Identifier: GPL-2.0
# Everything over and over: modules loaded, devices bound, opened, mapped, interrupted, reset, closed, killed, unbound, modules
# unloaded; several devices and processes at a time (vfio_soak). What was done, and memory before and after, at the end of
# each round. `make soak` runs it for as long as wanted.

SECONDS_ALL=${SOAK_SECONDS:-60}
ROUND=${SOAK_ROUND:-15}
DEVICES="edu-port igb e1000e nvme virtio-net ivshmem"
OUT=/tmp/soak
mkdir -p $OUT

uptime_seconds() {
	cut -d. -f1 /proc/uptime
}

# memory: what the kernel has in use, in kB, when caches are dropped; pages that are pinned.
memory() {
	echo 3 >/proc/sys/vm/drop_caches
	sleep 1
	pins=$(pins)
	awk -v pins=$pins '{ v[$1] = $2 } END { print v["MemFree:"], v["SUnreclaim:"], v["VmallocUsed:"], v["Percpu:"], v["PageTables:"], pins }' /proc/meminfo
}

# Of each device: bound, used for a while, unbound, again and again until the round ends.
worker() {
	stop=$(($(uptime_seconds) + ROUND))
	while left=$((stop - $(uptime_seconds))) && [ $left -gt 0 ]; do
		[ $left -lt 5 ] || left=5
		bind "$1" || return 1
		vfio_soak "$(bdf "$1")" $left "$(uptime_seconds)" || return 1
		unbind "$1" || return 1
		echo "1 binds"
	done
}

# status_of NAME COMMAND...: its status, for who waits for it.
status_of() {
	name=$1
	shift
	"$@"
	echo $? >"$OUT/$name.status"
}

# round: all of it once.
round() {
	vfio_load || return 1
	workers=
	for dev in $DEVICES; do
		status_of $dev worker $dev >$OUT/$dev 2>&1 &
		workers="$workers $!"
	done
	wait $workers
	bad=0
	for dev in $DEVICES; do
		[ "$(cat $OUT/$dev.status)" = 0 ] || {
			echo "$dev:"
			tail -n 5 $OUT/$dev
			bad=1
		}
		cat $OUT/$dev >>$OUT/all
	done
	vfio_unload || return 1
	memory >>$OUT/memory
	caches $n
	return $bad
}

# caches NAME: keeps the bytes of each slab cache.
caches() {
	awk 'NR > 2 { print $1, $2 * $4 }' /proc/slabinfo >$OUT/caches."$1"
	dmesg | wc -l >$OUT/lines."$1"
}

totals() {
	awk '{ for (i = 1; i < NF; i += 2) n[$(i + 1)] += $i } END { for (k in n) printf "%d %s  ", n[k], k; print "" }' $OUT/all
	echo "kB free, slab that is not reclaimable, vmalloc, per processor, page tables; pinned pages:"
	sed 's/^/before the modules:    /' $OUT/before
	head -n 1 $OUT/memory | sed 's/^/after the first round: /'
	tail -n 1 $OUT/memory | sed 's/^/after the last one:    /'
	echo "slab caches that grew most since the first round, bytes:"
	awk 'NR == FNR { was[$1] = $2; next } $2 > was[$1] { print $2 - was[$1], $1 }' $OUT/caches.1 $OUT/caches.$n | sort -rn | head -n 5
	echo "$n rounds; lines in the kernel log: $(cat $OUT/lines.0) before, $(cat $OUT/lines.1) after the first round, $(cat $OUT/lines.$n) after the last one"
}

# Nothing grows with what is done: less than 2 MiB and 8 bytes for each operation more than after the first round is in use.
leaks() {
	done=$(awk '{ for (i = 1; i < NF; i += 2) n += $i } END { print n }' $OUT/all)
	awk -v done=$done '
		NR == 1 { free = $1; slab = $2 }
		{ if ($6 != 0) { print $6 " pages are pinned"; bad = 1 } }
		END {
			most = 2048 + done * 8 / 1024
			if (free - $1 > most * 4) { print "memory is lost: " free " -> " $1; bad = 1 }
			if ($2 - slab > most) { print "slab is lost: " slab " -> " $2; bad = 1 }
			exit bad
		}' $OUT/memory
}

ktap_begin
memory >$OUT/before
caches 0
end=$(($(uptime_seconds) + SECONDS_ALL))
n=0
until [ $n -ge 2 ] && [ "$(uptime_seconds)" -ge $end ]; do
	n=$((n + 1))
	t round-$n round
	[ $ktap_failed = 0 ] || break
done
t totals totals
t leaks leaks
ktap_end
