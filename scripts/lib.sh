# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Shared by the set-up scripts: where things are, what they are keyed by, how they report. Sourced.

set -euo pipefail

PROJECT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/versions
. "$PROJECT/scripts/versions"

CACHE=${VFIO_CACHE:-/var/cache/vfio-rs}
ARCH=${ARCH:-amd64}
RELEASE=$KERNEL-$ARCH

say() {
	echo "[set-up] $*" >&2
}

die() {
	echo "[set-up] error: $*" >&2
	exit 1
}

[ "$ARCH" = amd64 ] || [ -e "$PROJECT/scripts/arch/$ARCH.sh" ] ||
	die "ARCH=$ARCH is not supported: amd64 $(cd "$PROJECT/scripts/arch" && echo *.sh | sed 's/\.sh//g') are"

# key FILE...: names what is made of these files; another content, another name.
key() {
	cat "$@" | sha256sum | cut -c1-12
}

# A flavour (cloud, rt) has its packages' version in common with the plain kernel, and a configuration of its own.
FLAVOUR=
[[ $KERNEL != *-* ]] || FLAVOUR=-${KERNEL#*-}

# What is slow to make, and what decides its content.
ROOT=$CACHE/root-$(cd "$PROJECT/scripts" && key <(echo "$SUITE") packages setup-root)
STOCK=$CACHE/stock-$KERNEL_PACKAGE$FLAVOUR
SOURCE=$CACHE/linux-$KERNEL_PACKAGE
OLDER_STOCK=$CACHE/stock-$OLDER_PACKAGE
KBUILD_BASE=$CACHE/kernel-$KERNEL_PACKAGE$FLAVOUR-$RUSTC
DEBUG_CONFIG=$PROJECT/tests/vm/kernels/debug.config
DEBUG=$CACHE/debug-$KERNEL_PACKAGE-$RUSTC-$(key "$DEBUG_CONFIG")
KCSAN_CONFIG=$PROJECT/tests/vm/kernels/kcsan.config
KCSAN=$CACHE/kcsan-$KERNEL_PACKAGE-$RUSTC-$(key "$DEBUG_CONFIG" "$KCSAN_CONFIG")
IOMMUFD=$CACHE/iommufd-$KERNEL_PACKAGE-$RUSTC-$(key "$PROJECT/scripts/setup-iommufd")
CLIENTS=$CACHE/clients-$(key <(echo "$SUITE") "$PROJECT/scripts/setup-clients")
DEBIAN=$CACHE/debian-$KERNEL_PACKAGE-$(cd "$PROJECT" && key scripts/setup-debian <(sed -n 's/^Depends: //p' packaging/control))
DOWNLOADS=$CACHE/downloads
# Where the modules are built, and which ones there are.
BUILT=${VFIO_BUILT:-$PROJECT/build/$ARCH}
OURS="vfio vfio_iommu_type1 vfio-pci-core vfio-pci"
TESTS=$CACHE/tests-$KERNEL_PACKAGE-$(cd "$PROJECT" && key scripts/build-tests tests/suites/kselftest/settings.c)

# What another architecture has otherwise: its file below scripts/arch sets these, and any of the above, anew.
SETUP_ROOT=setup-root            # the script that makes $ROOT
BASE_ROOT=$ROOT                  # what it copies and adds to, if that is not the root itself
SETUP_KERNEL="setup-kernel prepare" # the one that makes $KTREE
SETUP_DEBUG=setup-debug          # the one that makes $DEBUG
FETCH_ARCH=$ARCH                 # whose packages of the stock kernel are fetched for that,
FETCHED=$STOCK/.complete-$ARCH   # and what tells that they are there
KTREE=$KBUILD_BASE/$ARCH         # the build tree of the kernel that modules are for, if no other is named
DEBIAN_ARCH=$ARCH                # what Debian calls it
ROOT_BACKPORTS="src:qemu src:ipxe" # what its root has of a newer release
FILTER='/Skipping BTF generation/d' # sed: what the tools say in any build, by name
KMAKE=()                         # what kbuild has to be told
CROSS=                           # the prefix of the names of gcc and binutils
RUST_TRIPLE=x86_64-unknown-linux-gnu
KERNEL_TESTS=(kernel samples variants) # what scripts/build-tests builds of the kernel's own tests,
OUR_TESTS=(ours modules)               # and of ours
# shellcheck source=scripts/arch/arm64.sh
[ "$ARCH" = amd64 ] || . "$PROJECT/scripts/arch/$ARCH.sh"

# The host itself is the right toolchain: the same release of Debian with every package.
host_is_root() {
	[ -z "${VFIO_USE_ROOT:-}" ] && [ "$ARCH" = amd64 ] || return 1
	[ "$(. /etc/os-release && echo "${VERSION_CODENAME:-}")" = "$SUITE" ] || return 1
	# shellcheck disable=SC2046
	dpkg-query -W -f '${db:Status-Abbrev}\n' $(grep -v '^#' "$PROJECT/scripts/packages") 2>/dev/null |
		grep -cv '^ii' >/dev/null && return 1
	# shellcheck disable=SC2046
	dpkg-query -W $(grep -v '^#' "$PROJECT/scripts/packages") >/dev/null 2>&1 || return 1
	[ "$(rustc --version | cut -d' ' -f2)" = "$RUSTC" ] || return 1
	qemu-system-x86_64 -device help 2>/dev/null | grep -q '"igb"' || return 1
}

# wanted_kernel RELEASE: the kernel that modules are installed for; if none is named, the running one or, where files are
# staged (DESTDIR), that of scripts/versions.
wanted_kernel() {
	if [ -n "$1" ]; then
		echo "$1"
	elif [ -n "${DESTDIR:-}" ]; then
		echo "$RELEASE"
	else
		uname -r
	fi
}

# supported RELEASE: whether the modules are written for a kernel of this release.
supported() {
	local version
	for version in $SUPPORTED; do
		[[ $1 != "$version" && $1 != "$version"[.+-]* ]] || return 0
	done
	return 1
}

need_root() {
	[ "$(id -u)" = 0 ] || die "set-up needs root (to unpack Debian packages and to chroot): run it as root"
}

# need_space GIGABYTES
need_space() {
	local free
	free=$(df --output=avail -k "$CACHE" | tail -1)
	[ "$free" -ge $(($1 * 1024 * 1024)) ] ||
		die "$CACHE has $((free / 1024 / 1024)) GB free and set-up needs $1 GB: free some, or set VFIO_CACHE to a folder with more room"
}

# locked NAME COMMAND...: one at a time, across all runs that share the cache.
locked() {
	local name=$1 lock
	shift
	exec {lock}>"$CACHE/.lock-$name"
	flock -n "$lock" || {
		say "another run is setting up $name: waiting for it"
		flock "$lock"
	}
	"$@" {lock}>&-
	exec {lock}>&-
}

# retry COMMAND...: a mirror in the middle of an update has mismatching indexes for a minute.
retry() {
	local try
	for try in 1 2 3 4; do
		"$@" && return
		say "\`$1\` failed (try $try of 4), trying again in $((try * 10)) seconds"
		sleep $((try * 10))
	done
	return 1
}

# mirror: the Debian mirror that the host's apt is configured with.
mirror() {
	if [ -n "${VFIO_MIRROR:-}" ]; then
		echo "$VFIO_MIRROR"
		return
	fi
	local codename uri
	codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	# shellcheck disable=SC2016
	uri=$(apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
		awk -v c="$codename" '$1 == c && $2 == "main" { print $3; exit }')
	uri=${uri:-http://deb.debian.org/debian}
	echo "${uri%/}"
}
