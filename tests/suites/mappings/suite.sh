# SPDX-License-Identifier: GPL-2.0
# Mappings of large BARs, which come in huge pages: what takes them away, what is there afterwards. The same on the C modules
# and on the selected ones (mappings.c).

OUT=/tmp/mappings
mkdir -p $OUT

# one WHICH DEVICE BAR SCENE
one() {
	bind "$2" || return 1
	timeout -s KILL 200 mappings "$4" "$(bdf "$2")" "$3" >"$OUT/$1.$2-$4" 2>&1 || echo "exit status $?" >>"$OUT/$1.$2-$4"
	unbind "$2"
	[ "$(tail -1 "$OUT/$1.$2-$4")" = done ] && return
	cat "$OUT/$1.$2-$4"
	return 1
}

# one_set WHICH: everything, on the modules that are loaded.
one_set() {
	for scene in revoke parts others race; do
		t "$1-nvme-$scene" one "$1" nvme 2 $scene
	done
	t "$1-testdev-revoke" one "$1" testdev 2 revoke
}

# But for the number of faults, of which a process has some that are none of the mapping's.
same() {
	alike "$OUT/c.$1" "$OUT/ours.$1"
}

# huge DEVICE PAGES: whether reading the whole BAR took some faults, but only so many, and a few for the process itself.
huge() {
	sed -n 's/^memory on: .*faults //p' "$OUT/ours.$1-revoke" | tee /tmp/faults
	awk -v most="$2" '$1 < 1 || $1 > most + 4 { bad = 1 } END { exit bad || NR != 1 }' /tmp/faults
}

# What was taken away was gone, and what came back was all of it.
right() {
	grep ': .* are there, ' "$OUT/ours.$1-revoke" >/tmp/looks
	! grep -v '^\(memory off\|D3hot\|in low power\|interrupts with memory off\|closed, but mapped\): ' /tmp/looks | grep -v ' 0 differ, 0 are gone, ' &&
		! grep '^\(memory off\|D3hot\|in low power\|interrupts with memory off\): ' /tmp/looks | grep -v ': 0 are there, 0 differ, '
}

ktap_begin
t c-load vfio_load vfio=c vfio_iommu_type1=c vfio-pci-core=c vfio-pci=c
one_set c
t c-unload vfio_unload
t load vfio_load
one_set ours
t unload vfio_unload
# 64 MiB in pages of 2 MiB, 2 GiB in pages of 1 GiB.
t nvme-huge huge nvme 32
t testdev-huge huge testdev 2
t nvme-right right nvme
t testdev-right right testdev
for file in "$OUT"/c.*; do
	t "${file#"$OUT"/c.}" same "${file#"$OUT"/c.}"
done
ktap_end
