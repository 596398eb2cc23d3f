# SPDX-License-Identifier: GPL-2.0
# use.sh c|ours: these modules, with the devices bound that the steps are taken on; nothing if they are loaded.
. /vm/lib.sh
. /vm/suite/world.sh
use "$1"
