# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# A user of a device in the background (vfio_events), who is told what to do, and prints into $log what is seen of it.

[ -e /tmp/ask ] || mkfifo /tmp/ask

# within SECONDS COMMAND...: waits until it succeeds.
within() {
	left=$(($1 * 5))
	shift
	until "$@"; do
		left=$((left - 1))
		[ $left -gt 0 ] || {
			echo "FAILED: waited in vain for $*"
			return 1
		}
		sleep 0.2
	done
}

# How often the user of now, not one before, has printed that line.
heard() {
	tail -n "+$((since + 1))" "$log" | grep -c "^$1\$"
}

# told WORDS TIMES: whether the user has printed that line so often.
told() {
	[ "$(heard "$1")" -ge "${2:-1}" ]
}

absent() {
	[ ! -e "$1" ]
}

# use DEVICE [OPTIONS]: a user opens it, in the background.
use() {
	: >>"$log"
	since=$(wc -l <"$log")
	vfio_events "$(bdf "$1")" "$(bdf "$1")${2:+ $2}" </tmp/ask >>"$log" 2>&1 &
	exec 4>/tmp/ask
	within 30 told ready
}

# ask WORD: has the user do something, and waits for the end of it.
ask() {
	before=$(heard "end $1")
	echo "$1" >&4
	within 120 told "end $1" $((before + 1))
}

finish() {
	ask close
	exec 4>&-
	wait $!
}

# What two runs printed, on the C modules and on the selected ones.
same() {
	alike "$OUT/c.$1" "$OUT/ours.$1"
}
