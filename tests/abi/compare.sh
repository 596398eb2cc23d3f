#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Compares two texts by lines: compare.sh C OURS DIFFERENCES [partial]
#
# DIFFERENCES has the lines that may differ, each with its reason:
#	-a line that only the C modules have ## why
#	+a line that only our modules have ## why
# and comments. What the line has in front, up to a bar, is when it was seen; the same difference may be there at
# all times. A difference that is not in it fails, and so does one in it that there is not (unless
# `partial`: some of the modules are C).
diff -U 0 "$1" "$2" | sed 1,2d | grep '^[-+]' >"/tmp/abi.$$"
awk -v partial="$4" '
	NR == FNR && /^[-+]/ {
		at = index($0, " ## ")
		if (!at) {
			print "no reason is given for: " $0
			bad = 1
		}
		allowed[at ? substr($0, 1, at - 1) : $0] = 1
	}
	NR != FNR {
		line = $0
		while (match(line, /^.[^|:]*\| /))
			line = substr(line, 1, 1) substr(line, RLENGTH + 1)
		if (line in allowed)
			used[line] = 1
		else if (++bad <= 200)
			print
	}
	END {
		for (line in allowed)
			if (!(line in used) && partial == "") {
				print "does not differ any more: " line
				bad++
			}
		if (bad)
			print bad + 0 " differences without a reason, or reasons without a difference"
		exit bad > 0
	}' "$3" "/tmp/abi.$$"
status=$?
rm -f "/tmp/abi.$$"
exit $status
