// SPDX-License-Identifier: GPL-2.0

//! How many bytes each capability takes.
//!
//! Those without a length are hidden: unlinked from the list that the user walks. Their bytes then
//! belong to nobody and are passed through, as gaps are.

use super::{
    regs::{
        acs,
        cap,
        dpa,
        ecap,
        err,
        exp,
        ht,
        msi,
        pcix,
        rebar,
        sata,
        tph,
        vc,
        vsec, //
    },
    Width, //
};

/// Reads a register of the capability: its offset there, and its size.
pub trait ReadRegister<E>: Fn(usize, Width) -> Result<u32, E> {}
impl<E, T: Fn(usize, Width) -> Result<u32, E>> ReadRegister<E> for T {}

/// The length of standard capability `id`, or 0 if it is hidden.
///
/// `pcie_flags` is the PCI Express capabilities register as the kernel knows it.
pub fn standard<E>(id: u8, pcie_flags: u16, read: impl ReadRegister<E>) -> Result<usize, E> {
    Ok(match id {
        cap::PM | cap::VPD => 8,
        cap::AGP | cap::MSIX => 12,
        cap::AF => 6,
        // CAST: A value of two bytes.
        cap::MSI => msi_length(read(msi::FLAGS, Width::Word)? as u16),
        cap::PCIX if read(pcix::CMD, Width::Word)? & pcix::CMD_VERSION != 0 => 24,
        cap::PCIX => 8,
        cap::VNDR => read(cap::FLAGS, Width::Byte)? as usize,
        cap::EXP => express(pcie_flags),
        cap::HT if read(ht::TYPE, Width::Byte)? & ht::TYPE_3BIT != 0 => 24,
        cap::HT => 28,
        cap::SATA if read(sata::REGS, Width::Byte)? & sata::REGS_LOCATION == sata::REGS_INLINE => {
            16
        }
        cap::SATA => 8,
        // The null capability, those of bridges and of CompactPCI, enhanced allocation, and any that
        // came later.
        _ => 0,
    })
}

/// The length of a MSI capability with these flags.
fn msi_length(flags: u16) -> usize {
    let address = if flags & msi::FLAGS_64BIT != 0 { 4 } else { 0 };
    let mask = if flags & msi::FLAGS_MASKBIT != 0 {
        10
    } else {
        0
    };
    10 + address + mask
}

/// The length of a PCI Express capability: integrated endpoints have no link.
fn express(flags: u16) -> usize {
    let integrated = flags & exp::FLAGS_TYPE == exp::FLAGS_TYPE_RC_ENDPOINT;
    match (flags & exp::FLAGS_VERSION, integrated) {
        (1, true) => 0x0c,
        (1, false) => 0x14,
        (_, true) => 0x2c,
        (_, false) => 0x34,
    }
}

/// The length of extended capability `id`, or 0 if it is hidden.
pub fn extended<E>(id: u16, read: impl ReadRegister<E>) -> Result<usize, E> {
    Ok(match id {
        ecap::ERR => err::SIZE.into(),
        ecap::VC | ecap::VC9 | ecap::MFVC => virtual_channels(
            read(vc::PORT_CAP1, Width::Dword)?,
            read(vc::PORT_CAP2, Width::Dword)?,
        ),
        ecap::DSN => 12,
        ecap::PWR | ecap::PRI => 16,
        ecap::ARI | ecap::ATS | ecap::LTR => 8,
        ecap::SRIOV => 0x40,
        ecap::MCAST => 40,
        ecap::VNDR | ecap::DVSEC => {
            (read(vsec::HEADER, Width::Dword)? >> vsec::HEADER_LENGTH_SHIFT) as usize
        }
        ecap::ACS if read(acs::CAP, Width::Byte)? & acs::CAP_EGRESS_CONTROL != 0 => {
            let bits = match read(acs::EGRESS_BITS, Width::Byte)? as usize {
                0 => 256,
                bits => bits.next_multiple_of(32),
            };
            8 + bits / 8
        }
        ecap::ACS => 8,
        ecap::REBAR => {
            let count = read(rebar::CTRL, Width::Byte)? & rebar::CTRL_COUNT;
            4 + (count >> rebar::CTRL_COUNT_SHIFT) as usize * 8
        }
        ecap::DPA => {
            dpa::BASE_SIZE + (read(dpa::CAP, Width::Byte)? & dpa::CAP_SUBSTATES) as usize + 1
        }
        ecap::TPH => {
            let cap = read(tph::CAP, Width::Dword)?;
            if cap & tph::CAP_LOCATION == tph::CAP_LOCATION_HERE {
                tph::BASE_SIZE + ((cap & tph::CAP_SIZE) >> tph::CAP_SIZE_SHIFT) as usize * 2 + 2
            } else {
                tph::BASE_SIZE
            }
        }
        // Those of root complexes, those that only the host may control (PASID), and any that came
        // later.
        _ => 0,
    })
}

/// The length of a virtual channel capability. Port arbitration tables are beyond it: functions
/// have none, and the user could not write to them anyway.
fn virtual_channels(cap1: u32, cap2: u32) -> usize {
    let phases = if cap2 & vc::PORT_CAP2_128_PHASE != 0 {
        128
    } else if cap2 & vc::PORT_CAP2_64_PHASE != 0 {
        64
    } else if cap2 & vc::PORT_CAP2_32_PHASE != 0 {
        32
    } else {
        0
    };
    let channels = (cap1 & vc::PORT_CAP1_EXT_COUNT) as usize + 1;
    let len = vc::BASE_SIZE + channels * vc::PER_VC_SIZE;
    if phases == 0 {
        len
    } else {
        // An entry of the arbitration table has four bits.
        len.next_multiple_of(16) + phases * 4 / 8
    }
}
