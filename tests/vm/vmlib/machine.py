# SPDX-License-Identifier: GPL-2.0
"""What a test machine is made of.

A machine is data: add one to MACHINES and `make machines` lists it, `make test MACHINE=<name>` runs it.
Suites name devices (`edu`, `igb`, ...), never addresses; the guest gets the table as /vm/devices.
"""

import struct
from dataclasses import dataclass, replace

from . import acpi


@dataclass(frozen=True)
class Device:
    """A device under test: its name in the suites, its address in the guest, QEMU's -device arguments."""

    name: str
    bdf: str
    pci_id: str
    qemu: tuple[str, ...]
    driver: str = ""  # the host driver of the guest that would drive it, "" if there is none


# Where the guest finds its lines to the outside: the console, and as /dev/ttyS1 to ttyS3 what the suite prints, the kernel
# log at the end, QEMU's monitor.
PC_LINES = tuple(arg for name in ("console", "output", "kernel", "monitor") for arg in ("-serial", f"chardev:{name}"))
# For machines that have one serial port, or have it under another name.
PCI_LINES = ("-serial", "chardev:console", "-chardev", "null,id=none")
# The slot chooses the interrupt line: a device that raises the same one while nobody listens would stop it.
PCI_LINES += ("-device", "pci-serial-4x,addr=0x1f,chardev1=none,chardev2=output,chardev3=kernel,chardev4=monitor")

# For machines that have one line for all of it.
ONE_LINE = ("-serial", "chardev:output")


@dataclass(frozen=True)
class Machine:
    """A machine: how QEMU makes it, what its kernel is told, and which suites make sense on it."""

    name: str
    about: str
    arch: str
    qemu: str
    args: tuple[str, ...]
    cmdline: str
    devices: tuple[Device, ...]
    suites: tuple[str, ...]
    long_suites: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()  # extra stock modules in the initramfs, loaded by nobody but the suites
    early: tuple[str, ...] = ()  # stock modules loaded before anything else
    lines: tuple[str, ...] = PC_LINES
    defaults: tuple[str, ...] = ("-nodefaults",)  # what keeps QEMU from adding devices of its own
    memory: str = "4G"
    # or "older": that of another version, "iommufd": the stock kernel with iommufd, or "debug", "kcsan"; modules of ours are built
    # for each
    kernel: str = "stock"
    optional: bool = False  # left out of `make test` unless it is named; `make test-long` has it
    environment: tuple[tuple[str, str], ...] = ()  # what the suites and tests/vm/guest/init are told
    acpi: bytes = b""  # an ACPI table to add
    processor: tuple[str, str, bytes] | None = None  # node and property to add to the device tree, and its value
    cannot: tuple[tuple[str, str], ...] = ()  # tests that QEMU's model fails on any modules, and why (`cannot` in guest/lib.sh)
    slowness: float = 1  # a suite may take so many times as long as it says

    def device(self, name: str) -> Device:
        return next(d for d in self.devices if d.name == name)


def behind_port(number: int, device: str, ident: str) -> tuple[str, ...]:
    """A device behind its own root port, alone in its IOMMU group."""
    port = f"pcie-root-port,id=rp{number},chassis={number},addr={number + 3:#x}"
    return ("-device", port, "-device", f"{device},bus=rp{number},id={ident}")


VIRTIO = "iommu_platform=on,disable-legacy=on"
# One that reaches all addresses.
EDU64 = "edu,dma_mask=0xffffffffffffffff"

# Buses are numbered by the firmware in the order of the root ports, so the addresses are fixed.
PC_DEVICES = (
    Device("edu", "0000:00:02.0", "1234:11e8", ("-device", "edu,addr=0x2,id=edu")),
    Device(
        "ivshmem",
        "0000:00:03.0",
        "1af4:1110",
        (
            "-object",
            "memory-backend-ram,size=128M,share=on,id=shm",
            "-device",
            "ivshmem-plain,memdev=shm,addr=0x3",
        ),
    ),
    Device("igb", "0000:01:00.0", "8086:10c9", behind_port(1, "igb", "igb"), "igb"),
    Device("e1000e", "0000:02:00.0", "8086:10d3", behind_port(2, "e1000e", "e1000e"), "e1000e"),
    Device(
        "nvme",
        "0000:03:00.0",
        "1b36:0010",
        ("-drive", "if=none,id=disk0,file={disk},format=raw,snapshot=on")
        + behind_port(3, "nvme,serial=vfio,drive=disk0", "nvme"),
        "nvme",
    ),
    Device("virtio-net", "0000:04:00.0", "1af4:1041", behind_port(4, f"virtio-net-pci,{VIRTIO}", "vnet"), "virtio-pci"),
    Device(
        "virtio-blk",
        "0000:05:00.0",
        "1af4:1042",
        ("-drive", "if=none,id=disk1,file={disk},format=raw,snapshot=on")
        + behind_port(5, f"virtio-blk-pci,drive=disk1,{VIRTIO}", "vblk"),
        "virtio-pci",
    ),
    # Two conventional devices behind one PCI bridge share an IOMMU group.
    Device(
        "twin-a",
        "0000:07:01.0",
        "1234:11e8",
        behind_port(6, "pcie-pci-bridge", "pci") + ("-device", "edu,bus=pci,addr=0x1"),
    ),
    Device("twin-b", "0000:07:02.0", "8086:100e", ("-device", "e1000,bus=pci,addr=0x2"), "e1000"),
    # The edu on the root bus cannot be reset; this one can, by its port.
    Device("edu-port", "0000:08:00.0", "1234:11e8", behind_port(7, EDU64, "eduport")),
    # It has 16 MSI.
    Device("xhci", "0000:09:00.0", "1b36:000d", behind_port(8, "qemu-xhci,msi=on", "xhci")),
)
# Without remapping of interrupts a device gets one MSI, and the kernel's selftest wants all that it has: it has none here.
PC_DEVICES_FEW_MSI = (*PC_DEVICES[:-1], Device("xhci", "0000:09:00.0", "1b36:000d", behind_port(8, "qemu-xhci", "xhci")))

HOST_DRIVERS = ("igb", "e1000e", "e1000", "nvme", "virtio_net", "virtio_blk", "pci-stub")


def kvm_machine(name: str, about: str, iommu: str, kernel: str = "stock", suite: str = "kvm") -> Machine:
    """A PC that runs KVM: QEMU's own emulation has AMD's virtualisation."""
    return Machine(
        name=name,
        about=about,
        arch="amd64",
        qemu="qemu-system-x86_64",
        args=("-cpu", "max", "-M", "q35,kernel-irqchip=split", "-smp", "2", "-device", f"intel-iommu,{iommu}"),
        cmdline="console=ttyS0 intel_iommu=on no_timer_check tsc=reliable",
        devices=tuple(d for d in PC_DEVICES if d.name in ("edu", "igb")),
        suites=(suite,),
        modules=(*HOST_DRIVERS, "kvm_amd"),
        memory="1G",
        kernel=kernel,
    )


# A device has to be at address 0 behind the one port of its host bridge; the firmware numbers these.
POWERNV_DEVICES = (
    Device("edu", "0000:01:00.0", "1234:11e8", ("-device", "edu,bus=pcie.0,addr=0x0,id=edu")),
    Device("edu64", "0001:01:00.0", "1234:11e8", ("-device", f"{EDU64},bus=pcie.1,addr=0x0,id=edu64")),
    # What is behind a bridge for conventional devices is one endpoint.
    Device(
        "twin-a",
        "0002:02:01.0",
        "1234:11e8",
        ("-device", "pcie-pci-bridge,bus=pcie.2,addr=0x0,id=pci", "-device", "edu,bus=pci,addr=0x1"),
    ),
    Device("twin-b", "0002:02:02.0", "1234:11e8", ("-device", "edu,bus=pci,addr=0x2")),
    # Its BAR has 256 bytes, and little-endian registers.
    Device("small", "0002:02:03.0", "1b36:0007", ("-device", "sdhci-pci,bus=pci,addr=0x3")),
)
# Each host bridge is one group.
LPAR_DEVICES = (
    Device("edu", "0000:00:01.0", "1234:11e8", ("-device", f"{EDU64},bus=pci.0,addr=0x1,id=edu")),
    Device("edu64", "0001:00:01.0", "1234:11e8", ("-device", f"{EDU64},bus=pci1.0,addr=0x1,id=edu64")),
    Device("small", "0001:00:02.0", "1b36:0007", ("-device", "sdhci-pci,bus=pci1.0,addr=0x2")),
)


# The page sizes of radix tables on a POWER9, as powers of two, each with its encoding in the top three bits. A pseries tells them
# by itself, a powernv of QEMU's does not.
RADIX_PAGES = struct.pack(">4I", 12, 5 << 29 | 16, 1 << 29 | 21, 2 << 29 | 30)


def power_machine(
    name: str,
    about: str,
    args: tuple[str, ...] = ("-M", "powernv9"),
    processors: int = 1,
    cmdline: str = "",
    devices: tuple[Device, ...] = POWERNV_DEVICES,
    # Without its defaults a powernv has no host bridges either.
    defaults: tuple[str, ...] = ("-nic", "none", "-monitor", "none"),
    **options,
) -> Machine:
    """A POWER9."""
    return Machine(
        name=name,
        about=about,
        arch="ppc64le",
        qemu="qemu-system-ppc64",
        args=(*args, "-smp", str(processors)),
        cmdline=f"console=hvc0 {cmdline}",
        devices=devices,
        lines=ONE_LINE,
        defaults=defaults,
        **{"suites": ("spapr",), "memory": "2G", **options},
    )


def guest_machine(name: str, about: str, kernel: str, **suites: tuple[str, ...]) -> Machine:
    """A PC with KVM that has room for a guest, and devices for it, each behind a port and alone in its group.

    It has one processor: of several, which are emulated on one thread, each gets its turn only every tenth of a second, and
    QEMU's threads in the machine wait for each other all the time.
    """
    return Machine(
        name=name,
        about=about,
        arch="amd64",
        qemu="qemu-system-x86_64",
        args=("-cpu", "max", "-M", "q35,kernel-irqchip=split", "-smp", "1")
        + ("-device", "intel-iommu,intremap=on,caching-mode=on"),
        cmdline="console=ttyS0 intel_iommu=on no_timer_check tsc=reliable",
        devices=tuple(d for d in PC_DEVICES if d.name in ("igb", "e1000e", "nvme"))
        + (Device("edu", "0000:04:00.0", "1234:11e8", behind_port(4, "edu", "edu")),),
        modules=(*HOST_DRIVERS, "kvm_amd"),
        memory="2G",
        kernel=kernel,
        **{"suites": (), **suites},
    )


def on_wire(number: int, name: str, pci_id: str, device: str, driver: str) -> Device:
    """A network card behind a port; all of these hang on one wire."""
    wire = ("-netdev", f"hubport,id=wire{number},hubid=0")
    port = behind_port(number, f"{device},netdev=wire{number}", name)
    return Device(name, f"0000:{number:02x}:00.0", pci_id, wire + port, driver)


def dpdk_machine(name: str, about: str, args: tuple[str, ...], cmdline: str) -> Machine:
    """A PC with network cards on one wire, and huge pages."""
    return Machine(
        name=name,
        about=about,
        arch="amd64",
        qemu="qemu-system-x86_64",
        args=args,
        cmdline=f"console=ttyS0 no_timer_check tsc=reliable hugepagesz=2M hugepages=128 {cmdline}",
        devices=(
            on_wire(1, "igb", "8086:10c9", "igb", "igb"),
            on_wire(2, "e1000e", "8086:10d3", "e1000e", "e1000e"),
            on_wire(3, "virtio-net", "1af4:1041", f"virtio-net-pci,{VIRTIO}", "virtio-pci"),
        ),
        suites=("dpdk",),
        memory="1G",
    )


HUGE_PAGES = "hugepagesz=1G hugepages=1 hugepagesz=2M hugepages=16"

VTD = ("-cpu", "max", "-M", "q35,kernel-irqchip=split", "-smp", "2")
VTD += ("-device", "intel-iommu,intremap=on,caching-mode=on")
# A loaded host delays emulated timers: what the kernel concludes from that is not for us.
VTD_CMDLINE = f"console=ttyS0 intel_iommu=on no_timer_check tsc=reliable {HUGE_PAGES}"

# Neither of these has interrupt remapping that VFIO takes for safe.
UNSAFE_INTERRUPTS = (("VFIO_PARAMS_vfio_iommu_type1", "allow_unsafe_interrupts=1"),)


def twin_functions(devices: tuple[Device, ...]) -> tuple[Device, ...]:
    """The same with the twins as functions of one device, for IOMMUs whose driver takes no two devices with the bridge's
    address (Linux's of SMMUv3 leaves out the second, that of virtio-iommu gives up)."""
    twins = (
        Device(
            "twin-a",
            "0000:06:00.0",
            "1234:11e8",
            behind_port(6, "edu,addr=0x0,multifunction=on", "twina"),
        ),
        Device("twin-b", "0000:06:00.1", "8086:100e", ("-device", "e1000,bus=rp6,addr=0x0.0x1"), "e1000"),
    )
    ports = (
        Device("edu-port", "0000:07:00.0", "1234:11e8", behind_port(7, "edu", "eduport")),
        Device("xhci", "0000:08:00.0", "1b36:000d", behind_port(8, "qemu-xhci", "xhci")),
    )
    new = {d.name: d for d in twins + ports}
    return tuple(new.get(d.name, d) for d in devices)


def arm_machine(name: str, about: str, stage: str, **suites: tuple[str, ...]) -> Machine:
    """QEMU's arm64 machine, without pointer authentication, which is slow to emulate.

    An SMMU that is a property of the machine has both stages, whatever it is told: this one is a device.
    """
    return Machine(
        name=name,
        about=about,
        arch="arm64",
        qemu="qemu-system-aarch64",
        args=("-cpu", "max,pauth=off", "-M", "virt,gic-version=3", "-smp", "2")
        + ("-device", f"arm-smmuv3,primary-bus=pcie.0,id=smmu,stage={stage}"),
        cmdline=f"console=ttyAMA0 8250.nr_uarts=4 {HUGE_PAGES}",
        devices=twin_functions(PC_DEVICES),
        modules=HOST_DRIVERS,
        lines=PCI_LINES,
        **{"suites": (), **suites},
    )


# Devices that share an IOMMU group, each pair for another reason; igb is alone behind its root port, as that has ACS.
GROUP_DEVICES = (
    Device("edu", "0000:00:02.0", "1234:11e8", ("-device", "edu,addr=0x2,id=edu")),
    Device("igb", "0000:01:00.0", "8086:10c9", behind_port(1, "igb", "igb"), "igb"),
    # Conventional devices behind a bridge, which speaks for them.
    Device(
        "twin-a",
        "0000:03:01.0",
        "1234:11e8",
        behind_port(2, "pcie-pci-bridge", "pci") + ("-device", "edu,bus=pci,addr=0x1"),
    ),
    Device("twin-b", "0000:03:02.0", "8086:100e", ("-device", "e1000,bus=pci,addr=0x2"), "e1000"),
    # Functions of one device without ACS.
    Device("pair-a", "0000:04:00.0", "1234:11e8", behind_port(3, "edu,addr=0x0,multifunction=on", "paira")),
    Device("pair-b", "0000:04:00.1", "8086:100e", ("-device", "e1000,bus=rp3,addr=0x0.0x1"), "e1000"),
    # Behind ports of a switch, which have no ACS, so that each is in the group of the device behind it.
    Device(
        "switch-a",
        "0000:07:00.0",
        "1234:11e8",
        behind_port(4, "x3130-upstream", "up")
        + ("-device", "xio3130-downstream,bus=up,id=down0,chassis=20,addr=0x0", "-device", "edu,bus=down0"),
    ),
    Device(
        "switch-b",
        "0000:08:00.0",
        "8086:10d3",
        ("-device", "xio3130-downstream,bus=up,id=down1,chassis=21,addr=0x1", "-device", "e1000e,bus=down1"),
        "e1000e",
    ),
    # Behind a bridge as the twins, but the host has a driver for both.
    Device("nic-a", "0000:0a:01.0", "8086:100e", behind_port(5, "pcie-pci-bridge", "pci1") + ("-device", "e1000,bus=pci1,addr=0x1"), "e1000"),
    Device("nic-b", "0000:0a:02.0", "8086:100e", ("-device", "e1000,bus=pci1,addr=0x2"), "e1000"),
)

MACHINES = {
    m.name: m
    for m in (
        Machine(
            name="q35-vtd",
            about="PC, Intel VT-d with interrupt remapping",
            arch="amd64",
            qemu="qemu-system-x86_64",
            args=VTD,
            cmdline=VTD_CMDLINE,
            devices=PC_DEVICES,
            suites=("smoke", "edu", "mix", "lifecycle", "core", "races", "diag", "pci", "config", "boards", "dma-buf", "emulated")
            + ("fuzz", "igd", "power", "type1", "type1-steps", "tables", "abi", "variants", "samples", "unwind", "attack", "errors")
            + ("kselftest", "clients"),
            long_suites=("kselftest-long", "races-long", "pci-long", "config-long", "boards-long", "power-long", "emulated-long", "type1-long")
            + ("fuzz-long", "type1-steps-long", "soak"),
            modules=HOST_DRIVERS + ("mdev",),
        ),
        Machine(
            name="q35-older",
            about="q35-vtd with a stock kernel of an older version",
            arch="amd64",
            qemu="qemu-system-x86_64",
            args=VTD,
            cmdline=VTD_CMDLINE,
            devices=PC_DEVICES,
            suites=("smoke", "kselftest", "core", "pci", "type1"),
            long_suites=("kselftest-long", "lifecycle", "mix", "errors", "races", "tables", "unwind"),
            # Another kernel to fetch, and another build tree to make.
            optional=True,
            modules=HOST_DRIVERS,
            kernel="older",
        ),
        Machine(
            name="q35-iommufd",
            about="PC, Intel VT-d, the stock kernel with iommufd as a module",
            arch="amd64",
            qemu="qemu-system-x86_64",
            args=VTD,
            cmdline=VTD_CMDLINE,
            devices=PC_DEVICES,
            suites=("iommufd", "kselftest-iommufd"),
            long_suites=("smoke", "kselftest-long", "kselftest-iommufd-long", "core", "fuzz-iommufd"),
            modules=HOST_DRIVERS,
            kernel="iommufd",
        ),
        Machine(
            name="q35-amdvi",
            about="PC, AMD-Vi",
            arch="amd64",
            qemu="qemu-system-x86_64",
            args=("-cpu", "max", "-M", "q35,kernel-irqchip=split", "-smp", "2", "-device", "amd-iommu,intremap=on,xtsup=on,dma-remap=on"),
            cmdline=f"console=ttyS0 amd_iommu=on no_timer_check tsc=reliable {HUGE_PAGES}",
            devices=PC_DEVICES_FEW_MSI,
            suites=("smoke", "edu", "type1"),
            long_suites=("core", "pci", "errors", "groups", "kselftest", "races", "type1-long", "clients", "soak"),
            modules=HOST_DRIVERS,
            environment=UNSAFE_INTERRUPTS,
        ),
        Machine(
            name="q35-virtio-iommu",
            about="PC, virtio-iommu",
            arch="amd64",
            qemu="qemu-system-x86_64",
            args=("-cpu", "max", "-M", "q35", "-smp", "2", "-device", "virtio-iommu-pci,addr=0x1e"),
            # Devices wait for the IOMMU's driver, which is a module: on a slow host for longer than the usual ten seconds.
            cmdline=f"console=ttyS0 no_timer_check tsc=reliable deferred_probe_timeout=600 {HUGE_PAGES}",
            devices=twin_functions(PC_DEVICES),
            suites=("smoke", "edu"),
            # Each request to this IOMMU is one to QEMU: type1 takes minutes.
            long_suites=("type1-long", "core", "pci", "errors", "groups", "kselftest", "races", "clients"),
            modules=HOST_DRIVERS,
            early=("virtio_pci", "virtio_iommu"),
            environment=UNSAFE_INTERRUPTS,
        ),
        Machine(
            name="q35-hotplug",
            about="PC, Intel VT-d, PCIe hot-plug without ACPI",
            arch="amd64",
            qemu="qemu-system-x86_64",
            args=VTD + ("-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off"),
            cmdline=VTD_CMDLINE,
            devices=tuple(d for d in PC_DEVICES if d.name in ("igb", "e1000e", "nvme"))
            # The only one of these that reports errors.
            + (Device("virtio-net", "0000:04:00.0", "1af4:1041", behind_port(4, f"virtio-net-pci,{VIRTIO},aer=on", "virtio-net")),),
            suites=("hotplug", "surprise"),
            long_suites=("hotplug-long", "attack-lost"),
            memory="2G",
        ),
        Machine(
            name="q35-groups",
            about="PC, Intel VT-d, groups of several devices: behind a bridge, in one slot, below a switch",
            arch="amd64",
            qemu="qemu-system-x86_64",
            args=VTD,
            cmdline=VTD_CMDLINE,
            devices=GROUP_DEVICES,
            suites=("groups",),
            modules=HOST_DRIVERS,
            memory="2G",
        ),
        Machine(
            name="q35-vga",
            about="PC, Intel VT-d, a VGA adapter",
            arch="amd64",
            qemu="qemu-system-x86_64",
            args=VTD,
            cmdline=VTD_CMDLINE,
            devices=(
                Device("vga", "0000:00:02.0", "1234:1111", ("-device", "VGA,addr=0x2,id=vga")),
                Device("e1000e", "0000:01:00.0", "8086:10d3", behind_port(1, "e1000e", "e1000e")),
            ),
            suites=("vga",),
            memory="2G",
        ),
        Machine(
            name="q35-bars",
            about="PC, Intel VT-d, devices with large BARs; a port that can be switched off",
            arch="amd64",
            qemu="qemu-system-x86_64",
            # The kernel only switches ports off whose hot-plug is its own.
            args=VTD + ("-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off"),
            cmdline=VTD_CMDLINE,
            devices=(
                Device(
                    "nvme",
                    "0000:01:00.0",
                    "1b36:0010",
                    ("-drive", "if=none,id=disk0,file={disk},format=raw,snapshot=on")
                    + ("-device", "pcie-root-port,id=rp1,chassis=1,addr=0x4")
                    + ("-device", "nvme,serial=vfio,drive=disk0,cmb_size_mb=64,bus=rp1,id=nvme"),
                ),
                Device(
                    "testdev",
                    "0000:02:00.0",
                    "1b36:0005",
                    behind_port(2, "pci-testdev,membar=2G,membar-backed=on", "testdev"),
                ),
            ),
            suites=("mappings",),
            long_suites=("cold",),
            memory="1G",
            acpi=acpi.power_port(4 << 3, 1),
        ),
        Machine(
            name="q35-noiommu",
            about="PC without an IOMMU",
            arch="amd64",
            qemu="qemu-system-x86_64",
            args=("-cpu", "max", "-M", "q35", "-smp", "2"),
            cmdline="console=ttyS0 no_timer_check tsc=reliable",
            devices=PC_DEVICES,
            suites=("noiommu",),
            modules=HOST_DRIVERS,
            # The edu device reaches the first 256 MiB: enough of the memory has to be there.
            memory="512M",
        ),
        Machine(
            name="q35-noiommu-iommufd",
            about="PC without an IOMMU, the stock kernel with iommufd as a module",
            arch="amd64",
            qemu="qemu-system-x86_64",
            args=("-cpu", "max", "-M", "q35", "-smp", "2"),
            cmdline="console=ttyS0 no_timer_check tsc=reliable",
            devices=PC_DEVICES,
            suites=("iommufd-noiommu",),
            long_suites=("noiommu",),
            modules=HOST_DRIVERS,
            memory="512M",
            kernel="iommufd",
        ),
        Machine(
            name="q35-mixed",
            about="PC, VT-d that does not cover a second PCI host bridge",
            arch="amd64",
            qemu="qemu-system-x86_64",
            args=("-cpu", "max", "-M", "q35", "-smp", "2", "-device", "intel-iommu,intremap=off,caching-mode=on"),
            cmdline="console=ttyS0 intel_iommu=on no_timer_check tsc=reliable",
            devices=(
                PC_DEVICES[0],
                Device(
                    "nvme-bypass",
                    "0000:81:00.0",
                    "1b36:0010",
                    ("-device", "pxb-pcie,id=pxb,bus_nr=0x80,bypass_iommu=on")
                    + ("-device", "pcie-root-port,id=rp1,bus=pxb,chassis=1")
                    + ("-drive", "if=none,id=disk0,file={disk},format=raw,snapshot=on")
                    + ("-device", "nvme,serial=vfio,drive=disk0,bus=rp1"),
                    "nvme",
                ),
            ),
            suites=("noiommu-kinds",),
            memory="512M",
        ),
        arm_machine(
            "virt-smmuv3",
            "arm64, SMMUv3, interrupts through the ITS",
            stage="1",
            suites=("edu", "type1", "kselftest-short"),
            long_suites=("core", "pci", "errors", "groups", "kselftest", "races", "type1-long"),
        ),
        # The page tables that the SMMU of the other one has not: Linux takes the second stage if there is no first.
        arm_machine(
            "virt-smmuv3-stage2",
            "the same, its SMMU translates by the second stage",
            stage="2",
            long_suites=("smoke", "edu", "type1", "kselftest"),
        ),
        arm_machine(
            "virt-smmuv3-nested",
            "the same, its SMMU has both stages",
            stage="nested",
            long_suites=("smoke", "edu", "type1", "kselftest"),
        ),
        power_machine("powernv9", "POWER9 on bare metal, PHB4", long_suites=("spapr-long",)),
        power_machine("powernv9-hash", "the same, with a hashed page table", cmdline="disable_radix", optional=True),
        power_machine(
            "powernv9-huge",
            "powernv9 with pages of 2 MiB and 1 GiB",
            cmdline="hugepagesz=1G hugepages=1",
            memory="3G",
            suites=(),
            long_suites=("spapr",),
            processor=("PowerPC,POWER9@", "ibm,processor-radix-AP-encodings", RADIX_PAGES),
        ),
        power_machine(
            "powernv9-debug",
            "powernv9 with two processors and the debug kernel: kmemleak, failing allocations",
            processors=2,
            # Not who has allocated: the depot of stacks has lockdep warn at the boot, and turn itself off.
            cmdline="slub_debug=FZP",
            kernel="debug",
            suites=(),
            long_suites=("spapr", "spapr-faults"),
            # It has to build a kernel of its own.
            optional=True,
            slowness=4,
        ),
        power_machine(
            "pseries",
            "POWER9 below a hypervisor, with the firmware's calls",
            # Without a firmware that takes a minute to start.
            args=("-M", "pseries,x-vof=on", "-vga", "none", "-device", "spapr-pci-host-bridge,index=1,id=pci1"),
            devices=LPAR_DEVICES,
            defaults=("-nodefaults",),
        ),
        kvm_machine("q35-kvm", "PC with VT-d; KVM runs in it", "intremap=on,caching-mode=on"),
        kvm_machine(
            "q35-kvm-snoop",
            "the same; its VT-d makes all DMA coherent",
            "intremap=on,caching-mode=on,snoop-control=on",
        ),
        guest_machine(
            "q35-guest",
            "PC with VT-d; a guest runs in it by KVM",
            "stock",
            suites=("guest", "guest-viommu-short"),
            long_suites=("guest-viommu",),
        ),
        guest_machine(
            "q35-guest-iommufd",
            "the same with iommufd as a module",
            "iommufd",
            long_suites=("guest-iommufd", "guest-iommufd-viommu"),
        ),
        dpdk_machine("q35-dpdk", "PC with VT-d and network cards on one wire", VTD, "intel_iommu=on"),
        dpdk_machine("q35-dpdk-noiommu", "the same without an IOMMU", ("-cpu", "max", "-M", "q35", "-smp", "2"), ""),
        kvm_machine(
            "q35-kvm-iommufd",
            "q35-kvm with iommufd as a module",
            "intremap=on,caching-mode=on",
            kernel="iommufd",
            suite="kvm-nodes",
        ),
    )
}


def watched(machine: str, kernel: str, suites: tuple[str, ...] = (), long_suites: tuple[str, ...] = ()) -> Machine:
    """That machine with a kernel that watches: `debug` (KASAN, lockdep, kmemleak, faults, ...) or `kcsan` (data races). It has what the
    stock kernel leaves off, too: iommufd, no-IOMMU, debugfs."""
    stock = MACHINES[machine]
    own = {
        # A cache of objects keeps in its sheaves the addresses of those that it has handed out, where kmemleak finds them and takes them
        # for known; with any check it has no sheaves (calculate_sheaf_capacity()). Suites that want more checks say so.
        "debug": "kasan_multi_shot slub_debug=F iommu.debug_pagealloc=1",
        # While one access is watched for some time the other processor runs: QEMU switches at the instruction that the kernel
        # waits by.
        "kcsan": "kcsan.early_enable=1",
    }[kernel]
    return replace(
        stock,
        name=f"{machine.removesuffix('-vtd')}-{kernel}",
        about=f"{machine} with the {kernel} kernel",
        # With five levels of page tables KASAN stops the kernel before it starts.
        args=tuple("max,la57=off" if arg == "max" else arg for arg in stock.args),
        cmdline=f"{stock.cmdline} kunit.enable=0 {own}",
        suites=suites,
        long_suites=long_suites,
        # Its kernel takes ten minutes to build on two idle processors, and much longer on busy ones.
        optional=True,
        # Each order of loading and unloading once, fewer steps; longer races, because little happens in a second.
        environment=(("LIFECYCLE_ROUNDS", "9"), ("STEPS_SCRIPTS", "4"), ("STEPS_SLICE", "2"), ("STEPS_COUNT", "1000"))
        + (("CORE_SECONDS", "60"), ("IOMMUFD_SECONDS", "60"), ("HUNG_SECONDS", "160"))
        + (("FUZZ_STEPS", "20000"),),
        kernel=kernel,
        slowness=4,
    )


MACHINES |= {
    m.name: m
    for m in (
        watched(
            "q35-vtd",
            "debug",
            suites=("smoke", "detectors", "kunit", "lifecycle", "pci"),
            long_suites=("core", "diag", "faults", "kselftest", "iommufd", "errors", "pci-long", "samples", "races", "attack")
            + ("unwind", "type1", "type1-steps", "power", "mix", "emulated", "variants", "dma-buf", "config", "fuzz")
            + ("tables", "edu", "igd"),
        ),
        watched("q35-groups", "debug", long_suites=("groups",)),
        watched("q35-hotplug", "debug", long_suites=("hotplug", "surprise", "attack-lost")),
        watched("q35-noiommu", "debug", long_suites=("noiommu",)),
        watched("q35-mixed", "debug", long_suites=("noiommu-kinds",)),
        watched("q35-vga", "debug", long_suites=("vga",)),
        watched("q35-bars", "debug", long_suites=("mappings",)),
        watched("q35-kvm", "debug", long_suites=("kvm",)),
        watched("q35-vtd", "kcsan", long_suites=("core", "races", "pci", "type1")),
        watched("q35-groups", "kcsan", long_suites=("groups",)),
    )
}
