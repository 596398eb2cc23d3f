# SPDX-License-Identifier: GPL-2.0
# make fuzz-replay: runs a script of the fuzzer (/vm/script) on the C modules and on the selected ones, shows how the answers
# differ, and shortens it further if it can.
worker=$(sed -n 's/^ *# worker //p' /vm/script)
[ -n "$worker" ] || { echo "the script has no line '# worker DEVICES'"; exit 1; }
for which in c ours; do
	sh /vm/suite/swap.sh $which >/dev/null || exit 1
	vfio_fuzz play /vm/script "$worker" >/tmp/$which
done
cat /tmp/c
echo "lines with - are what the C modules answer, lines with + what the selected ones answer"
! diff -U 0 /tmp/c /tmp/ours || { echo "no difference"; exit 0; }
vfio_fuzz shrink /vm/script "$worker"
exit 1
