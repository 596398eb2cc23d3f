# SPDX-License-Identifier: GPL-2.0
# Compares all that user space sees of our modules with what it sees of the C ones: files, their modes and contents,
# device nodes, uevents, kernel messages. Differences that are wanted are in `differences`, with the reason.
. /vm/suite/snapshot.sh

# observe: the modules from loading to unloading.
observe() {
	during load "vfio_load $LOAD"
	snapshot loaded
	for dev in edu igb twin-a twin-b nvme; do
		during "bind $dev" "bind $dev"
	done
	snapshot bound edu igb twin-a twin-b nvme
	for dev in edu igb; do
		# Before, while and after it is open.
		during "open $dev" "vfio_abi hold $(group $dev) $(bdf $dev) '. /vm/suite/snapshot.sh; snapshot open $dev twin-a
			rmmod vfio_pci; rmmod vfio_pci_core; rmmod vfio_iommu_type1; rmmod vfio'"
		snapshot "closed" $dev
	done
	during "unload type1" "rmmod vfio_iommu_type1"
	during "open without type1" "vfio_abi hold $(group edu) $(bdf edu) true"
	during "load type1" "insmod /vm/\$(cat /tmp/type1)/vfio_iommu_type1.ko"
	for dev in edu igb twin-a twin-b nvme; do
		during "unbind $dev" "unbind $dev"
	done
	snapshot unbound edu igb
	during "new_id" 'echo 1234 11e8 >/sys/bus/pci/drivers/vfio-pci/new_id'
	during "new_id again" 'echo 1234 11e8 >/sys/bus/pci/drivers/vfio-pci/new_id'
	snapshot "new_id" edu
	during "remove_id" 'echo 1234 11e8 >/sys/bus/pci/drivers/vfio-pci/remove_id'
	for dev in edu twin-a edu-port; do
		during "unbind $dev" "unbind $dev"
	done
	during "sriov without vfio-pci's leave" "bind igb; echo 1 >$PCI/$(bdf igb)/sriov_numvfs; cat $PCI/$(bdf igb)/sriov_numvfs; unbind igb"
	during unload vfio_unload
	snapshot unloaded edu
	during "bad parameter" 'VFIO_PARAMS_vfio_pci="enable_sriov=maybe"; vfio_load '"$LOAD; vfio_unload"
	during "bad type1 parameter" 'VFIO_PARAMS_vfio_iommu_type1="dma_entry_limit=-1"; vfio_load '"$LOAD; vfio_unload"
	during "load with parameters" "VFIO_PARAMS_vfio_iommu_type1='allow_unsafe_interrupts=1 disable_hugepages=1 dma_entry_limit=10'
		VFIO_PARAMS_vfio_pci='ids=1234:11e8,8086:10d3:8086:0:2:ff,zzzz,1:2:3:4:5:6:7,,10de nointxmask=1 disable_idle_d3=1 enable_sriov=1 disable_denylist=1'
		vfio_load $LOAD"
	snapshot parameters edu e1000e
	# (That of no-IOMMU mode, which the C module of this kernel has not, is for the suite of that name.)
	for parameter in /sys/module/vfio_*/parameters/*; do
		during "$parameter" "for value in Y 0 12 x -1 99999999999 ''; do
			echo \$value >$parameter
			cat $parameter
		done"
	done
	during "sriov" "bind igb; echo 2 >$PCI/$(bdf igb)/sriov_numvfs; cat $PCI/$(bdf igb)/sriov_numvfs"
	snapshot sriov igb
	during "sriov off" "echo 0 >$PCI/$(bdf igb)/sriov_numvfs; unbind igb"
	for dev in edu twin-a edu-port; do
		during "unbind $dev" "unbind $dev"
	done
	during "unload" vfio_unload
}

compared() {
	partial=
	grep -q ' c$' /vm/modules && partial=partial
	sh /vm/suite/compare.sh /tmp/c /tmp/ours /vm/suite/differences $partial
}

run() {
	# Where the modules come from is our doing.
	observe 2>&1 | sed -E 's=/vm/(c|rust)/=/vm/...=; s/(# loading .*) \((c|rust)\) failed/\1 failed/' >/tmp/"$1"
	wc -l /tmp/"$1"
	! grep -c 'command not found\|not found$\|usage:' /tmp/"$1"
}

# warm_up: what happens only once since the boot. Devices get their interrupts when they are opened for the first time;
# the kernel remarks once on modules that are not signed.
warm_up() {
	for load in "$C" ""; do
		# shellcheck disable=SC2086
		vfio_load $load || return 1
		for dev in edu igb; do
			bind $dev && vfio_abi hold "$(group $dev)" "$(bdf $dev)" true >/dev/null || return 1
			unbind $dev
		done
		vfio_unload || return 1
	done
}

C='vfio=c vfio_iommu_type1=c vfio-pci-core=c vfio-pci=c'
ktap_begin
t warm-up warm_up
LOAD=$C
echo c >/tmp/type1
t c run c
LOAD=
selected vfio_iommu_type1 >/tmp/type1
t ours run ours
t same compared
ktap_end
