# SPDX-License-Identifier: GPL-2.0
# The same random steps on the C modules and on the selected ones; what they answer is compared (vfio_fuzz.c). A difference
# is shortened and printed as a script, which `make fuzz-replay` runs again.

SEED=${FUZZ_SEED:-1}
STEPS=${FUZZ_STEPS:-100000}

# worker SHARE DEVICES...: the share is a percentage of the steps. What has no reset, or a quick one, gets more.
worker() {
	share=$1
	shift
	echo "$(for dev in "$@"; do bdf "$dev"; done | tr '\n' ',' | sed 's/,$//')/$share"
}

# shellcheck disable=SC2086
set -- ${FUZZ_SHARES:-55 8 8 8 11 10}
WORKERS="$(worker $1 edu ivshmem) $(worker $2 igb virtio-blk) $(worker $3 e1000e nvme) $(worker $4 virtio-net xhci)"
WORKERS="$WORKERS $(worker $5 edu-port) $(worker $6 twin-a twin-b)"

run_on() {
	sh /vm/suite/swap.sh "$1" || return 1
	start=$(date +%s)
	# shellcheck disable=SC2086
	vfio_fuzz run "$1" "$SEED" "$STEPS" $WORKERS || return 1
	echo "$(($(date +%s) - start)) seconds"
}

ktap_begin
t c run_on c
t ours run_on ours
# shellcheck disable=SC2086
t same vfio_fuzz compare "$SEED" $WORKERS
t unload sh /vm/suite/swap.sh none
t nothing-pinned nothing_pinned
ktap_end
