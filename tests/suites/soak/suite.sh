# SPDX-License-Identifier: GPL-2.0
# Everything over and over: modules loaded, devices bound, opened, mapped, interrupted, reset, closed, killed, unbound, modules
# unloaded; several devices and processes at a time (vfio_soak). What was done, and memory before and after, at the end of
# each round. `make soak` runs it for as long as wanted.

SECONDS_ALL=${SOAK_SECONDS:-60}
ROUND=${SOAK_ROUND:-10}
DEVICES="edu-port igb e1000e nvme virtio-net ivshmem"
OUT=/tmp/soak
# What is known of memory after each round, in kB but for the pages.
KINDS="other slab vmalloc percpu iommu processes"
mkdir -p $OUT

uptime_seconds() {
	cut -d. -f1 /proc/uptime
}

# What is kept for the next who wants the same goes back.
settle() {
	sync
	echo 3 >/proc/sys/vm/drop_caches
	sleep 1
	for cache in /sys/kernel/slab/*/shrink; do
		echo 1 >"$cache"
	done
	echo 1 >/proc/sys/vm/stat_refresh
}

# number WORD: how often that has been done.
number() {
	awk -v w="$1" '{ for (i = 2; i <= NF; i += 2) if ($i == w) n += $(i - 1) } END { print n + 0 }' $OUT/all
}

# memory: a line of $OUT/memory: opens so far; KINDS; free; pages that are pinned; what is locked by processes.
# Each processor keeps pages for itself, up to some 20 MB, which are free but not in MemFree. What is neither free nor in
# any other number of /proc/meminfo is "other": pages that somebody has allocated as such. (Kernel stacks are in VmallocUsed.)
memory() {
	settle
	pins=$(pins)
	locked=$(cat /proc/[0-9]*/status 2>/dev/null | awk '/^VmLck:/ { n += $2 } END { print n + 0 }')
	awk -v opens="$(number opens)" -v pins="$pins" -v locked="$locked" '
		/^[A-Z]/ && !($1 in v) { v[$1] = $2 }
		$1 == "count:" { kept += $2 * 4 }
		END {
			free = v["MemFree:"] + kept
			processes = v["AnonPages:"] + v["PageTables:"]
			named = v["Buffers:"] + v["Cached:"] + v["SReclaimable:"] + v["Hugetlb:"]
			named += v["SUnreclaim:"] + v["VmallocUsed:"] + v["Percpu:"] + v["SecPageTables:"] + processes
			print opens, v["MemTotal:"] - free - named, v["SUnreclaim:"], v["VmallocUsed:"], v["Percpu:"], v["SecPageTables:"],
				processes, free, pins, locked
		}' /proc/meminfo /proc/zoneinfo
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
	tail -n 1 $OUT/memory
	[ $n != 2 ] || look second
	look last
	return $bad
}

# look NAME: keeps the bytes of each slab cache, and how long the kernel log is.
look() {
	awk 'NR > 2 { print $1, $2 * $4 }' /proc/slabinfo >$OUT/caches."$1"
	dmesg | wc -l >$OUT/lines."$1"
}

totals() {
	awk '{ for (i = 1; i < NF; i += 2) n[$(i + 1)] += $i } END { for (k in n) printf "%d %s  ", n[k], k; print "" }' $OUT/all
	echo "opens; kB: $KINDS, free; pages pinned; kB locked:"
	sed 's/^/before the modules:     /' $OUT/before
	sed -n '2s/^/after the second round: /p' $OUT/memory
	sed -n '$s/^/after the last one:     /p' $OUT/memory
	echo "slab caches that grew most since the second round, bytes:"
	awk 'NR == FNR { was[$1] = $2; next } $2 > was[$1] { print $2 - was[$1], $1 }' $OUT/caches.second $OUT/caches.last | sort -rn | head -n 5
	echo "$n rounds; lines in the kernel log: $(cat $OUT/lines.before) before, $(cat $OUT/lines.second) after the second round, $(cat $OUT/lines.last) after the last one"
}

# Nothing grows with what is done. What each round leaves swings, by 100 kB or so, so that the straight line counts which is next to
# all of them but the first, which fills what is filled once: from its begin to its end less than 256 kB and 128 bytes for
# each open device are lost, of each kind.
leaks() {
	awk -v kinds="$KINDS" '
		$9 != 0 { print $9 " pages are pinned"; bad = 1 }
		$10 != 0 { print $10 " kB are locked"; bad = 1 }
		NR > 1 { n++; for (i = 1; i <= 7; i++) at[n, i] = $i }
		END {
			if (n < 4) { print "too few rounds"; exit 1 }
			opens = at[n, 1] - at[1, 1]
			if (opens < 1) { print "nothing was done"; exit 1 }
			most = 256 + opens / 8
			split(kinds, name, " ")
			for (i = 2; i <= 7; i++) {
				x = y = xx = xy = 0
				for (k = 1; k <= n; k++) { x += at[k, 1] / n; y += at[k, i] / n }
				for (k = 1; k <= n; k++) { dx = at[k, 1] - x; xx += dx * dx; xy += dx * (at[k, i] - y) }
				lost = xy / xx * opens
				printf "%s: %d kB lost with %d opens, may be %d%s\n", name[i - 1], lost, opens, most, (lost > most) ? ": too much" : ""
				if (lost > most) bad = 1
			}
			exit bad
		}' $OUT/memory
}

ktap_begin
touch $OUT/all
memory >$OUT/before
look before
end=$(($(uptime_seconds) + SECONDS_ALL))
n=0
until [ $n -ge 5 ] && [ "$(uptime_seconds)" -ge $end ]; do
	n=$((n + 1))
	t round-$n round
	[ $ktap_failed = 0 ] || break
done
t totals totals
t leaks leaks
ktap_end
