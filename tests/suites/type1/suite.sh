# SPDX-License-Identifier: GPL-2.0
# DMA into pages that are, or were a moment ago, mapped; mappings made and unmade by several threads at once,
# and by one that is killed meanwhile.

dma() {
	vfio_load && bind "$1" || return 1
	type1_dma "$(group "$1")" "$(bdf "$1")"
	result=$?
	unbind "$1"
	vfio_unload || return 1
	return $result
}

threads() {
	vfio_load && bind "$1" || return 1
	type1_threads "$(group "$1")" "${TYPE1_SECONDS:-60}"
	result=$?
	unbind "$1"
	vfio_unload || return 1
	return $result
}

ktap_begin
t dma-edu dma edu
t threads-edu threads edu
t threads-igb threads igb
ktap_end
