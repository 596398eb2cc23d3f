# SPDX-License-Identifier: GPL-2.0
# Dma-bufs of BARs, with an importer of our own (module/vfio_test_importer.c), on the C modules and on the selected ones:
# the answers have to be the same.

OUT=/tmp/transcripts
DEVICES="edu igb nvme"
mkdir -p $OUT

# one_set SET [MODULE=rust|c]...: everything on these modules.
one_set() {
	set_name=$1
	shift
	vfio_load "$@" && insmod /vm/test-modules/vfio_test_importer.ko || return 1
	for dev in $DEVICES; do
		bind $dev || return 1
		for section in rules revoke waits leave race; do
			timeout -s KILL 60 dma_buf $section "$(bdf $dev)" >$OUT/"$set_name".$dev-$section 2>&1 ||
				echo "exit status $?" >>$OUT/"$set_name".$dev-$section
		done
		unbind $dev
	done
	rmmod vfio_test_importer && vfio_unload
}

# Not on the C modules, which look at freed memory then.
path() {
	vfio_load && bind edu || return 1
	timeout -s KILL 120 dma_buf path "$(bdf edu)" && bind edu && unbind edu && vfio_unload
}

# same NAME: what the selected modules answered is what the C modules answer.
same() {
	diff -U 2 $OUT/c."$1" $OUT/ours."$1" | sed 1,2d
	cmp -s $OUT/c."$1" $OUT/ours."$1" && ! grep -E '^(FATAL|exit status)' $OUT/ours."$1"
}

# On the C modules the table of each mapping is lost, by Linux's own dma_buf_free_sgt(). kmemleak is to tell what ours leave.
forget_leaks() {
	leaks=/sys/kernel/debug/kmemleak
	[ -w $leaks ] || return 4
	# It looks at nothing younger.
	sleep 6
	echo scan >$leaks && sleep 1 && echo scan >$leaks && echo clear >$leaks
}

ktap_begin
t run-c one_set c vfio=c vfio_iommu_type1=c vfio-pci-core=c vfio-pci=c
t forget-leaks forget_leaks
t run-ours one_set ours
t path path
for file in $OUT/c.*; do
	t "${file#"$OUT"/c.}" same "${file#"$OUT"/c.}"
done
echo "# $(cat $OUT/ours.* | wc -l) answers compared"
ktap_end
