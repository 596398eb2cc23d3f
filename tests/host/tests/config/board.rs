// SPDX-License-Identifier: GPL-2.0

//! A function made of bytes, which records what is done to it.

use std::{
    cell::{Cell, RefCell},
    sync::atomic::AtomicU8,
};
use vfio_logic::{
    config::{
        access::Access,
        bars::Resource,
        emulation::{Emulation, State},
        shadow::Shadow,
        Event, Facts, Function, PowerState, Width,
    },
    errno::{Errno, EFAULT, EINVAL, EIO},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Write(usize, Width, u32),
    Lock { disabling: bool },
    Unlock,
    Power(PowerState),
    Reset,
    IntxDisabled(bool),
    ReadRequest(u32),
    Report(Event),
}

pub struct Board {
    pub hw: RefCell<Vec<u8>>,
    /// The bits that hardware lets anybody write.
    pub writable: RefCell<Vec<u8>>,
    pub facts: Facts,
    pub resources: [Resource; 7],
    pub rom_len: u64,
    pub vpd: RefCell<Option<[u8; 256]>>,
    pub msi: Cell<(bool, u8)>,
    pub mps: u32,
    pub intx_disabled: Cell<bool>,
    pub dead: Cell<bool>,
    pub log: RefCell<Vec<Action>>,
    state: State,
    data: Vec<AtomicU8>,
    owners: Vec<AtomicU8>,
}

pub struct Lock<'a>(&'a Board);

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        self.0.note(Action::Unlock);
    }
}

impl Board {
    pub fn new(size: usize) -> Self {
        let bytes = || (0..size).map(|_| AtomicU8::new(0x5a)).collect();
        Self {
            hw: RefCell::new(vec![0; size]),
            writable: RefCell::new(vec![0; size]),
            facts: Facts {
                has_intx: true,
                vendor: 0x1234,
                device: 0x11e8,
                ..Facts::default()
            },
            resources: [Resource::default(); 7],
            rom_len: 0,
            vpd: RefCell::new(None),
            msi: Cell::new((false, 0)),
            mps: 256,
            intx_disabled: Cell::new(false),
            dead: Cell::new(false),
            log: RefCell::new(Vec::new()),
            state: State::default(),
            data: bytes(),
            owners: bytes(),
        }
    }

    /// Sets bytes of hardware.
    pub fn put(&self, pos: usize, bytes: &[u8]) {
        self.hw.borrow_mut()[pos..pos + bytes.len()].copy_from_slice(bytes);
    }

    pub fn get16(&self, pos: usize) -> u16 {
        let hw = self.hw.borrow();
        u16::from_le_bytes([hw[pos], hw[pos + 1]])
    }

    /// Makes a standard capability the first of the list.
    pub fn add_cap(&self, pos: usize, id: u8, body: &[u8]) {
        let first = self.hw.borrow()[0x34];
        self.put(pos, &[id, first]);
        self.put(pos + 2, body);
        self.put(0x34, &[pos as u8]);
        self.hw.borrow_mut()[6] |= 0x10;
    }

    /// Lets anybody write to all bits of a range.
    pub fn allow(&self, pos: usize, len: usize) {
        self.writable.borrow_mut()[pos..pos + len].fill(0xff);
    }

    pub fn shadow(&self) -> Shadow<'_> {
        Shadow::new(&self.data, &self.owners)
    }

    pub fn emulation(&self) -> Emulation<'_, &Board> {
        Emulation {
            state: &self.state,
            shadow: self.shadow(),
            function: self,
        }
    }

    pub fn init(&self) {
        self.emulation().init().unwrap();
        self.log.borrow_mut().clear();
    }

    pub fn actions(&self) -> Vec<Action> {
        self.log.take()
    }

    fn check(&self, pos: usize, width: Width) -> Result<(), Errno> {
        if pos % width.bytes() != 0 {
            return Err(EINVAL);
        }
        if pos + width.bytes() > self.hw.borrow().len() {
            return Err(EFAULT);
        }
        Ok(())
    }

    fn note(&self, action: Action) {
        self.log.borrow_mut().push(action);
    }

    /// Reads as user space does, in pieces.
    pub fn user_read(&self, pos: usize, len: usize) -> Result<Vec<u8>, Errno> {
        let mut bytes = Vec::new();
        while bytes.len() < len {
            let access = Access::first(&self.shadow(), pos + bytes.len(), len - bytes.len())?;
            let value = self.emulation().read(&access)?.to_le_bytes();
            bytes.extend_from_slice(&value[..access.width.bytes()]);
        }
        Ok(bytes)
    }

    pub fn user_write(&self, pos: usize, bytes: &[u8]) -> Result<(), Errno> {
        let mut done = 0;
        while done < bytes.len() {
            let access = Access::first(&self.shadow(), pos + done, bytes.len() - done)?;
            let mut value = [0; 4];
            let len = access.width.bytes();
            value[..len].copy_from_slice(&bytes[done..done + len]);
            self.emulation().write(&access, u32::from_le_bytes(value))?;
            done += len;
        }
        Ok(())
    }

    pub fn read16(&self, pos: usize) -> u16 {
        u16::from_le_bytes(self.user_read(pos, 2).unwrap().try_into().unwrap())
    }

    pub fn read32(&self, pos: usize) -> u32 {
        u32::from_le_bytes(self.user_read(pos, 4).unwrap().try_into().unwrap())
    }
}

impl<'b> Function for &'b Board {
    type Error = Errno;
    type MemoryLock<'a>
        = Lock<'b>
    where
        Self: 'a;

    fn facts(&self) -> Facts {
        self.facts
    }

    fn probe(&self, pos: usize, width: Width) -> Result<u32, Errno> {
        if pos % width.bytes() != 0 || pos + width.bytes() > self.hw.borrow().len() {
            return Err(EFAULT);
        }
        self.read(pos, width)
    }

    fn read(&self, pos: usize, width: Width) -> Result<u32, Errno> {
        if self.dead.get() {
            return Err(EIO);
        }
        self.check(pos, width)?;
        let hw = self.hw.borrow();
        let mut value = [0; 4];
        value[..width.bytes()].copy_from_slice(&hw[pos..pos + width.bytes()]);
        Ok(u32::from_le_bytes(value))
    }

    fn write(&self, pos: usize, width: Width, value: u32) -> Result<(), Errno> {
        if self.dead.get() {
            return Err(EIO);
        }
        self.check(pos, width)?;
        self.note(Action::Write(pos, width, value));
        let writable = self.writable.borrow();
        let mut hw = self.hw.borrow_mut();
        for (i, byte) in value.to_le_bytes()[..width.bytes()].iter().enumerate() {
            let mask = writable[pos + i];
            hw[pos + i] = hw[pos + i] & !mask | byte & mask;
        }
        Ok(())
    }

    fn resource(&self, index: usize) -> Resource {
        self.resources[index]
    }

    fn shadow_rom_len(&self) -> u64 {
        self.rom_len
    }

    fn lock_memory(&self, disabling: bool) -> Lock<'b> {
        self.note(Action::Lock { disabling });
        Lock(self)
    }

    fn set_power_state(&self, state: PowerState) {
        self.note(Action::Power(state));
    }

    fn reset(&self) {
        self.note(Action::Reset);
    }

    fn intx_disabled(&self) -> bool {
        self.intx_disabled.get()
    }

    fn set_intx_disabled(&self, disabled: bool) {
        self.intx_disabled.set(disabled);
        self.note(Action::IntxDisabled(disabled));
    }

    fn max_payload(&self) -> u32 {
        self.mps
    }

    fn set_max_read_request(&self, bytes: u32) {
        self.note(Action::ReadRequest(bytes));
    }

    fn read_vpd(&self, addr: u16) -> Option<[u8; 4]> {
        let vpd = self.vpd.borrow();
        let addr = usize::from(addr);
        vpd.as_ref()?.get(addr..addr + 4)?.try_into().ok()
    }

    fn write_vpd(&self, addr: u16, data: [u8; 4]) -> Option<()> {
        let mut vpd = self.vpd.borrow_mut();
        let addr = usize::from(addr);
        vpd.as_mut()?
            .get_mut(addr..addr + 4)?
            .copy_from_slice(&data);
        Some(())
    }

    fn msi_is_active(&self) -> bool {
        self.msi.get().0
    }

    fn msi_queue_max(&self) -> u8 {
        self.msi.get().1
    }

    fn report(&self, event: Event) {
        self.note(Action::Report(event));
    }
}
