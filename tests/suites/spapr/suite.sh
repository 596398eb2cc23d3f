# SPDX-License-Identifier: GPL-2.0
# DMA windows of POWER (spapr.c): each part on the C backend and on the selected one, whose answers have to be the same;
# then what C answers wrongly, and random steps, on the selected one alone.

OUT=/tmp/spapr
mkdir -p $OUT

# answers WHICH PART DEVICE [ARGUMENT]: runs a part, keeps what it says. Each open and close resets edu by its port,
# which takes seconds.
answers() {
	timeout -s KILL 200 spapr "$(bdf "$3")" "$2" $4 >"$OUT/$1.$2" 2>&1 || echo "exit status $?" >>"$OUT/$1.$2"
}

# all WHICH: everything that is compared, on the modules that are loaded.
all() {
	bind edu && bind edu64 || return 1
	for part in v1 limit v2 eeh; do
		answers "$1" $part edu
	done
	answers "$1" dma64 edu64
	answers "$1" groups edu "$(bdf edu64)"
	unbind edu && unbind edu64
}

same() {
	wc -l <"$OUT/ours.$1"
	tail -1 "$OUT/ours.$1"
	[ "$(tail -1 "$OUT/c.$1")" = done ] && cmp -s "$OUT/c.$1" "$OUT/ours.$1" && return
	echo "lines with - are what the C modules answer, lines with + what the selected ones answer"
	diff -U 2 "$OUT/c.$1" "$OUT/ours.$1" | sed 1,2d | head -60
	return 1
}

# right PART DEVICE [ARGUMENT]
right() {
	bind edu && bind edu64 || return 1
	timeout -s KILL 400 spapr "$(bdf "$2")" "$1" $3
	status=$?
	unbind edu && unbind edu64 && return $status
}

ktap_begin
t c-load vfio_load vfio=c vfio_iommu_spapr_tce=c vfio-pci-core=c vfio-pci=c
t c-run all c
t c-unload vfio_unload
t load vfio_load
t run all ours
for file in "$OUT"/c.*; do
	t "${file#"$OUT"/c.}" same "${file#"$OUT"/c.}"
done
if [ "$(selected vfio_iommu_spapr_tce)" = rust ]; then
	t own1 right own1 edu
	t own2 right own2 edu
	t owngroups right owngroups edu "$(bdf edu64)"
	t random right random edu "${SPAPR_STEPS:-20000}"
fi
t unload vfio_unload
ktap_end
