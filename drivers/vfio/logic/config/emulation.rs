// SPDX-License-Identifier: GPL-2.0

//! Reading and writing configuration space.

use super::{
    access::{
        Access,
        Policy, //
    },
    bars,
    permissions::{
        self,
        Bits,
        Permissions, //
    },
    regs::{
        af,
        cap,
        exp,
        header,
        msi,
        pm,
        vpd,
        CFG_SPACE_SIZE, //
    },
    shadow::Shadow,
    Event,
    Function,
    PowerState,
    Width, //
};
use core::sync::atomic::{
    AtomicU16,
    AtomicU32,
    Ordering, //
};

/// What the emulation remembers apart from the bytes themselves.
#[derive(Default)]
pub struct State {
    /// The BARs as the host has set them; the last is that of the ROM.
    bars: [AtomicU32; header::BAR_COUNT + 1],
    /// The flags that tell the layout of the MSI capability.
    msi_flags: AtomicU16,
}

impl State {
    /// Forgets what the last user did.
    pub(super) fn reset(&self) {
        self.msi_flags.store(0, Ordering::Relaxed);
    }

    pub(super) fn set_msi_flags(&self, flags: u16) {
        self.msi_flags.store(flags, Ordering::Relaxed);
    }

    /// The BARs as the host has set them; the last is that of the ROM.
    pub fn bars(&self) -> [u32; header::BAR_COUNT + 1] {
        self.bars.each_ref().map(|bar| bar.load(Ordering::Relaxed))
    }

    /// Takes the BARs from a copy of the header that nobody has written to.
    pub(super) fn remember_bars(&self, shadow: &Shadow<'_>) {
        for (index, bar) in self.bars.iter().enumerate() {
            bar.store(shadow.dword(bars::position(index)), Ordering::Relaxed);
        }
    }
}

/// The configuration space of a function while a user has it open.
///
/// Reads may happen at any time. Writes are in several steps, and are serialized by the caller.
pub struct Emulation<'a, F> {
    /// What is remembered.
    pub state: &'a State,
    /// The emulated bytes.
    pub shadow: Shadow<'a>,
    /// The function.
    pub function: F,
}

/// The bits of an access that come from the emulation, and otherwise from hardware.
fn merge(virt: u32, stored: u32, hardware: u32) -> u32 {
    stored & virt | hardware & !virt
}

/// What the MSI flags become that a user wrote.
///
/// MSI is enabled by the host, and the user may only have as many vectors as it asked the host for.
fn msi_flags(flags: u16, active: bool, queue_max: u8) -> u16 {
    let mut flags = flags;
    if !active {
        flags &= !msi::FLAGS_ENABLE;
    }
    let queue_max = u16::from(queue_max);
    if (flags & msi::FLAGS_QSIZE) >> msi::FLAGS_QSIZE_SHIFT > queue_max {
        // The larger value fits into the field, so the smaller one does.
        flags = flags & !msi::FLAGS_QSIZE | queue_max << msi::FLAGS_QSIZE_SHIFT;
    }
    flags
}

impl<F: Function> Emulation<'_, F> {
    /// Reads one piece; the value is in the low bytes.
    ///
    /// # Errors
    ///
    /// That of a failed access to hardware.
    #[inline]
    pub fn read(&self, access: &Access) -> Result<u32, F::Error> {
        match access.policy {
            Policy::Raw => self.function.read(access.pos, access.width),
            Policy::Virtual => Ok(self.shadow.read(access.pos, access.width)),
            Policy::ReadOnly | Policy::Vendor => self.read_direct(access),
            Policy::Header => self.read_header(access),
            Policy::Table(table) => self.read_merged(access, table),
            Policy::Pm => self.read_merged(access, &permissions::PM),
            Policy::Vpd => self.read_merged(access, &permissions::VPD),
            Policy::Msi => self.read_merged(access, self.msi_table()),
            Policy::Express => self.read_merged(access, &permissions::EXP),
            Policy::Af => self.read_merged(access, &permissions::AF),
        }
    }

    /// Writes one piece; the caller makes sure that there is no other write meanwhile.
    ///
    /// # Errors
    ///
    /// That of a failed access to hardware.
    pub fn write(&self, access: &Access, value: u32) -> Result<(), F::Error> {
        match access.policy {
            Policy::Raw | Policy::Vendor => self.function.write(access.pos, access.width, value),
            Policy::Virtual => {
                self.shadow.write(access.pos, access.width, value);
                Ok(())
            }
            Policy::ReadOnly => Ok(()),
            Policy::Header => self.write_header(access, value),
            Policy::Table(table) => self.write_merged(access, table, value),
            Policy::Pm => self.write_pm(access, value),
            Policy::Vpd => self.write_vpd(access, value),
            Policy::Msi => self.write_msi(access, value),
            Policy::Express => self.write_express(access, value),
            Policy::Af => self.write_af(access, value),
        }
    }

    /// The special bits of the MSI capability.
    fn msi_table(&self) -> &'static Permissions {
        permissions::msi(self.state.msi_flags.load(Ordering::Relaxed))
    }

    /// Virtual bits from the emulation, the others from hardware, which is not touched for nothing.
    fn read_merged(&self, access: &Access, table: &Permissions) -> Result<u32, F::Error> {
        let virt = table.bits(access.offset, access.width).virt;
        let stored = self.shadow.read(access.pos, access.width);
        if virt == access.width.mask() {
            return Ok(stored);
        }
        let hardware = self.function.read(access.pos, access.width)?;
        Ok(merge(virt, stored, hardware))
    }

    /// Writable bits to the emulation or to hardware, which is not touched for nothing.
    fn write_merged(
        &self,
        access: &Access,
        table: &Permissions,
        value: u32,
    ) -> Result<(), F::Error> {
        let Bits { virt, write } = table.bits(access.offset, access.width);
        let (pos, width) = (access.pos, access.width);

        let to_shadow = write & virt;
        if to_shadow != 0 {
            let stored = self.shadow.read(pos, width);
            self.shadow
                .write(pos, width, merge(to_shadow, value, stored));
        }
        let to_hardware = write & !virt;
        if to_hardware == width.mask() {
            self.function.write(pos, width, value)?;
        } else if to_hardware != 0 {
            let hardware = self.function.read(pos, width)?;
            self.function
                .write(pos, width, merge(to_hardware, value, hardware))?;
        }
        Ok(())
    }

    /// From hardware, but the link to the next capability is the emulation's.
    fn read_direct(&self, access: &Access) -> Result<u32, F::Error> {
        let hardware = self.function.read(access.pos, access.width)?;
        let stored = self.shadow.read(access.pos, access.width);
        let virt = if access.pos >= CFG_SPACE_SIZE {
            // All of the header of an extended capability.
            if access.offset < 4 {
                !0
            } else {
                0
            }
        } else if access.pos < header::SIZE {
            // A capability that is where the header should be has no link.
            0
        } else {
            match access.offset {
                cap::LIST_ID if access.width != Width::Byte => 0xffff,
                cap::LIST_NEXT => 0xff,
                _ => 0,
            }
        };
        Ok(merge(virt, stored, hardware))
    }

    fn read_header(&self, access: &Access) -> Result<u32, F::Error> {
        if let Some(index) = bars::index(access.pos) {
            let shift = access.pos % 4 * 8;
            return Ok(self.read_bar(index) >> shift & access.width.mask());
        }
        let value = self.read_merged(access, &permissions::HEADER)?;
        if access.pos == header::COMMAND && self.function.facts().no_command_memory {
            let command = self.shadow.word(header::COMMAND);
            return Ok(value | u32::from(command & header::COMMAND_MEMORY));
        }
        Ok(value)
    }

    /// What a BAR reads as, with what the user wrote last; 6 is that of the ROM.
    fn read_bar(&self, index: usize) -> u32 {
        let stored = self.shadow.dword(bars::position(index));
        let resource = |index| self.function.resource(index);
        if index == header::BAR_COUNT {
            bars::read_rom(stored, resource(index), self.function.shadow_rom_len())
        } else {
            bars::read(index, stored, resource)
        }
    }

    fn write_header(&self, access: &Access, value: u32) -> Result<(), F::Error> {
        if access.pos == header::COMMAND {
            self.write_command(access, value)?;
        } else {
            self.write_merged(access, &permissions::HEADER, value)?;
        }
        if (header::COMMAND..header::COMMAND + 2).contains(&access.pos) {
            self.follow_intx_disable();
        }
        Ok(())
    }

    /// The command register: what it enables must not go away under those who use it.
    fn write_command(&self, access: &Access, value: u32) -> Result<(), F::Error> {
        const ENABLES: u16 = header::COMMAND_MEMORY | header::COMMAND_IO;

        // CAST: The command is the lower half of the dword; what is above one byte is zero if only one
        // is written, and neither enable is there.
        let new = value as u16;
        let hardware = self.function.read(header::COMMAND, Width::Word)? as u16;
        let stored = self.shadow.word(header::COMMAND);

        let lock = self.function.lock_memory(new & header::COMMAND_MEMORY == 0);

        // The user enables what it has enabled before, but it is off: the function was reset without
        // our help, and has lost its BARs. A function may have no memory enable to tell this by.
        let mut lost = new & stored & !hardware & ENABLES;
        if self.function.facts().no_command_memory {
            lost &= !header::COMMAND_MEMORY;
        }
        if lost != 0 || self.bars_changed() {
            self.restore_bars();
        }

        self.write_merged(access, &permissions::HEADER, value)?;

        // For the comparison next time, and for who asks whether memory is enabled.
        let stored = self.shadow.word(header::COMMAND);
        self.shadow
            .set_word(header::COMMAND, stored & !ENABLES | new & ENABLES);
        drop(lock);
        Ok(())
    }

    /// Whether hardware has other BARs than the host gave it.
    fn bars_changed(&self) -> bool {
        self.state
            .bars
            .iter()
            .take(header::BAR_COUNT)
            .enumerate()
            .any(|(index, bar)| {
                let bar = bar.load(Ordering::Relaxed);
                bar != 0
                    && !self
                        .function
                        .read(bars::position(index), Width::Dword)
                        .is_ok_and(|hardware| hardware == bar)
            })
    }

    /// Gives hardware the host's BARs again. That of a function that does not answer is not our
    /// business, so errors are ignored.
    fn restore_bars(&self) {
        let facts = self.function.facts();
        if facts.is_virtfn {
            return;
        }
        self.function.report(Event::RestoringBars);
        for (index, bar) in self.state.bars.iter().enumerate() {
            let bar = bar.load(Ordering::Relaxed);
            let _ = self
                .function
                .write(bars::position(index), Width::Dword, bar);
        }
        if facts.nointx {
            if let Ok(command) = self.function.read(header::COMMAND, Width::Word) {
                let command = command | u32::from(header::COMMAND_INTX_DISABLE);
                let _ = self.function.write(header::COMMAND, Width::Word, command);
            }
        }
    }

    /// Masks or unmasks INTx if the user has changed its INTx disable bit.
    fn follow_intx_disable(&self) {
        let disabled = self.shadow.word(header::COMMAND) & header::COMMAND_INTX_DISABLE != 0;
        if self.function.intx_disabled() != disabled {
            self.function.set_intx_disabled(disabled);
        }
    }

    fn write_pm(&self, access: &Access, value: u32) -> Result<(), F::Error> {
        self.write_merged(access, &permissions::PM, value)?;
        if access.offset == pm::CTRL {
            self.function.set_power_state(PowerState::from_ctrl(value));
        }
        Ok(())
    }

    /// Vital product data: writing the upper byte of the address starts a transfer, and its top bit,
    /// which tells the direction, flips when it is done. After an error it does not; drivers time out.
    fn write_vpd(&self, access: &Access, value: u32) -> Result<(), F::Error> {
        self.write_merged(access, &permissions::VPD, value)?;
        if !access.touches(vpd::ADDR + 1) {
            return Ok(());
        }
        let (addr_pos, data_pos) = (access.start() + vpd::ADDR, access.start() + vpd::DATA);
        let addr = self.shadow.word(addr_pos);
        let done = if addr & vpd::ADDR_F != 0 {
            let data = self.shadow.dword(data_pos).to_le_bytes();
            self.function.write_vpd(addr & !vpd::ADDR_F, data)
        } else {
            self.function
                .read_vpd(addr)
                .map(|data| self.shadow.set_dword(data_pos, u32::from_le_bytes(data)))
        };
        if done.is_some() {
            self.shadow.set_word(addr_pos, addr ^ vpd::ADDR_F);
        }
        Ok(())
    }

    fn write_msi(&self, access: &Access, value: u32) -> Result<(), F::Error> {
        self.write_merged(access, self.msi_table(), value)?;
        if !access.touches(msi::FLAGS) {
            return Ok(());
        }
        let pos = access.start() + msi::FLAGS;
        let flags = msi_flags(
            self.shadow.word(pos),
            self.function.msi_is_active(),
            self.function.msi_queue_max(),
        );
        self.shadow.set_word(pos, flags);
        self.function.write(pos, Width::Word, flags.into())
    }

    /// PCI Express: a reset that the user starts, and the size of read requests.
    fn write_express(&self, access: &Access, value: u32) -> Result<(), F::Error> {
        let pos = access.start() + exp::DEVCTL;
        let request_size = |ctrl: u16| ctrl & exp::DEVCTL_READRQ;
        let before = request_size(self.shadow.word(pos));

        self.write_merged(access, &permissions::EXP, value)?;

        let ctrl = self.shadow.word(pos);
        if ctrl & exp::DEVCTL_FLR != 0 {
            // It reads as zero always.
            self.shadow.set_word(pos, ctrl & !exp::DEVCTL_FLR);
            let cap = self
                .function
                .read(access.start() + exp::DEVCAP, Width::Dword);
            if cap.is_ok_and(|cap| cap & exp::DEVCAP_FLR != 0) {
                self.function.reset();
            }
        }
        // The largest payload is a matter of all devices on the way, so what the user sets it to goes
        // nowhere. The user does not know it, so it might ask for less than a packet's worth.
        let after = request_size(self.shadow.word(pos));
        if before != after {
            let bytes = 128 << (after >> exp::DEVCTL_READRQ_SHIFT);
            self.function
                .set_max_read_request(self.function.max_payload().max(bytes));
        }
        Ok(())
    }

    /// Advanced features: a reset that the user starts.
    fn write_af(&self, access: &Access, value: u32) -> Result<(), F::Error> {
        self.write_merged(access, &permissions::AF, value)?;
        let pos = access.start() + af::CTRL;
        let ctrl = self.shadow.byte(pos);
        if ctrl & af::CTRL_FLR != 0 {
            self.shadow.set_byte(pos, ctrl & !af::CTRL_FLR);
            let cap = self.function.read(access.start() + af::CAP, Width::Byte);
            let needed = af::CAP_FLR | af::CAP_TP;
            if cap.is_ok_and(|cap| cap & needed == needed) {
                self.function.reset();
            }
        }
        Ok(())
    }
}
