# SPDX-License-Identifier: GPL-2.0
# Random steps on type1 containers, the same on the C modules and on the selected ones (type1_steps.c). STEPS_SCRIPTS scripts of
# STEPS_COUNT steps each from STEPS_SEED. Where an answer differs, the script is made short and printed.

. /vm/suite/world.sh
SEED=${STEPS_SEED:-1} SCRIPTS=${STEPS_SCRIPTS:-20} COUNT=${STEPS_COUNT:-1000} SLICE=${STEPS_SLICE:-10}
ANSWERS=/tmp/steps

# Groups behind several kinds of IOMMUs, in every order.
domains() {
	use "$1" || return 1
	timeout -s KILL 200 type1_domains "$(bdf edu)" >/tmp/domains.$1 2>&1 || echo "exit status $?" >>/tmp/domains.$1
}

# Nothing was mapped in the domains that have gone; in C there is, when others stay, or when a group cannot join.
emptied() {
	[ "$(cat /sys/module/vfio_test_iommu/parameters/left_mapped)" = 0 ]
}

# ours_only PART: what C cannot be asked.
ours_only() {
	use ours || return 1
	type1_domains "$(bdf edu)" "$1" >/tmp/part 2>&1
	result=$?
	cat /tmp/part
	unuse || return 1
	[ $result = 0 ] && ! grep WRONG /tmp/part >/dev/null
}

# Where lockdep watches: it still does behind ours, which so go first, and not behind the C type1 (C_TYPE1 in suites.py).
still_watched() {
	take record ours "$SEED" "$SLICE" && rm -f $ANSWERS.* && [ "$(awk '$1 == "debug_locks:" { print $2 }' /proc/lockdep_stats)" = 1 ]
}

# take record|compare c|ours SEED COUNT: so many scripts on these modules.
take() {
	use "$2" || return 1
	STEPS_WORLD=$(world)
	export STEPS_WORLD
	type1_steps "$1" $ANSWERS "$3" "$4" "$COUNT"
}

# Some scripts at a time, so that a difference is seen early. One that does not come again is told, and is no failure.
steps() {
	done=0
	while [ $done -lt "$SCRIPTS" ]; do
		rm -f $ANSWERS.*
		if ! { take record c $((SEED + done)) "$SLICE" && take compare ours $((SEED + done)) "$SLICE"; }; then
			[ -e $ANSWERS.differs ] || return 1
			differs_again && return 1
			echo "# by chance: this does not come again"
		fi
		done=$((done + SLICE))
		echo "# $((done * COUNT)) steps compared"
	done
	rm -f $ANSWERS.*
}

# Whether the script that differed does so once more, or cannot be tried.
differs_again() {
	read -r seed count <$ANSWERS.differs
	for which in c ours; do
		use $which || return 0
		type1_steps show "$seed" "$count" >/tmp/again.$which
	done
	diff -U 8 /tmp/again.c /tmp/again.ours | sed 1,2d | head -40
	grep "NOT AS THE MODEL" /tmp/again.c && return
	! cmp -s /tmp/again.c /tmp/again.ours
}

# Only if an answer differs: what is short enough to be understood.
shrink() {
	type1_steps shrink $ANSWERS.script "sh /vm/suite/use.sh"
}

ktap_begin
t domains-ours domains ours
[ "$(selected vfio_iommu_type1)" = c ] || t domains-emptied emptied
[ ! -e /proc/lockdep_stats ] || [ "$(selected vfio_iommu_type1)" = c ] || t still-watched still_watched
t domains-c domains c
t domains alike /tmp/domains.c /tmp/domains.ours
t steps steps
if [ -e $ANSWERS.script ]; then
	echo "# one script of those that differ:"
	STEPS_WORLD=$(world)
	export STEPS_WORLD
	shrink
fi
t unload unuse
[ "$(selected vfio_iommu_type1)" = c ] || t tracked ours_only tracked
t nothing-pinned nothing_pinned
# The last one, as it leaves pages pinned.
[ "$(selected vfio_iommu_type1)" = c ] || t cut-short ours_only cut
echo "# $(wc -l </tmp/domains.ours) answers about domains compared"
ktap_end
