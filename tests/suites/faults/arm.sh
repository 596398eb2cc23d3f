# SPDX-License-Identifier: GPL-2.0
# Fault injection of the kernel, for the suites in which each allocation and copy fails once; sourced. A program then counts
# down to one of them by fail-nth (faults.h).

# injected LEAST LOG: whether so many failures were injected, of which these programs tell in LOG.
injected() {
	sed -n 's/^# .*: \([0-9]*\) failures:.*/\1/p' "$2" | awk -v least="$1" '{ n += $1 } END { print "# injected: " n + 0; exit n < least }'
}

DEBUG=/sys/kernel/debug
KINDS='failslab fail_page_alloc fail_usercopy'

# arm_faults FIRST LAST: failures hit what has a function between these addresses on its stack, every allocation of any size and
# kind.
arm_faults() {
	for kind in $KINDS; do
		[ -d $DEBUG/$kind ] || return 1
		echo 32 >$DEBUG/$kind/stacktrace-depth
		echo "$1" >$DEBUG/$kind/require-start
		echo "$2" >$DEBUG/$kind/require-end
		echo "${FAULTS_VERBOSE:-0}" >$DEBUG/$kind/verbose
		[ ! -e $DEBUG/$kind/ignore-gfp-wait ] || echo N >$DEBUG/$kind/ignore-gfp-wait
	done
	echo N >$DEBUG/fail_page_alloc/ignore-gfp-highmem
	echo 0 >$DEBUG/fail_page_alloc/min-order
}
