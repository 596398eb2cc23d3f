# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034
# POWER, little-endian. Debian has no kernel with Rust for it: scripts/setup-power builds one, from the stock kernel's
# source, which needs a newer rustc there. Sourced by scripts/lib.sh.
RUSTC=1.96.1
SETUP_ROOT=setup-arch-root
SETUP_KERNEL=setup-power
# All that is fetched of the stock kernel is its source.
FETCH_ARCH=amd64
FETCHED=$STOCK/.complete-amd64
DEBIAN_ARCH=ppc64el
CROSS=powerpc64le-linux-gnu-
KMAKE=(ARCH=powerpc LLVM=1 CROSS_COMPILE=$CROSS)
# The sample is not for it: edu has big-endian registers there.
RUST_TRIPLE=
OURS="vfio vfio_iommu_spapr_tce vfio-pci-core vfio-pci"
# rustc says this of its own description of the target, whatever it compiles.
FILTER+=';/^warning: (unknown and )?unstable feature specified for `-Ctarget-feature`: `(mma|vsx|hard-float|altivec)`$/,/^$/d'
FILTER+=';/^warning: 4 warnings emitted$/,/^$/d'

# Beside what scripts/packages has, or newer
ROOT_PACKAGES=(
	# The kernel's build
	gcc-powerpc64le-linux-gnu rust-clippy rust-src rustc rustfmt
	# User space: test programs
	libc6-dev:ppc64el
	# The test machines
	busybox-static:ppc64el qemu-system-ppc
)
ROOT_BACKPORTS="src:qemu src:ipxe src:rustc"
ROOT=$CACHE/root-ppc64le-$(cd "$PROJECT/scripts" && key <(echo "${BASE_ROOT##*/}" "${ROOT_PACKAGES[@]}" "$ROOT_BACKPORTS") setup-arch-root)

POWER_CONFIG=$PROJECT/tests/vm/kernels/power.config
POWER_WARN=$PROJECT/scripts/arch/ppc64le-warn.h
STOCK=$CACHE/power-$KERNEL_PACKAGE-$RUSTC-$(key "$POWER_CONFIG" "$POWER_WARN")
KTREE=$STOCK/$ARCH/build
DEBUG_CONFIG=$PROJECT/tests/vm/kernels/power-debug.config
DEBUG=$CACHE/power-debug-$KERNEL_PACKAGE-$RUSTC-$(key "$POWER_CONFIG" "$DEBUG_CONFIG" "$POWER_WARN")
SETUP_DEBUG="setup-power debug"

# The kernel's selftests know no POWER, and its samples and variant drivers are not for it.
KERNEL_TESTS=(headers)
OUR_TESTS=(ours)
