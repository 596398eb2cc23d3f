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

ROOT_PACKAGES=(
	# The kernel's build
	bc bindgen bison cpio flex gcc gcc-aarch64-linux-gnu kmod libc6-dev libdw-dev libelf-dev libssl-dev make pahole perl
	python3 rust-src rustc xz-utils zlib1g-dev
	# User space: samples and the kernel's selftests
	ca-certificates cargo libc6-dev:arm64 libstd-rust-dev:arm64 rsync uuid-dev:arm64
	# The test machines
	busybox-static:arm64 qemu-system-arm ipxe-qemu
)
ROOT=$CACHE/root-arm64-$(cd "$PROJECT/scripts" && key <(echo "$SUITE" "${ROOT_PACKAGES[@]}") setup-arch-root)
