// SPDX-License-Identifier: GPL-2.0

//! Drives QEMU's `edu` device from user space through VFIO.
//!
//! The program tells a story, one chapter for each thing VFIO offers, and checks every step of it: a
//! step is printed as ok only after what it claims was seen. The first that fails ends the run with
//! what was expected and what was seen, and exit status 1.

mod edu;
mod event;
mod host;
mod ioctl;
mod iommu_info;
mod memory;
mod pci;
mod physical;
mod story;
mod transcript;

use std::env;
use std::process::ExitCode;

use anyhow::Result;

use crate::host::PciDevice;
use crate::story::open::Iommu;
use crate::transcript::Transcript;

/// Runs all chapters on the device, behind an IOMMU.
fn run(device: &PciDevice, t: &mut Transcript) -> Result<()> {
    println!(
        "A VFIO driver in user space: QEMU's edu device at {}",
        device.address
    );
    let locked = host::locked_kb()?;
    let opened = story::open::container_and_group(t, device, Iommu::Type1v2)?;
    let capabilities = story::open::iommu(t, &opened)?;
    let edu_device = story::device::open(t, &opened, device)?;
    let edu = story::bar::registers(t, &edu_device)?;
    let iova = story::dma::place(t, &capabilities)?;
    story::dma::transfers(t, &opened, &edu, iova)?;
    story::dma::blocked(t, &opened, &edu, iova)?;
    let page = story::dma::MappedPage::new(&opened, iova)?;
    story::msi::interrupts(t, &edu_device, &edu, iova)?;
    page.unmap()?;
    story::intx::interrupts(t, &edu_device, &edu)?;
    story::events::error_and_request(t, &edu_device)?;
    story::reset::reset(t, &edu_device, &edu)?;
    story::close::everything(t, opened, edu_device, edu, Some(iova), locked)?;
    story::request::taken_back(t, device, Iommu::Type1v2)?;
    story::rust_vmm::client(t, device, iova, locked)
}

/// Runs the chapters that need no IOMMU, on a device that has none.
fn run_without_iommu(device: &PciDevice, t: &mut Transcript) -> Result<()> {
    println!(
        "A VFIO driver in user space, WITHOUT AN IOMMU: QEMU's edu device at {}",
        device.address
    );
    let opened = story::open::container_and_group(t, device, Iommu::None)?;
    story::noiommu::choose(t, &opened, device)?;
    let edu_device = story::device::open(t, &opened, device)?;
    let edu = story::bar::registers(t, &edu_device)?;
    let pages = story::noiommu::place(t)?;
    story::noiommu::transfers(t, &edu, &pages)?;
    story::msi::interrupts(t, &edu_device, &edu, pages.address(0))?;
    story::intx::interrupts(t, &edu_device, &edu)?;
    story::events::error_and_request(t, &edu_device)?;
    story::reset::reset(t, &edu_device, &edu)?;
    let locked = host::locked_kb()?;
    story::close::everything(t, opened, edu_device, edu, None, locked)?;
    // Not before the device is closed, which ends its DMA: it would write to whoever gets them next.
    drop(pages);
    story::request::taken_back(t, device, Iommu::None)
}

fn main() -> ExitCode {
    let mut args = env::args().skip(1).peekable();
    let run = match args.next_if_eq("--no-iommu") {
        Some(_) => run_without_iommu,
        None => run,
    };
    let (Some(address), None) = (args.next(), args.next()) else {
        eprintln!(
            "usage: vfio-edu [--no-iommu] PCI-ADDRESS    (such as 0000:01:00.0; see bind.sh)"
        );
        return ExitCode::from(2);
    };
    let mut transcript = Transcript::default();
    match run(&PciDevice { address }, &mut transcript) {
        Ok(()) => {
            println!("\nAll {} steps passed.", transcript.steps());
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("\nvfio-edu: {error:#}");
            println!("FAILED after {} steps that passed.", transcript.steps());
            ExitCode::FAILURE
        }
    }
}
