// SPDX-License-Identifier: GPL-2.0

//! An IOMMU backend: what gives a container its address space.
//!
//! A container asks for it by a type of its own, `VFIO_SET_IOMMU` with 0x53414d50. It then has one group,
//! and what type1 has in its first version, without options: `VFIO_IOMMU_MAP_DMA`, and
//! `VFIO_IOMMU_UNMAP_DMA` of just what was mapped. The log says (with dynamic debugging) what is mapped for
//! whom. `tests/suites/samples/sample_user.c` drives a device with it.
//!
//! Shows [`IommuDriver`], and the pieces that backends are made of: the rules of `vfio_logic`, and
//! [`IoSpace`], which sees to it that no page is unpinned that a device can still reach.

#![crate_name = "vfio_sample_iommu"]
#![deny(unsafe_code)]

use kernel::{
    mm::Mm,
    new_mutex,
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::{
        aref::ARef,
        Mutex, //
    },
};
use vfio_kapi::{
    group_kind::GroupKind,
    iommu_domain::{
        has_isolated_msi,
        reserved_regions,
        PagingDomain,
        ReservedKind, //
    },
    iommu_driver::{
        DeviceList,
        IommuDriver,
        Registration, //
    },
    iommu_group::IommuGroup,
    iommu_space::{
        IoMapping,
        IoSpace, //
    },
    locked_vm::LockedPages,
    refusal::Explain,
    refuse,
    uaccess::UserArg,
    uapi::{
        self,
        vfio_iommu_type1_dma_map,
        DmaUnmap, //
    },
};
use vfio_logic::{
    dma::{
        visible_page_sizes,
        MapRequest, //
    },
    iova::{
        self,
        IovaRange, //
    },
};

#[allow(unsafe_code)]
mod abi;

module! {
    type: Module,
    name: "vfio_sample_iommu",
    authors: ["VFIO in Rust"],
    description: "Sample of an IOMMU backend of VFIO",
    license: "GPL v2",
}

/// "SAMP".
const SAMPLE_IOMMU: usize = 0x5341_4d50;
const MAP_DMA: u32 = uapi::ioctl(13);
const UNMAP_DMA: u32 = uapi::ioctl(14);

const MAX_MAPPINGS: usize = 1024;

/// Memory that devices reach. Its pages are unpinned by [`IoSpace::unmap`], and then count no more.
struct Mapping {
    io: IoMapping,
    range: IovaRange,
    _locked: LockedPages,
}

/// What a container has of this backend.
#[pin_data]
struct Logged {
    #[pin]
    state: Mutex<State>,
}

struct State {
    space: IoSpace,
    /// What may be mapped; empty without a group.
    usable: KVec<IovaRange>,
    mappings: KVec<Mapping>,
}

impl IommuDriver for Logged {
    const NAME: &'static CStr = c"vfio-sample-iommu";
    type OwnerModule = crate::LocalModule;

    fn check_extension(_: Option<&Self>, extension: usize) -> usize {
        usize::from(extension == SAMPLE_IOMMU)
    }

    fn open(kind: usize) -> Result<impl PinInit<Self, Error>> {
        if kind != SAMPLE_IOMMU {
            return Err(EINVAL);
        }
        Ok(try_pin_init!(Self {
            state <- new_mutex!(State {
                space: IoSpace::new(),
                usable: KVec::new(),
                mappings: KVec::new(),
            }, "Logged::state"),
        }))
    }

    fn ioctl(&self, _: &DeviceList, cmd: u32, arg: UserArg) -> Result<isize> {
        match cmd {
            MAP_DMA => self
                .state
                .lock()
                .map(&arg.read_argsz(size_of::<vfio_iommu_type1_dma_map>())?),
            UNMAP_DMA => {
                let unmap: DmaUnmap = arg.read_argsz(size_of::<DmaUnmap>())?;
                self.state.lock().unmap(&unmap)
            }
            _ => Err(ENOTTY),
        }?;
        Ok(0)
    }

    fn attach_group(&self, group: &IommuGroup, kind: GroupKind) -> Result {
        let mut state = self.state.lock();
        if kind != GroupKind::Iommu || !state.space.domains().is_empty() {
            return Err(refuse!(
                EINVAL,
                "this backend takes one group, that has an IOMMU"
            ));
        }
        // A device whose interrupt messages reach anything is as good as one without an IOMMU.
        if !has_isolated_msi(group) {
            return Err(refuse!(EPERM, "there is no interrupt remapping"));
        }
        let mut domain = PagingDomain::for_group(group)?;
        domain.attach(group)?;
        // What the IOMMU can enforce depends on the devices that are attached.
        domain.enforce_cache_coherency();
        let reserved = reserved_regions(group)?;
        let mut usable = KVec::new();
        iova::usable(
            core::iter::once(domain.aperture()),
            reserved
                .iter()
                .filter(|region| region.kind != ReservedKind::DirectRelaxable)
                .map(|region| region.range),
            |range| usable.push(range, GFP_KERNEL_ACCOUNT).map_err(Error::from),
        )?;
        if let Some(doorbell) = reserved
            .iter()
            .find(|r| r.kind == ReservedKind::SoftwareMsi)
        {
            domain.set_msi_base(doorbell.range.start)?;
        }
        state.space.add(domain)?;
        state.usable = usable;
        Ok(())
    }

    fn detach_group(&self, _: &DeviceList, _: &IommuGroup) {
        let mut state = self.state.lock();
        let State {
            space, mappings, ..
        } = &mut *state;
        space.unmap_each(mappings.iter_mut().map(|mapping| &mut mapping.io));
        mappings.clear();
        space.retire(0, core::iter::empty());
        state.usable.clear();
    }
}

impl State {
    fn map(&mut self, map: &vfio_iommu_type1_dma_map) -> Result {
        let request =
            MapRequest::parse(map.flags, map.vaddr, map.iova, map.size).explain("MAP_DMA")?;
        let domain = self.space.domains().first().ok_or(EINVAL)?;
        request
            .check_alignment(visible_page_sizes(domain.page_sizes(), PAGE_SIZE as u64))
            .explain("MAP_DMA")?;
        // An empty list would restrict nothing, but there is a group, so it is not.
        if request.update_vaddr || !iova::is_usable(&self.usable, &request.range) {
            return Err(refuse!(EINVAL, "MAP_DMA: not at these addresses"));
        }
        if self
            .mappings
            .iter()
            .any(|m| m.range.overlaps(&request.range))
        {
            return Err(refuse!(EEXIST, "MAP_DMA: something is mapped there"));
        }
        if self.mappings.len() >= MAX_MAPPINGS {
            return Err(refuse!(ENOSPC, "MAP_DMA: there are {MAX_MAPPINGS} already"));
        }
        self.mappings.reserve(1, GFP_KERNEL_ACCOUNT)?;

        let task = current!();
        let mm = task.mm().ok_or(ENODEV)?;
        let pages = usize::try_from(request.size >> PAGE_SHIFT)?;
        let locked = LockedPages::new(&ARef::<Mm>::from(&**mm), pages)?;
        let mut io = IoMapping::new(map.iova, map.size, request.read, request.write);
        let filled = self.space.fill(&mut io, mm, map.vaddr, true, |_, _| Ok(()));
        if let Err(err) = filled {
            self.space.unmap(&mut io);
            return Err(err);
        }
        pr_debug!("{:#x} bytes mapped at {:#x}\n", map.size, map.iova);
        let mapping = Mapping {
            io,
            range: request.range,
            _locked: locked,
        };
        // There is room.
        let _ = self.mappings.push_within_capacity(mapping);
        Ok(())
    }

    fn unmap(&mut self, unmap: &DmaUnmap) -> Result {
        if unmap.flags != 0 {
            return Err(EINVAL);
        }
        let range = IovaRange::new(unmap.iova, unmap.size).ok_or(EINVAL)?;
        let index = self.mappings.iter().position(|m| m.range == range);
        let mut mapping = self
            .mappings
            .remove(index.ok_or(ENOENT)?)
            .map_err(|_| ENOENT)?;
        self.space.unmap(&mut mapping.io);
        pr_debug!("{:#x} bytes unmapped at {:#x}\n", unmap.size, unmap.iova);
        Ok(())
    }
}

struct Module {
    _registration: Registration<Logged>,
}

impl kernel::Module for Module {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        Ok(Self {
            _registration: Registration::new()?,
        })
    }
}
