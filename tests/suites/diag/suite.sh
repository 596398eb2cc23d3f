# SPDX-License-Identifier: GPL-2.0
# What the modules tell the administrator: files in debugfs, messages at a refusal, who holds a device that is
# unbound. The C modules have none of it in Debian, so what they would say is not tried.

DEBUG=/sys/kernel/debug/vfio
EDU=$(bdf edu)

# is WHAT EXPECTED GOT: the two are equal.
is() {
	[ "$2" = "$3" ] && return 0
	echo "$1: expected '$2', got '$3'"
	return 1
}

# has FILE LINE: the file has this line.
has() {
	grep -qxF "$2" "$1" && return 0
	echo "no line '$2' in $1:"
	cat "$1"
	return 1
}

# lacks FILE TEXT: the file does not have this text.
lacks() {
	grep -qF "$2" "$1" || return 0
	echo "'$2' in $1:"
	cat "$1"
	return 1
}

tab=$(printf '\t')

# mark, logged TEXT: whether a message since the mark contains TEXT; soon_logged TEXT: or comes to do so within a minute.
marks=0
mark() {
	marks=$((marks + 1))
	echo "diag-mark-$marks." >/dev/kmsg
}
# From the last of that number on: each test counts anew.
since() {
	dmesg | awk -v mark="diag-mark-$marks." 'index($0, mark) { text = ""; seen = 1; next } seen { text = text $0 "\n" } END { printf "%s", text }'
}
logged() {
	since | grep -qF "$1" && return 0
	echo "not logged: '$1'; but:"
	since
	return 1
}
soon_logged() {
	for _ in $(seq 60); do
		since | grep -qF "$1" && return 0
		sleep 1
	done
	logged "$1"
}

# hold NAME SECONDS: a process that has the device, and everything else, open; its number is $holder.
hold() {
	holding diag_user hold "$(bdf "$1")" "$2" holder
}

release() {
	kill -9 $holder
	wait $holder 2>/dev/null
	:
}

ours() {
	for module in "$@"; do
		[ "$(selected "$module")" = rust ] || return 1
	done
}

# --- files --------------------------------------------------------------------------------------------------------

modes() {
	VFIO_PARAMS_vfio_pci="nointxmask=1" vfio_load || return 1
	bind edu || return 1
	for file in groups containers "$EDU/users"; do
		is "mode of $file" 400 "$(stat -c %a $DEBUG/$file)" || return 1
	done
	is "mode of $DEBUG" 755 "$(stat -c %a $DEBUG)" || return 1
	# It does not migrate.
	[ ! -e $DEBUG/$EDU/migration ] || return 1
	! ours vfio_iommu_type1 || is "mode for type1" 400 "$(stat -c %a $DEBUG/type1/containers)" || return 1
}

policies() {
	ours vfio-pci-core || return 4
	for file in nointxmask disable_idle_d3; do
		is "mode of $file" 444 "$(stat -c %a $DEBUG/$EDU/pci/$file)" || return 1
	done
	is nointxmask Y "$(cat $DEBUG/$EDU/pci/nointxmask)" || return 1
	is disable_idle_d3 N "$(cat $DEBUG/$EDU/pci/disable_idle_d3)" || return 1
	# A device keeps what it was bound with.
	echo N >/sys/module/vfio_pci/parameters/nointxmask
	echo Y >/sys/module/vfio_pci/parameters/disable_idle_d3
	is nointxmask Y "$(cat $DEBUG/$EDU/pci/nointxmask)" || return 1
	bind edu || return 1
	is nointxmask N "$(cat $DEBUG/$EDU/pci/nointxmask)" || return 1
	is disable_idle_d3 Y "$(cat $DEBUG/$EDU/pci/disable_idle_d3)" || return 1
	echo N >/sys/module/vfio_pci/parameters/disable_idle_d3
	bind edu
}

holders() {
	is "users of a closed device" "" "$(cat $DEBUG/$EDU/users)" || return 1
	is "containers without any" "" "$(cat $DEBUG/containers)" || return 1
	lacks $DEBUG/groups "opened by" || return 1
	hold edu 60 || return 1
	is users "\"holder\" ($holder)" "$(cat $DEBUG/$EDU/users)" || return 1
	has $DEBUG/groups "group $(group edu):" || return 1
	has $DEBUG/groups "${tab}devices: $EDU" || return 1
	has $DEBUG/groups "${tab}viable: yes" || return 1
	has $DEBUG/groups "${tab}opened by: \"holder\" ($holder)" || return 1
	has $DEBUG/groups "${tab}open files of devices: 1" || return 1
	id=$(awk '/\tcontainer:/ { print $2 }' $DEBUG/groups)
	has $DEBUG/containers "container $id:" || return 1
	has $DEBUG/containers "${tab}opened by: \"holder\" ($holder)" || return 1
	has $DEBUG/containers "${tab}groups: $(group edu)" || return 1
	has $DEBUG/containers "${tab}backend: vfio-iommu-type1, type 3" || return 1
	release
	is "users afterwards" "" "$(cat $DEBUG/$EDU/users)" || return 1
	is "containers afterwards" "" "$(cat $DEBUG/containers)" || return 1
	lacks $DEBUG/groups "opened by"
}

mappings() {
	ours vfio_iommu_type1 || return 4
	is "nothing mapped" "" "$(cat $DEBUG/type1/containers)" || return 1
	hold edu 60 || return 1
	has $DEBUG/type1/containers "container with groups $(group edu):" || return 1
	has $DEBUG/type1/containers "${tab}mappings: 2, 65533 more possible" || return 1
	has $DEBUG/type1/containers "${tab}mapped: 260 KiB" || return 1
	has $DEBUG/type1/containers "${tab}locked pages: 65" || return 1
	release
	is "nothing mapped afterwards" "" "$(cat $DEBUG/type1/containers)"
}

# The name of a process is its own choice.
escapes() {
	: >/tmp/held
	diag_user hold "$EDU" 60 "$(printf 'a"\n\033[31mb')" >/tmp/held &
	holder=$!
	until grep -q held /tmp/held; do sleep 0.05; done
	got=$(cat $DEBUG/$EDU/users)
	release
	is users '"a\"\n\x1b[31mb" ('$holder')' "$got"
}

viable() {
	# Two devices of one group; the other one is the host's.
	bind twin-a || return 1
	modprobe "$(host_driver twin-b)"
	bind twin-b "$(host_driver twin-b)" || return 1
	b=$(bdf twin-b)
	has $DEBUG/groups "${tab}viable: no, $b has driver e1000" || return 1
	mark
	is join EPERM "$(diag_user join "$(bdf twin-a)")" || return 1
	logged "e1000 $b: vfio: group $(group twin-a) is not viable: this device is bound to driver e1000" || return 1
	unbind twin-b || return 1
	lacks $DEBUG/groups "viable: no" || return 1
	mark
	is join 0 "$(diag_user join "$(bdf twin-a)")" || return 1
	since | grep "not viable" && return 1
	# Without a driver it is out of VFIO's hands nevertheless.
	! ours vfio-pci-core || {
		mark
		is reset EINVAL "$(diag_user reset "$(bdf twin-a)")" || return 1
		logged "pci $b: vfio: hot reset by" || return 1
		logged "it would reset this device too, whose driver is none" || return 1
		bind twin-b || return 1
		is reset 0 "$(diag_user reset "$(bdf twin-a)")" || return 1
		mark
		is reset-other EINVAL "$(diag_user reset-other "$(bdf twin-a)" "$EDU")" || return 1
		logged "group $(group twin-a) of this device was not shown to be theirs" || return 1
		unbind twin-b || return 1
	}
	unbind twin-a
	lacks $DEBUG/groups "$(bdf twin-a)"
}

# --- messages -----------------------------------------------------------------------------------------------------

refusals() {
	hold edu 60 || return 1
	mark
	is open EBUSY "$(diag_user open "$EDU")" || return 1
	logged "vfio: group $(group edu) cannot be opened by \"diag_user\"" || return 1
	logged "\"holder\" ($holder) has it open" || return 1
	release
	mark
	is type ENODEV "$(diag_user type "$EDU")" || return 1
	logged "wants IOMMU type 99, but no module is loaded that has it" || return 1
	ours vfio_iommu_type1 || return 0
	mark
	is memlock ENOMEM "$(diag_user memlock "$EDU")" || return 1
	logged "vfio_iommu_type1: RLIMIT_MEMLOCK (65536) exceeded by \"diag_user\"" || return 1
	logged ": 32768 bytes are locked, 131072 more were to be"
}

# reason WHAT ERRNO TEXT: doing WHAT gives ERRNO, and TEXT in the log if debugging is on.
reason() {
	mark
	is "$1" "$2" "$(diag_user "$1" "$EDU")" || return 1
	if [ $dyndbg = +p ]; then
		logged "vfio: refused \"diag_user\" (" || return 1
		logged "$3"
	else
		since | grep refused || return 0
		return 1
	fi
}

reasons() {
	control=/sys/kernel/debug/dynamic_debug/control
	[ -e $control ] || echo "this kernel cannot be asked for them (CONFIG_DYNAMIC_DEBUG), so there are none"
	for dyndbg in $([ ! -e $control ] || echo +p) -p; do
		for module in vfio vfio_iommu_type1 vfio_pci_core; do
			[ ! -e $control ] || echo "module $module $dyndbg" >$control
		done
		reason early EINVAL "no group is in the container (error -22)" || return 1
		reason leave EINVAL "UNSET_CONTAINER of group $(group edu): it is in no container" || return 1
		reason name ENODEV "GET_DEVICE_FD of group $(group edu): no device has that name" || return 1
		ours vfio_iommu_type1 && {
			reason align EINVAL "multiples of the IOMMU's page" || return 1
			reason flags EINVAL "unknown flags" || return 1
			reason overlap EEXIST "MAP_DMA of 0x1000 bytes at 0x11000: it overlaps the mapping at 0x10000" || return 1
			# Messages of one place are limited to ten in five seconds.
			sleep 5
			reason reserved EINVAL "at 0xfee00000: the IOMMU cannot map all of it, or parts are reserved" || return 1
			reason cut EINVAL "the range ends inside of the mapping at 0x0" || return 1
		}
		ours vfio-pci-core && {
			reason irq EINVAL "another kind of interrupt is enabled, or none" || return 1
			reason short EINVAL "argsz is 4, less than 16" || return 1
		}
	done
	:
}

# --- unbinding ----------------------------------------------------------------------------------------------------

unbind_waits() {
	hold edu 120 || return 1
	mark
	(echo "$EDU" >$PCI/$EDU/driver/unbind) &
	unbinder=$!
	sleep 3
	# A signal makes it say so, and no more.
	kill $unbinder
	soon_logged "$EDU: Device is currently in use, task \"init\" ($unbinder) blocked until device is released" || return 1
	[ ! -e $DEBUG/$EDU ] || return 1
	soon_logged "$EDU: Device is still in use after 10 s, opened by \"holder\" ($holder)" || return 1
	soon_logged "$EDU: Device is still in use after 20 s, opened by \"holder\" ($holder)" || return 1
	kill -0 $unbinder || return 1
	release
	wait $unbinder 2>/dev/null
	is driver "" "$(driver_of edu)" || return 1
	lacks $DEBUG/groups "$EDU" || return 1
	bind edu
}

# --- files that are open while what they show goes ----------------------------------------------------------------

open_files() {
	exec 6<$DEBUG/$EDU/users 7<$DEBUG/groups
	cat <&7 >/dev/null || return 1
	hold edu 60 || return 1
	unbind edu &
	release
	wait || return 1
	[ ! -e $DEBUG/$EDU ] || return 1
	! cat <&6 2>/tmp/error || return 1
	grep -q "Input/output error\|I/O error" /tmp/error || {
		cat /tmp/error
		return 1
	}
	# An open file holds the module.
	! vfio_unload 2>/dev/null || return 1
	[ -d /sys/module/vfio ] || return 1
	exec 6<&- 7<&-
	vfio_unload || return 1
	[ ! -e $DEBUG ]
}

# rmmod is refused while a file is open.
unload_patiently() {
	tries=0
	until vfio_unload 2>/dev/null; do
		tries=$((tries + 1))
		[ $tries -lt 300 ] || return 1
		sleep 0.02
	done
}

races() {
	diag_user read "${DIAG_SECONDS:-20}" &
	first=$!
	diag_user read "${DIAG_SECONDS:-20}" &
	second=$!
	rounds=0
	while kill -0 $first 2>/dev/null; do
		vfio_load || return 1
		for n in 1 2 3; do
			for dev in edu igb twin-a; do
				bind $dev || return 1
			done
			vfio_hold "$EDU" cgd >/dev/null || return 1
			hold igb 60 || return 1
			diag_user overlap "$EDU" >/dev/null
			release
			for dev in twin-a igb edu; do
				unbind $dev || return 1
			done
		done
		unload_patiently || return 1
		rounds=$((rounds + 1))
	done
	echo "$rounds rounds"
	wait $first && wait $second
}

ktap_begin
mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null
if ours vfio; then
	t files modes
	t policies policies
	t holders holders
	t mappings mappings
	t escapes escapes
	t viable viable
	t refusals refusals
	t reasons reasons
	t unbind unbind_waits
	t open-files open_files
	t races races
else
	# The C module of Debian has no debugfs: ours makes the folder.
	vfio_load
	if ours vfio_iommu_type1; then
		bind edu
		t mappings mappings
	fi
	unbind edu
	t unload vfio_unload
	t nothing-left [ ! -e $DEBUG ]
fi
ktap_end
