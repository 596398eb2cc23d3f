# SPDX-License-Identifier: GPL-2.0
# DMA windows of POWER (spapr.c, spapr_frozen.c): each part on the C backend and on the selected one, whose answers have
# to be the same; then what C answers wrongly, and random steps, on the selected one alone; then mixes of modules.
# SPAPR_LONG=1: more of it, and more mixes of modules in Rust and in C.

OUT=/tmp/spapr
EEH=/sys/kernel/debug/powerpc
mkdir -p $OUT
# Host bridges that freeze this often in an hour are given up.
[ ! -e $EEH/eeh_max_freezes ] || echo 1000 >$EEH/eeh_max_freezes

lpar() {
	[ "$MACHINE" = pseries ]
}

# ask WHICH PART PROGRAM...: runs a part, keeps what it says. Each open and close resets edu by its port, which takes
# seconds.
ask() {
	answers=$OUT/$1.$2
	shift 2
	timeout -s KILL 200 "$@" >"$answers" 2>&1 || echo "exit status $?" >>"$answers"
}

# part WHICH PART DEVICE [DEVICE]
part() {
	ask "$1" "$2" spapr "$(bdf "$3")" "$2" ${4:+"$(bdf "$4")"}
}

# trouble DEVICE: what is the matter with its endpoint, by eeh_pe_state; not whether its bus is known (0x800).
trouble() {
	echo $(($(cut -d' ' -f2 "$PCI/$1/eeh_pe_state") & 0x7ff))
}

# recovery WHICH: an endpoint freezes whose function is bound, and not open: the host recovers it.
recovery() {
	dev=$(bdf edu)
	echo "spapr-recovery-$1." >/dev/kmsg
	freeze "$dev"
	echo "$dev" >$EEH/eeh_dev_check
	tries=0
	# It says so a moment before the endpoint is as it was.
	until dmesg | sed "1,/spapr-recovery-$1\./d" | grep -q 'EEH: Recovery successful' &&
		[ "$(trouble "$dev")" = 0 ]; do
		tries=$((tries + 1))
		[ $tries -lt 60 ] || break
		sleep 1
	done
	# But for how often it has failed by now.
	dmesg | sed "1,/spapr-recovery-$1\./d; s/^\[[^]]*\] //" | grep 'EEH:' | grep -v 'has failed'
	trouble "$dev"
	spapr "$dev" brief
}

# parts: those of this machine.
parts() {
	lpar && echo v1 limit eeh irq bars lpar groups || echo v1 limit v2 eeh irq bars dma64 groups twins frozen recovery forced
	# QEMU's powernv has them with hashed page tables, or if its device tree is told so.
	[ ! -d /sys/kernel/mm/hugepages ] || echo huge
	! grep -qs '[1-9]' /sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages || echo giant
}

# all WHICH [PART]...: everything that is compared, on the modules that are loaded.
all() {
	which=$1
	shift
	for device in $(devices); do
		bind $device || return 1
	done
	for name in ${*:-$(parts)}; do
		case $name in
		dma64) part $which dma64 edu64 ;;
		bars) part $which bars small ;;
		groups) part $which groups edu edu64 ;;
		twins) part $which twins twin-a twin-b ;;
		frozen) ask $which frozen spapr_frozen "$(bdf edu)" ;;
		forced)
			# Only once for each endpoint: then the host does not know its bus any more, without which there are no
			# resets. It does when the endpoint is made anew.
			device=$([ $which = c ] && echo edu || echo edu64)
			dev=$(bdf $device)
			ask $which forced spapr_frozen "$dev" forced
			echo 1 >"$PCI/$dev/remove" && echo 1 >/sys/bus/pci/rescan && bind $device || return 1
			;;
		recovery) recovery $which >"$OUT/$which.recovery" 2>&1 ;;
		*) part $which $name edu ;;
		esac
	done
	for device in $(devices); do
		unbind $device || return 1
	done
}

# same PART [WHICH]
same() {
	# What the program did not get to the end of compares nothing.
	tail -1 "$OUT/c.$1"
	[ "$(tail -1 "$OUT/c.$1")" = done ] && alike "$OUT/c.$1" "$OUT/${2:-ours}.$1"
}

# dma: where edu is made to read and write it does so now and then, on whatever modules. Below a hypervisor the window of one
# host bridge cannot be that of another.
dma() {
	for answers in $(grep -l '^DMA ' $OUT/ours.*); do
		! lpar || [ "${answers##*.}" != groups ] || continue
		echo "${answers##*/}: $(grep -c ': arrived$' "$answers") of $(grep -c '^DMA ' "$answers") arrived"
		grep -q ': arrived$' "$answers" || return 1
	done
}

# bugs: what C answers wrongly, and is asked only where nothing breaks by it.
bugs() {
	wrong=0
	for part in $(lpar && echo lpar || echo v1 v2); do
		right spapr_bugs $part edu || wrong=1
	done
	return $wrong
}

# small_bar: a BAR of less than a page can be mapped, and its registers are read as they are.
small_bar() {
	sed -n '/flags 7/,/mmap/p' $OUT/ours.bars
	[ "$(grep -c 'capabilities 057834b4' $OUT/ours.bars)" = 2 ]
}

# right PROGRAM PART DEVICE [ARGUMENT]...
right() {
	program=$1 what=$2 device=$3
	shift 3
	for d in $(devices); do
		bind $d || return 1
	done
	timeout -s KILL 1500 "$program" "$(bdf "$device")" "$what" "$@"
	status=$?
	for d in $(devices); do
		unbind $d || return 1
	done
	return $status
}

# A group is an endpoint; below a hypervisor it is a host bridge.
groups_are_endpoints() {
	for device in $(devices); do
		dev=$(bdf $device)
		lpar && pe=${dev%%:*} || pe=${dev%%:*}:$(cat "$PCI/$dev/eeh_pe_config_addr")
		echo "$(group $device) $pe"
	done | sort -u >$OUT/pes
	cat $OUT/pes
	[ "$(cut -d' ' -f1 $OUT/pes | sort -u | wc -l)" = "$(wc -l <$OUT/pes)" ] &&
		[ "$(cut -d' ' -f2 $OUT/pes | sort -u | wc -l)" = "$(wc -l <$OUT/pes)" ] && [ "$(wc -l <$OUT/pes)" -ge 2 ]
}

# reload COUNT: loads, uses and unloads them.
reload() {
	for round in $(seq "$1"); do
		vfio_load && bind edu && spapr "$(bdf edu)" brief >$OUT/brief || return 1
		grep -q ': arrived' $OUT/brief && unbind edu && vfio_unload || return 1
		[ ! -e /sys/kernel/debug/vfio ] || return 1
	done
	echo "$round times"
}

# alone MODULE rust|c: one module in one language, the others in the other, answer as those of C.
alone() {
	[ $2 = c ] && others=rust || others=c
	words=
	for m in vfio vfio_iommu_spapr_tce vfio-pci-core vfio-pci; do
		[ $m = "$1" ] && words="$words $m=$2" || words="$words $m=$others"
	done
	lpar && mixed="v1 lpar irq" || mixed="v2 irq ${SPAPR_LONG:+dma64 frozen}"
	vfio_load $words && all mix $mixed && vfio_unload || return 1
	result=0
	for p in $mixed; do
		same $p mix || result=1
	done
	return $result
}

# c_run: what those of C answer: what the selected ones have to, and what they must not.
c_run() {
	all c || return 1
	bugs >$OUT/bugs 2>&1
	grep -c '^done$' $OUT/bugs
}

# mended: what C answers wrongly is right.
mended() {
	sed 's/^/C: /' $OUT/bugs
	bugs
}

# random DEVICE SEED
random() {
	right spapr_own random $1 "${SPAPR_STEPS:-20000}" $2
}

# gone: devices are taken away while their endpoint is being reset, or by who holds them before he closes them.
gone() {
	for what in stuck gone; do
		for how in unbind remove; do
			bind edu && timeout -s KILL 300 spapr_own "$(bdf edu)" $what $how || return 1
			[ $how = unbind ] || echo 1 >/sys/bus/pci/rescan
		done
	done
	bind edu && spapr "$(bdf edu)" brief >$OUT/brief && grep ': arrived' $OUT/brief && unbind edu
}

# another_seed: as many random steps again.
another_seed() {
	vfio_load || return 1
	random $(lpar && echo edu || echo edu64) 77
	result=$?
	vfio_unload && return $result
}

ktap_begin
t groups groups_are_endpoints
t c-load vfio_load vfio=c vfio_iommu_spapr_tce=c vfio-pci-core=c vfio-pci=c
t c-run c_run
t c-unload vfio_unload
t load vfio_load
t run all ours
for file in "$OUT"/c.*; do
	t "${file#"$OUT"/c.}" same "${file#"$OUT"/c.}"
done
t dma dma
t small-bar small_bar
if [ "$(selected vfio_iommu_spapr_tce)" = rust ]; then
	t mended mended
	t promise right spapr_bugs promise edu "$(bdf edu64)" 3
	if lpar; then
		t own right spapr_own lpar edu
		t random random edu 1
	else
		t own1 right spapr_own v1 edu
		t own2 right spapr_own v2 edu
		t owngroups right spapr_own groups edu "$(bdf edu64)"
		# Not of one that was recovered by force.
		t unended right spapr_own unended twin-a
		t random random edu64 1
	fi
	# A hypervisor gives up on a host bridge that once could not make a window.
	if [ "$(selected vfio)" = rust ] && ! lpar; then
		t race right spapr_own race edu "${SPAPR_SECONDS:-10}"
		t gone gone
	fi
fi
t unload vfio_unload
t reload reload "${SPAPR_RELOADS:-3}"
[ -z "$SPAPR_LONG" ] || t random-again another_seed
# On bare metal edu is reset by its port, which takes seconds whenever it is opened or closed.
mixes=vfio_iommu_spapr_tce
! lpar && [ -z "$SPAPR_LONG" ] || mixes="vfio $mixes vfio-pci-core vfio-pci"
[ -e /vm/rust/vfio.ko ] || mixes=
for module in $mixes; do
	for kind in c rust; do
		t "$module-alone-in-$kind" alone $module $kind
	done
done
ktap_end
