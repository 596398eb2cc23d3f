# SPDX-License-Identifier: GPL-2.0
# The library crates under KUnit: vfio_kunit.ko (drivers/vfio/kunit_main.rs) runs its tests when it is loaded and reports
# in the kernel log.

# What KUnit has said since line $1 of the kernel log, as subtests.
report() {
	dmesg | sed "1,$1d" | sed -E 's/^\[ *[0-9.]+\] //' | grep -E '^ *(ok|not ok|# |KTAP|1\.\.)|ASSERTION|vfio_kunit:'
}

run() {
	lines=$(dmesg | wc -l)
	insmod /vm/test-modules/vfio_kunit.ko || return 1
	report "$lines" >/tmp/kunit
	cat /tmp/kunit
	rmmod vfio_kunit || return 1
	# Both suites, and nothing that failed.
	grep -q '^ok .*vfio_logic' /tmp/kunit && grep -q '^ok .*vfio_kapi' /tmp/kunit && ! grep -q 'not ok' /tmp/kunit
}

ktap_begin
t kunit run
ktap_end
