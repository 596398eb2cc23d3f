# SPDX-License-Identifier: GPL-2.0
# Whether the pure functions that vfio.ko and vfio-pci-core.ko export answer as the C ones (tests/host/tables) do.

same() {
	cmp "/proc/vfio_tables/$1" "/vm/suite/$1.txt" && return
	diff -U 0 "/vm/suite/$1.txt" "/proc/vfio_tables/$1" | sed 1,2d | cut -c 1-200 | head -20
	return 1
}

ktap_begin
t load vfio_load
t tables insmod /vm/test-modules/vfio_tables.ko
for table in /vm/suite/*.txt; do
	t "$(basename "$table" .txt)" same "$(basename "$table" .txt)"
done
t none-missing test "$(ls /proc/vfio_tables | wc -l)" = "$(ls /vm/suite/*.txt | wc -l)"
rmmod vfio_tables
t unload vfio_unload
ktap_end
