// SPDX-License-Identifier: GPL-2.0

//! What the emulation of configuration space has done to the device.

use crate::{
    intrs,
    memory,
    power,
    state::{
        Device,
        Flag, //
    }, //
};
use kernel::{
    dev_info,
    dev_warn,
    prelude::*, //
};
use vfio_kapi::pci::{
    config,
    facts,
    pcie,
    reset,
    vpd, //
};
use vfio_logic::{
    config::{
        bars::Resource,
        Event,
        Facts,
        Function,
        PowerState,
        Width, //
    },
    irq, //
};

/// The device that a user has open.
pub(super) struct Hardware<'a>(pub(super) &'a Device);

impl Function for Hardware<'_> {
    type Error = Error;
    type MemoryLock<'a>
        = memory::Guard<'a>
    where
        Self: 'a;

    fn facts(&self) -> Facts {
        let pdev = self.0.pdev();
        let (vendor, device) = facts::ids(pdev);
        Facts {
            vendor,
            device,
            is_virtfn: facts::is_virtfn(pdev),
            no_command_memory: facts::no_command_memory(pdev),
            has_intx: cfg!(CONFIG_VFIO_PCI_INTX) && facts::has_irq(pdev),
            nointx: self.0.has(Flag::Nointx),
            pcie_flags: pcie::flags(pdev),
        }
    }

    fn probe(&self, pos: usize, width: Width) -> Result<u32> {
        config::read(self.0.pdev(), pos, width)
    }

    fn read(&self, pos: usize, width: Width) -> Result<u32> {
        config::user_read(self.0.pdev(), pos, width)
    }

    fn write(&self, pos: usize, width: Width, value: u32) -> Result {
        config::user_write(self.0.pdev(), pos, width, value)
    }

    fn resource(&self, index: usize) -> Resource {
        facts::resource(self.0.pdev(), index)
    }

    fn shadow_rom_len(&self) -> u64 {
        // CAST: No less than the address size.
        facts::shadow_rom_len(self.0.pdev()) as u64
    }

    fn lock_memory(&self, disabling: bool) -> memory::Guard<'_> {
        if disabling {
            memory::zap_and_lock(self.0)
        } else {
            memory::lock(self.0)
        }
    }

    // As on the bus, the user is not told what became of the following: it can see for itself.

    fn set_power_state(&self, state: PowerState) {
        let _ = power::lock_and_set_state(
            self.0,
            match state {
                PowerState::D0 => 0,
                PowerState::D1 => 1,
                PowerState::D2 => 2,
                PowerState::D3Hot => 3,
            },
        );
    }

    fn reset(&self) {
        let _guard = memory::zap_and_lock(self.0);
        // Not as DEVICE_RESET does, which takes the function to D0 before, with what it had when it
        // left: one that is reset in D3hot by its own register has lost that.
        let _ = reset::try_function(self.0.pdev());
    }

    fn intx_disabled(&self) -> bool {
        self.0.virq_disabled()
    }

    fn set_intx_disabled(&self, disabled: bool) {
        self.0.set_virq_disabled(disabled);
        if disabled {
            intrs::intx_mask(self.0);
        } else {
            intrs::intx_unmask(self.0);
        }
    }

    fn max_payload(&self) -> u32 {
        pcie::max_payload(self.0.pdev())
    }

    fn set_max_read_request(&self, bytes: u32) {
        let _ = pcie::set_max_read_request(self.0.pdev(), bytes);
    }

    fn read_vpd(&self, addr: u16) -> Option<[u8; 4]> {
        let mut data = [0; 4];
        vpd::read(self.0.pdev(), addr, &mut data).ok().map(|_| data)
    }

    fn write_vpd(&self, addr: u16, data: [u8; 4]) -> Option<()> {
        let done = vpd::write(self.0.pdev(), addr, &data).ok()?;
        (done == data.len()).then_some(())
    }

    fn msi_is_active(&self) -> bool {
        self.0.irq_type() == irq::MSI
    }

    fn msi_queue_max(&self) -> u8 {
        self.0.msi_qmax()
    }

    fn report(&self, event: Event) {
        let device: &kernel::device::Device = self.0.pdev().as_ref();
        match event {
            Event::Conflict {
                pos,
                was,
                now,
                extended,
            } => {
                let (function, kind) = if extended {
                    ("vfio_ecap_init", "ecap")
                } else {
                    ("vfio_cap_init", "cap")
                };
                dev_warn!(
                    device,
                    "{function}: PCI config conflict @{pos:#x}, was {kind} {was:#x} now {kind} {now:#x}\n"
                );
            }
            Event::BogusPin { pin } => {
                dev_warn!(device, "Hardware bug: VF reports bogus INTx pin {pin}\n");
            }
            Event::RestoringBars => {
                dev_info!(
                    device,
                    "vfio_bar_restore: reset recovery - restoring BARs\n"
                );
            }
        }
    }
}
