# SPDX-License-Identifier: GPL-2.0
# One thing of each kind that the debug kernel is to notice is done wrong (module/). Its log is judged the other way round: the
# runner has to find every one of them (`provokes` in tests/vm/vmlib/suites.py).

# wrong KIND: done by a module that is gone again afterwards, as ours are when a suite is over.
wrong() {
	insmod /vm/test-modules/vfio_test_splat.ko kind="$1" && rmmod vfio_test_splat
}

# The process that does it dies, and the module stays.
overflow() {
	! insmod /vm/test-modules/vfio_test_overflow.ko && [ -d /sys/module/vfio_test_overflow ]
}

ktap_begin
# What is found of locks turns lockdep off, and so does KASAN.
for kind in sleep list reference shift timer leak locks bounds freed; do
	t $kind wrong $kind
done
t overflow overflow
ktap_end
