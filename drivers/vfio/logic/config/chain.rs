// SPDX-License-Identifier: GPL-2.0

//! Finding the capabilities of a function, and making the list that the user walks.

use super::{
    emulation::Emulation,
    length,
    regs::{
        cap,
        ecap,
        header,
        pm,
        CFG_SPACE_SIZE, //
    },
    shadow::{
        OWNER_HEADER,
        OWNER_RAW, //
    },
    Event,
    Function,
    Width, //
};

impl<F: Function> Emulation<'_, F> {
    /// Fills the emulated configuration space with what the hardware has, and hides some of it. Tells
    /// whether there are extended capabilities.
    ///
    /// # Errors
    ///
    /// That of a failed access to hardware.
    pub fn init(&self) -> Result<bool, F::Error> {
        self.shadow.reset(header::SIZE);
        self.state.reset();
        self.copy_hardware(0, header::SIZE)?;
        self.state.remember_bars(&self.shadow);
        self.adjust_header();
        let extended = self.init_standard()?;
        if extended {
            self.init_extended()?;
        }
        Ok(extended)
    }

    /// Puts right what the header of a function does not tell, or should not.
    fn adjust_header(&self) {
        let facts = self.function.facts();
        let pin = self.shadow.byte(header::INTERRUPT_PIN);

        if facts.is_virtfn {
            self.shadow.set_word(header::VENDOR_ID, facts.vendor);
            self.shadow.set_word(header::DEVICE_ID, facts.device);
            // The one with this known bug has been told about often enough.
            if pin != 0 && (facts.vendor, facts.device) != (0x8086, 0x270c) {
                self.function.report(Event::BogusPin { pin });
            }
        }
        if facts.no_command_memory {
            let command = self.shadow.word(header::COMMAND);
            self.shadow
                .set_word(header::COMMAND, command | header::COMMAND_MEMORY);
        }
        // VFs have no INTx (SR-IOV 1.1, section 3.4.1.18), whatever they say.
        if facts.is_virtfn || facts.nointx || !facts.has_intx {
            self.shadow.set_byte(header::INTERRUPT_PIN, 0);
        }
    }

    /// Copies `len` bytes from hardware, in accesses as wide as can be: registers support that.
    fn copy_hardware(&self, pos: usize, len: usize) -> Result<(), F::Error> {
        let end = pos.saturating_add(len).min(self.shadow.size());
        let mut pos = pos;
        while pos < end {
            let width = Width::fitting(pos, end - pos);
            self.shadow
                .write(pos, width, self.function.probe(pos, width)?);
            pos += width.bytes();
        }
        Ok(())
    }

    /// Makes `owner` the owner of a capability, of which a copy is taken.
    fn claim(&self, pos: usize, len: usize, owner: u8, id: u16) -> Result<(), F::Error> {
        let extended = pos >= CFG_SPACE_SIZE;
        // A length that goes beyond the end is the hardware's error.
        for pos in pos..pos.saturating_add(len).min(self.shadow.size()) {
            let was = self.shadow.owner(pos);
            if was != OWNER_RAW {
                self.function.report(Event::Conflict {
                    pos,
                    was,
                    now: id,
                    extended,
                });
            }
            self.shadow.set_owner(pos, owner);
        }
        self.copy_hardware(pos, len)
    }

    /// Whether a function with more than conventional configuration space makes use of the rest.
    fn has_extended(&self) -> bool {
        self.shadow.size() > CFG_SPACE_SIZE
            && self
                .function
                .probe(CFG_SPACE_SIZE, Width::Dword)
                .map_or(true, |header| header != 0)
    }

    /// Goes through the standard capabilities. Tells whether there are extended ones.
    fn init_standard(&self) -> Result<bool, F::Error> {
        let pcie_flags = self.function.facts().pcie_flags;
        let mut extended = false;
        let mut msi = false;
        let mut any = false;

        if self.function.probe(header::STATUS, Width::Word)? & u32::from(header::STATUS_CAP_LIST)
            == 0
        {
            return Ok(false);
        }

        // Where the previous capability of those the user sees has its link.
        let mut link = header::CAPABILITY_LIST;
        // CAST: A value of one byte, here and below.
        let mut pos = self.function.probe(header::CAPABILITY_LIST, Width::Byte)? as u8;
        // A list that bites its tail ends nevertheless.
        for _ in 0..(CFG_SPACE_SIZE - header::SIZE) / cap::MIN_SIZE {
            if pos == 0 {
                break;
            }
            let start = usize::from(pos);
            if start < header::SIZE {
                // The rules of a capability must not become those of the header, whose BARs are the host's.
                self.shadow.set_byte(link, 0);
                break;
            }
            let id = self.function.probe(start + cap::LIST_ID, Width::Byte)? as u8;
            let next = self.function.probe(start + cap::LIST_NEXT, Width::Byte)? as u8;
            let read = |offset, width| self.function.probe(start + offset, width);

            let len = length::standard(id, pcie_flags, read)?;
            match id {
                cap::MSI if !msi => {
                    self.state
                        .set_msi_flags(read(cap::FLAGS, Width::Word)? as u16);
                    msi = true;
                }
                cap::EXP => extended = self.has_extended(),
                cap::PCIX if len > 8 => extended = self.has_extended(),
                _ => {}
            }
            if len == 0 {
                self.shadow.set_byte(link, next);
            } else {
                self.claim(start, len, id, id.into())?;
                if id == cap::PM {
                    self.hide_pme(start);
                }
                link = start + cap::LIST_NEXT;
                any = true;
            }
            pos = next;
        }

        if !any {
            let status = self.shadow.word(header::STATUS);
            self.shadow
                .set_word(header::STATUS, status & !header::STATUS_CAP_LIST);
        }
        Ok(extended)
    }

    /// Wake-up events are the host's, so the user's function cannot make any.
    fn hide_pme(&self, start: usize) {
        let pmc = self.shadow.word(start + pm::PMC);
        self.shadow
            .set_word(start + pm::PMC, pmc & !pm::PMC_PME_SUPPORT);
        let ctrl = self.shadow.word(start + pm::CTRL);
        // CAST: The two bits are in the lower half.
        let events = (pm::CTRL_PME_ENABLE | pm::CTRL_PME_STATUS) as u16;
        self.shadow.set_word(start + pm::CTRL, ctrl & !events);
    }

    /// Goes through the extended capabilities.
    fn init_extended(&self) -> Result<(), F::Error> {
        let mut link = None;
        let mut any = false;
        let mut pos = CFG_SPACE_SIZE;

        for _ in 0..(self.shadow.size() - CFG_SPACE_SIZE) / cap::MIN_SIZE {
            if pos < CFG_SPACE_SIZE {
                break;
            }
            let header = self.function.probe(pos, Width::Dword)?;
            let (id, next) = (ecap::id(header), ecap::next(header).into());

            match length::extended(id, |offset, width| self.function.probe(pos + offset, width))? {
                0 => match link {
                    Some(link) => {
                        let stored = self.shadow.dword(link) & !ecap::NEXT;
                        self.shadow.set_dword(link, stored | header & ecap::NEXT);
                    }
                    // The list starts here, so something has to stay: a link with nothing to it.
                    None => {
                        let owner = u8::try_from(id)
                            .ok()
                            .filter(|&id| id < super::shadow::OWNER_VIRTUAL);
                        self.claim(pos, ecap::HEADER_SIZE, owner.unwrap_or(OWNER_HEADER), id)?;
                        self.shadow.set_dword(pos, header & ecap::NEXT);
                        link = Some(pos);
                    }
                },
                len => {
                    // CAST: Those with a length have small IDs.
                    self.claim(pos, len, id as u8, id)?;
                    link = Some(pos);
                    any = true;
                }
            }
            pos = next;
        }

        if !any {
            self.shadow.set_dword(CFG_SPACE_SIZE, 0);
        }
        Ok(())
    }
}
