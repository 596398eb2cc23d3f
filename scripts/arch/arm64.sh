# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034
# arm64 has a stock kernel as amd64 has, made by the same compilers; those that run here are in a root of their own.
# Sourced by scripts/lib.sh.
SETUP_ROOT=setup-arch-root
KMAKE=(ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu-)
CROSS=aarch64-linux-gnu-
RUST_TRIPLE=aarch64-unknown-linux-gnu
# Its kernel has no mdev, and nothing that runs there needs a module of its own.
KERNEL_TESTS=(kernel)
OUR_TESTS=(ours)

# Beside what scripts/packages has
ROOT_PACKAGES=(
	# The kernel's build, samples, the kernel's selftests
	gcc-aarch64-linux-gnu libc6-dev:arm64 libstd-rust-dev:arm64 uuid-dev:arm64
	# The test machines
	busybox-static:arm64 qemu-system-arm
)
ROOT=$CACHE/root-arm64-$(cd "$PROJECT/scripts" && key <(echo "${BASE_ROOT##*/}" "${ROOT_PACKAGES[@]}") setup-arch-root)
