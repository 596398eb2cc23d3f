// SPDX-License-Identifier: GPL-2.0

//! `VFIO_DEVICE_FEATURE`: what is common to all features, and those that are not the driver's own.

use kernel::{
    fs::file::{
        flags,
        FileDescriptorReservation, //
    },
    page::PAGE_SIZE,
    prelude::*, //
};
use vfio_kapi::{
    device_open::Opened,
    interval_tree::IntervalTree,
    iova_bitmap,
    refusal::Explain,
    uaccess::UserArg,
    uapi::{
        vfio_device_feature_dma_logging_control,
        vfio_device_feature_dma_logging_range,
        vfio_device_feature_dma_logging_report,
        vfio_device_feature_mig_data_size,
        vfio_device_feature_mig_state,
        vfio_device_feature_migration, //
        DeviceFeature,
    },
};
use vfio_logic::{
    feature as rules,
    feature::Request,
    migration, //
};

use crate::group::Group;

type Device = Opened<Group>;

const MIGRATION: u32 = vfio_kapi::uapi::VFIO_DEVICE_FEATURE_MIGRATION;
const MIG_DEVICE_STATE: u32 = vfio_kapi::uapi::VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE;
const DMA_LOGGING_START: u32 = vfio_kapi::uapi::VFIO_DEVICE_FEATURE_DMA_LOGGING_START;
const DMA_LOGGING_STOP: u32 = vfio_kapi::uapi::VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP;
const DMA_LOGGING_REPORT: u32 = vfio_kapi::uapi::VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT;
const MIG_DATA_SIZE: u32 = vfio_kapi::uapi::VFIO_DEVICE_FEATURE_MIG_DATA_SIZE;
const MIG_PRECOPY_INFO_V2: u32 = vfio_kapi::uapi::VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2;

/// The most ranges to log DMA in: as many as fit into a page.
const MAX_RANGES: usize = PAGE_SIZE / size_of::<vfio_device_feature_dma_logging_range>();

/// The arguments of a feature.
#[derive(Clone, Copy)]
struct Call {
    flags: u32,
    data: UserArg,
    /// The size of the data that user space has.
    len: usize,
}

impl Call {
    /// What is asked, of a feature that can do `supported` and has `min` bytes of data.
    fn request(&self, supported: u32, min: usize) -> Result<Request> {
        rules::request(self.flags, self.len, supported, min)
            .explain(fmt!("DEVICE_FEATURE {:#x}", self.flags))
    }
}

pub(crate) fn ioctl(device: &Device, arg: UserArg) -> Result<isize> {
    let size = size_of::<DeviceFeature>();
    let header: DeviceFeature = arg.read_argsz(size)?;
    let index = rules::index(header.flags).explain("DEVICE_FEATURE")?;
    let call = Call {
        flags: header.flags,
        data: arg.offset(size),
        len: (header.argsz as usize).saturating_sub(size),
    };
    match index {
        MIGRATION => migration(device, call),
        MIG_DEVICE_STATE => migration_state(device, call),
        DMA_LOGGING_START => log_start(device, call),
        DMA_LOGGING_STOP => log_stop(device, call),
        DMA_LOGGING_REPORT => log_report(device, call),
        MIG_DATA_SIZE => migration_data_size(device, call),
        MIG_PRECOPY_INFO_V2 => migration_precopy_info_v2(device, call),
        _ => return device.feature(call.flags, call.data, call.len),
    }?;
    Ok(0)
}

fn migration(device: &Device, call: Call) -> Result {
    device.migration().ok_or(ENOTTY)?;
    let size = size_of::<vfio_device_feature_migration>();
    if call.request(rules::GET, size)? == Request::Probe {
        return Ok(());
    }
    call.data.write(&vfio_device_feature_migration {
        flags: device.migration_flags().into(),
    })
}

fn migration_state(device: &Device, call: Call) -> Result {
    let migration = device.migration().ok_or(ENOTTY)?;
    let size = size_of::<vfio_device_feature_mig_state>();
    let request = call.request(rules::GET | rules::SET, size)?;
    if request == Request::Probe {
        return Ok(());
    }
    let mut state: vfio_device_feature_mig_state = call.data.read()?;
    let target = state.device_state;
    state.data_fd = -1;

    if request == Request::Get {
        state.device_state = device.migration_state()?;
        return call.data.write(&state);
    }
    match migration.set_state(target) {
        Ok(Some(file)) => {
            let reserved = FileDescriptorReservation::get_unused_fd_flags(flags::O_CLOEXEC)?;
            state.data_fd = i32::try_from(reserved.reserved_fd())?;
            call.data.write(&state)?;
            reserved.fd_install(file);
            Ok(())
        }
        // User space learns that there is no file even when the driver refused.
        other => {
            call.data.write(&state)?;
            other.map(|_| ())
        }
    }
}

fn migration_data_size(device: &Device, call: Call) -> Result {
    let migration = device.migration().ok_or(ENOTTY)?;
    let size = size_of::<vfio_device_feature_mig_data_size>();
    if call.request(rules::GET, size)? == Request::Probe {
        return Ok(());
    }
    call.data.write(&vfio_device_feature_mig_data_size {
        stop_copy_length: migration.data_size()? as u64,
    })
}

fn migration_precopy_info_v2(device: &Device, call: Call) -> Result {
    if device.migration_flags() & migration::PRE_COPY == 0 {
        return Err(EINVAL);
    }
    if call.request(rules::SET, 0)? == Request::Set {
        device.set_precopy_info_v2();
    }
    Ok(())
}

fn log_start(device: &Device, call: Call) -> Result {
    let log = device.dma_log().ok_or(ENOTTY)?;
    let size = size_of::<vfio_device_feature_dma_logging_control>();
    if call.request(rules::SET, size)? == Request::Probe {
        return Ok(());
    }
    let mut control: vfio_device_feature_dma_logging_control = call.data.read()?;
    let count = control.num_ranges as usize;
    match count {
        0 => return Err(EINVAL),
        1..=MAX_RANGES => (),
        _ => return Err(E2BIG),
    }
    let ranges = UserArg::new(usize::try_from(control.ranges).map_err(|_| EFAULT)?);
    let mut tree = IntervalTree::with_capacity(count)?;
    for index in 0..count {
        let at = index.wrapping_mul(size_of::<vfio_device_feature_dma_logging_range>());
        let range: vfio_device_feature_dma_logging_range = ranges.offset(at).read()?;
        let (start, last) = rules::log_range(range.iova, range.length, control.page_size)
            .explain("DMA_LOGGING_START")?;
        tree.insert(start, last)?;
    }
    log.start(&mut tree, &mut control.page_size)?;
    call.data.write(&control).inspect_err(|_| {
        // User space does not know the page size, so it cannot use the log.
        let _ = log.stop();
    })
}

fn log_stop(device: &Device, call: Call) -> Result {
    let log = device.dma_log().ok_or(ENOTTY)?;
    if call.request(rules::SET, 0)? == Request::Set {
        log.stop()?;
    }
    Ok(())
}

fn log_report(device: &Device, call: Call) -> Result {
    let log = device.dma_log().ok_or(ENOTTY)?;
    let size = size_of::<vfio_device_feature_dma_logging_report>();
    if call.request(rules::GET, size)? == Request::Probe {
        return Ok(());
    }
    let report: vfio_device_feature_dma_logging_report = call.data.read()?;
    rules::log_report(report.iova, report.length, report.page_size)
        .explain("DMA_LOGGING_REPORT")?;
    iova_bitmap::report(
        &log,
        iova_bitmap::Range {
            iova: usize::try_from(report.iova)?,
            len: usize::try_from(report.length)?,
            page_size: usize::try_from(report.page_size)?,
            bitmap: UserArg::new(usize::try_from(report.bitmap).map_err(|_| EFAULT)?),
        },
    )
}
