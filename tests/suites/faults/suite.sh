# SPDX-License-Identifier: GPL-2.0
# Every operation with its first, second, ... allocation or copy from or to user space failing (faults.h), on a kernel with
# fault injection (q35-debug).

. /vm/suite/arm.sh

# It allocates by the thousand, and what its failures do is its own.
ACPI='acpi_(ds|ev|ex|hw|ns|ps|rs|tb|ut)_'

# Wherever a module is loaded.
arm() {
	arm_faults 0xffffffffa0000000 0xffffffffff000000 || return 1
	# Warnings of an allocation that failed are in the log only: a serial line would take longer for them than all the rest. Errors are
	# on the console as well, should the machine not come to its end.
	dmesg -n 4
	spare "$ACPI"
}

# spare EXPRESSION: nothing fails that is done by the kernel's functions from the first to the last one of such a name.
spare() {
	sed -n '/ _stext$/,/ _etext$/p' /proc/kallsyms | awk -v name=" [tT] $1" '
		last { print $1; last = 0 }
		$0 ~ name { if (!n++) print $1; last = 1 }' | sed -n '1p;$p' >/tmp/spared
	[ "$(wc -l </tmp/spared)" = 2 ] || return 1
	for kind in $KINDS; do
		echo "0x$(head -1 /tmp/spared)" >$DEBUG/$kind/reject-start
		echo "0x$(tail -1 /tmp/spared)" >$DEBUG/$kind/reject-end
	done
	echo "# spared: $(tr '\n' ' ' </tmp/spared)"
}

# recorded WHAT COMMAND...: what each operation answered goes to $ANSWERS, as WHAT/OPERATION: ERRNO...
ANSWERS=/tmp/answers
recorded() {
	what=$1
	shift
	{ "$@"; echo $? >/tmp/faults.status; } | tee /tmp/faults
	cat /tmp/faults >>/tmp/faults.all
	sed -n "s|^# \(.*\): [0-9]* failures:\(.*\); [0-9]* of .*|$what/\1:\2|p" /tmp/faults >>$ANSWERS
	return "$(cat /tmp/faults.status)"
}

# faults PROGRAM SECTION NAME...: a program for the devices that are named.
faults() {
	program=faults_$1
	section=$2
	shift 2
	# shellcheck disable=SC2046
	recorded "$section-$1" $program "$section" $(for device in "$@"; do bdf "$device"; done)
}

# An operation gives no other reasons than on the C modules: what these answered is in the file `answers`. ENOMEM may be missing: where
# nothing is allocated nothing fails; but what C copies from or to a user is copied. `differences` has what is otherwise. Left out are
# files of debugfs, which C has not, and the mappings, which C does not come back from (below).
same_answers() {
	awk -F': *' '
		FILENAME ~ /differences$/ { split($2, word, " "); other[$1 " " word[1]] = 1; next }
		FILENAME ~ /suite.answers$/ { if ($0 !~ /^#/) { known[$1] = 1; list[$1] = " " $2 " " } next }
		$1 ~ /\/sys\// || $1 ~ /^type1-/ && !($1 in known) { next }
		!($1 in known) { print $1 ": not known of C"; bad = 1; next }
		{
			compared++
			met[$1] = 1
			n = split($2, errors, " ")
			for (i = 1; i <= n; i++)
				if (!index(list[$1], " " errors[i] " ") && !(($1 " " errors[i]) in other)) { print $1 ": answers " errors[i] ", C:" list[$1]; bad = 1 }
			if (list[$1] ~ / EFAULT / && !index(" " $2 " ", " EFAULT ") && !(($1 " -EFAULT") in other)) { print $1 ": no copy failed, as on C"; bad = 1 }
		}
		END {
			for (name in known)
				if (!(name in met) && name !~ /\/sys\//) { print name ": was not tried"; bad = 1 }
			print "# compared: " compared + 0
			exit bad || !compared
		}' /vm/suite/differences /vm/suite/answers $ANSWERS
}

c_modules() {
	[ "$(awk '{ print $2 }' /vm/modules | sort -u)" = c ]
}

# functions: of igb, whose VFs are left to nobody.
functions() {
	[ -e "$PCI/$(bdf igb)/sriov_numvfs" ] || return 4
	echo 0 >"$PCI/$(bdf igb)/sriov_drivers_autoprobe"
	# Linux does not survive that a virtual function cannot be added: pci_device_add() warns, and device_del() then crashes.
	spare 'pci_iov_add_virtfn$' || return 1
	faults driver sriov igb
	result=$?
	spare "$ACPI" || return 1
	# These open the device, which evaluates ACPI's routing of interrupts.
	faults driver token igb && return $result
}

# Devices that are only in the machine's memory: pages pinned for them, and migration.
emulated() {
	insmod /vm/test-modules/vfio_test_emulated.ko || return 1
	for section in register pins; do
		t emulated-$section recorded emulated-$section faults_emulated $section vfio-test-emulated.0
	done
	[ ! -e /dev/iommu ] || t emulated-iommufd recorded emulated-iommufd faults_emulated iommufd vfio-test-emulated.0
	t emulated-unload rmmod vfio_test_emulated
}

MDEV=83b8f4f2-509f-382f-3c1e-e6bfe0fa0001
migration() {
	modprobe mdev && insmod /vm/test-modules/mtty.ko || return 1
	echo $MDEV >/sys/class/mdev_bus/mtty/mdev_supported_types/mtty-2/create || return 1
	recorded migration faults_emulated migration $MDEV
	result=$?
	echo 1 >/sys/bus/mdev/devices/$MDEV/remove
	rmmod mtty mdev || return 1
	return $result
}

[ -n "$SUITE" ] || return 0
: >$ANSWERS
ktap_begin
t arm arm
modprobe -a $(cat /vm/needed)
insmod /vm/test-modules/vfio_test_importer.ko
export VFIO_PARAMS_vfio_pci=enable_sriov=1
t load vfio_load
for device in edu edu-port igb; do
	t bind-$device bind $device
done
if c_modules; then
	skip type1 "the C modules do not come back from unmap-new-tables-scattered"
else
	t type1 faults container type1 edu edu-port
fi
for section in info irqs access features resets; do
	t $section-igb faults device $section igb
done
# shellcheck disable=SC2046
t live-igb recorded live-igb faults_live $(bdf igb)
t irqs-edu-port faults device irqs edu-port
t resets-edu-port faults device resets edu-port
if [ -e /dev/iommu ]; then
	t iommufd faults iommufd all edu-port
fi
t functions-igb functions
t core faults container core edu edu-port
emulated
t migration migration
# Two devices that are reset together.
for device in twin-a twin-b; do
	t bind-$device bind $device
done
t info-twin-a faults device info twin-a
t resets-twin-a faults device resets twin-a
for device in twin-a twin-b; do
	t unbind-$device unbind $device
done
for device in edu edu-port igb; do
	t unbind-$device unbind $device
done
t bind faults driver bind edu
t unbind faults driver unbind edu
# The host's driver takes the device again: nothing owns its DMA any more.
modprobe igb
t host-driver bind igb igb
unbind igb
rmmod vfio_test_importer
t unload vfio_unload
t modules recorded modules faults_driver modules /vm/"$(selected vfio)"
t injected injected 1000 /tmp/faults.all
if c_modules; then
	sed 's/^/# answer /' $ANSWERS
else
	t answers same_answers
fi
ktap_end
