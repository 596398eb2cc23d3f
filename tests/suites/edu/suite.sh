# SPDX-License-Identifier: GPL-2.0
# samples/edu, the user-space driver, through everything it does; every step of its own is checked by it.

. /vm/suite/run.sh
ktap_begin
if command -v vfio-edu >/dev/null; then
	for dev in edu edu-port; do
		t "$dev" main_job "$dev"
	done
else
	skip edu "samples/edu was not built"
fi
ktap_end
