// SPDX-License-Identifier: GPL-2.0

//! A device that does not exist: an engine that adds up and inverts the memory of its user.
//!
//! Shows what a driver of an emulated device looks like on [`vfio_kapi::emulated_device`]. The user opens it
//! as any device of VFIO (`tests/suites/samples/sample_user.c` does) and finds one region, of four
//! registers of 8 bytes:
//!
//! | offset | register | |
//! |---|---|---|
//! | 0x00 | address | where the memory is, as the user has mapped it (IOVA) |
//! | 0x08 | length  | how many bytes |
//! | 0x10 | command | written: 1 adds the bytes up, 2 inverts them |
//! | 0x18 | result  | the sum, or how many bytes were inverted; or an errno, negative |
//!
//! The engine works while the command is being written, so there are no interrupts.

#![crate_name = "vfio_sample_emulated"]
#![deny(unsafe_code)]

use kernel::{
    new_mutex,
    prelude::*,
    sync::Mutex, //
};
use vfio_kapi::{
    emulated_device::{
        EmulatedOps,
        OpenDevice,
        Registration, //
    },
    uaccess::UserArg,
    uapi::{
        self,
        vfio_device_info,
        vfio_region_info, //
    }, //
};
use vfio_logic::io::Width;

module! {
    type: Module,
    name: "vfio_sample_emulated",
    authors: ["VFIO in Rust"],
    description: "Sample of an emulated VFIO device",
    license: "GPL v2",
}

const GET_INFO: u32 = uapi::ioctl(7);
const RESET: u32 = uapi::ioctl(11);

const REGISTERS: usize = 4;
/// In bytes.
const REGION_SIZE: u64 = 8 * REGISTERS as u64;

const ADDRESS: usize = 0;
const LENGTH: usize = 1;
const COMMAND: usize = 2;
const RESULT: usize = 3;

const SUM: u64 = 1;
const INVERT: u64 = 2;

/// How much a command may work on, in bytes: the user waits for it.
const MAX_LENGTH: u64 = 16 << 20;

/// The device: its registers.
#[pin_data]
struct Engine {
    #[pin]
    registers: Mutex<[u64; REGISTERS]>,
}

impl Engine {
    fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            registers <- new_mutex!([0; REGISTERS], "Engine::registers"),
        })
    }

    /// Which register an access is to. Others than of one whole register there are not.
    fn register(pos: u64, count: usize) -> Result<usize> {
        if count != 8 || pos % 8 != 0 || pos >= REGION_SIZE {
            return Err(EINVAL);
        }
        Ok((pos / 8) as usize)
    }

    /// Does what a command says, piece by piece.
    fn work(device: &OpenDevice<Self>, command: u64, address: u64, length: u64) -> Result<u64> {
        if !matches!(command, SUM | INVERT) || length > MAX_LENGTH {
            return Err(EINVAL);
        }
        let mut piece = [0; 256];
        let (mut done, mut sum) = (0, 0);
        while done < length {
            let rest = (length - done).min(piece.len() as u64);
            let bytes = piece.get_mut(..rest as usize).ok_or(EINVAL)?;
            let at = address.checked_add(done).ok_or(EOVERFLOW)?;
            device.dma_read(at, bytes)?;
            if command == SUM {
                // No more than MAX_LENGTH bytes.
                sum += bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>();
            } else {
                bytes.iter_mut().for_each(|byte| *byte = !*byte);
                device.dma_write(at, bytes)?;
            }
            done += rest;
        }
        Ok(if command == SUM { sum } else { done })
    }
}

impl EmulatedOps for Engine {
    const NAME: &'static CStr = c"vfio-sample-emulated";

    fn open(&self) -> Result {
        *self.registers.lock() = [0; REGISTERS];
        Ok(())
    }

    fn read(&self, _: &OpenDevice<Self>, pos: u64, count: usize, to: UserArg) -> Result<usize> {
        let register = Self::register(pos, count)?;
        let value = self.registers.lock().get(register).copied();
        to.write_le(Width::Eight, value.ok_or(EINVAL)?)?;
        Ok(count)
    }

    fn write(
        &self,
        device: &OpenDevice<Self>,
        pos: u64,
        count: usize,
        from: UserArg,
    ) -> Result<usize> {
        let register = Self::register(pos, count)?;
        // The user's memory may take its time: not under the lock.
        let value = from.read_le(Width::Eight)?;
        let mut registers = self.registers.lock();
        match register {
            ADDRESS | LENGTH => *registers.get_mut(register).ok_or(EINVAL)? = value,
            COMMAND => {
                let (address, length) = (registers[ADDRESS], registers[LENGTH]);
                drop(registers);
                let result = match Self::work(device, value, address, length) {
                    Ok(result) => result,
                    // CAST: The user sees a negative number.
                    Err(err) => i64::from(err.to_errno()) as u64,
                };
                self.registers.lock()[RESULT] = result;
            }
            // The result is read-only.
            _ => {}
        }
        Ok(count)
    }

    fn ioctl(&self, _: &OpenDevice<Self>, cmd: u32, arg: UserArg) -> Result<isize> {
        match cmd {
            GET_INFO => {
                let known = core::mem::offset_of!(vfio_device_info, cap_offset);
                let mut info: vfio_device_info = arg.read_argsz(known)?;
                info.flags = uapi::VFIO_DEVICE_FLAGS_RESET;
                info.num_regions = 1;
                info.num_irqs = 0;
                arg.write_prefix(&info, known)?;
            }
            RESET => *self.registers.lock() = [0; REGISTERS],
            _ => return Err(ENOTTY),
        }
        Ok(0)
    }

    fn region_info(&self, info: &mut vfio_region_info) -> Result {
        if info.index != 0 {
            return Err(EINVAL);
        }
        info.flags = uapi::VFIO_REGION_INFO_FLAG_READ | uapi::VFIO_REGION_INFO_FLAG_WRITE;
        info.offset = 0;
        info.size = REGION_SIZE;
        Ok(())
    }

    fn request(&self, count: u32) {
        if count == 0 {
            pr_info!("the module is to go: waiting for the user\n");
        }
    }
}

struct Module {
    _device: Registration<Engine>,
}

impl kernel::Module for Module {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let engine = KBox::pin_init(Engine::new(), GFP_KERNEL)?;
        Ok(Self {
            _device: Registration::new(c"vfio-sample-engine", engine)?,
        })
    }
}
