# SPDX-License-Identifier: GPL-2.0
# The library crates under KUnit: vfio_kunit.ko (drivers/vfio/kunit_main.rs) runs its tests when it is loaded and reports
# in the kernel log.

# What KUnit has said since line $1 of the kernel log, as subtests.
report() {
	dmesg | sed "1,$1d" | sed -E 's/^\[ *[0-9.]+\] //' | grep -E '^ *(ok|not ok|# |KTAP|1\.\.)|ASSERTION|vfio_kunit:'
}

# whole NAME COUNT: the suite has so many tests in its plan, and each of them passed: none failed, was skipped or did not come to its
# end. The count is here as well, so that none gets lost.
whole() {
	awk -v name="$1" -v count="$2" '
		/# Subtest: / { inside = ($NF == name); next }
		inside && /^ *1\.\./ { sub(/.*1\.\./, ""); plan = $1 + 0 }
		inside && /^ +ok / && !/# SKIP/ { passed++ }
		/^ok / && $3 == name { inside = 0; ended = 1 }
		END {
			if (!ended || plan != count || passed != count) {
				printf "# %s: %d of %d tests passed, of %d that there should be\n", name, passed, plan, count
				exit 1
			}
		}' /tmp/kunit
}

run() {
	lines=$(dmesg | wc -l)
	insmod /vm/test-modules/vfio_kunit.ko || return 1
	report "$lines" >/tmp/kunit
	cat /tmp/kunit
	rmmod vfio_kunit || return 1
	whole vfio_logic 33 && whole vfio_kapi 22 && ! grep -q 'not ok' /tmp/kunit
}

ktap_begin
t kunit run
ktap_end
