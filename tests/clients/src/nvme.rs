// SPDX-License-Identifier: GPL-2.0

//! The crate `nvme-driver`, which operating systems have for a disk: here on rust-vmm's `vfio-ioctls`.
//!
//! It gets on by interrupts only, and has each buffer mapped for the device and unmapped by itself. What it writes
//! has to be what it reads, by MSI-X and by INTx.

use std::alloc::Layout;
use std::collections::HashMap;
use std::num::NonZeroU64;
use std::num::NonZeroUsize;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::ptr;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::Mutex;
use std::thread;

use anyhow::bail;
use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use dma_api::CompletedDma;
use dma_api::CpuDmaBuffer;
use dma_api::DeviceDma;
use dma_api::DmaAllocHandle;
use dma_api::DmaCoherency;
use dma_api::DmaConstraints;
use dma_api::DmaDeviceInfo;
use dma_api::DmaDirection;
use dma_api::DmaDomainId;
use dma_api::DmaError;
use dma_api::DmaMapHandle;
use dma_api::DmaOp;
use mmio_api::MapError;
use mmio_api::MmioAddr;
use mmio_api::MmioOp;
use mmio_api::MmioRaw;
use nvme_driver::Config;
use nvme_driver::Nvme;
use nvme_driver::NvmeBlockDriver;
use nvme_driver::NvmeIntxSource;
use rdif_block::BlockController;
use rdif_block::CompletedRequest;
use rdif_block::CompletionSink;
use rdif_block::ControllerEvent;
use rdif_block::ControllerState;
use rdif_block::ControllerUpdate;
use rdif_block::HardIrqHandler;
use rdif_block::HardwareQueue;
use rdif_block::IrqDisposition;
use rdif_block::OwnedRequest;
use rdif_block::OwnedRequestBatch;
use rdif_block::RequestFlags;
use rdif_block::RequestId;
use rdif_block::RequestOp;
use rdif_block::SubmissionSink;
use vfio_bindings::bindings::vfio;
use vfio_ioctls::VfioContainer;
use vfio_ioctls::VfioDevice;
use vmm_sys_util::eventfd::EventFd;
use vmm_sys_util::eventfd::EFD_NONBLOCK;

use crate::memory;
use crate::memory::Buffer;

const PAGE: usize = 0x1000;
/// Where the addresses that the device is given begin.
const IOVA: u64 = 0x1_0000_0000;
/// What the suite finds on the disk afterwards, in the seventh MiB.
const MARK: u8 = b'N';
const MIB: u64 = 1 << 20;

/// Writes and reads the namespace; `endless` goes on until it is killed.
pub fn run(address: &str, endless: bool) -> Result<()> {
    let container = Arc::new(VfioContainer::new(None)?);
    let path = Path::new("/sys/bus/pci/devices").join(address);
    let device = Arc::new(VfioDevice::new(&path, container.clone(), true)?);
    let config = vfio::VFIO_PCI_CONFIG_REGION_INDEX;
    // Accesses to memory, and DMA.
    device.region_write(config, &[0x06, 0x00], 4);
    // What the crate is lent is for good.
    let space: &'static Space = Box::leak(Box::new(Space::new(container)));
    let bar: &'static Bar = Box::leak(Box::new(Bar::new(&device)?));
    for kind in [Kind::MsiX, Kind::Intx] {
        println!("{kind:?}");
        let mut disk = Disk::start(&device, space, bar, kind).context("start")?;
        disk.info();
        loop {
            disk.verify(kind)?;
            if !endless {
                break;
            }
        }
        disk.stop().context("stop")?;
        let left = space.mapped.lock().unwrap().len();
        ensure!(left == 0, "{left} buffers stay mapped");
        let locked = memory::locked()?;
        ensure!(locked == 0, "{locked} kB stay locked");
    }
    println!("closed");
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    MsiX,
    Intx,
}

/// The addresses of the device: each buffer is mapped when the crate asks for it.
struct Space {
    container: Arc<VfioContainer>,
    mapped: Mutex<HashMap<u64, Buffer>>,
}

impl Space {
    fn new(container: Arc<VfioContainer>) -> Self {
        Self {
            container,
            mapped: Mutex::new(HashMap::new()),
        }
    }

    /// What the crate is told of it.
    fn dma(&'static self) -> DeviceDma {
        let domain = DmaDomainId::Translated(NonZeroU64::MIN);
        let limits = DmaConstraints::new(u64::MAX).with_align(PAGE);
        let info = DmaDeviceInfo::new(domain, DmaCoherency::Coherent, limits);
        DeviceDma::new(info, self)
    }
}

impl DmaOp for Space {
    fn page_size(&self) -> usize {
        PAGE
    }

    unsafe fn alloc_contiguous(&self, _: DmaConstraints, layout: Layout) -> Option<DmaAllocHandle> {
        let buffer = Buffer::new(layout.size().next_multiple_of(PAGE)).ok()?;
        let pointer = NonNull::new(buffer.pointer())?;
        let mut mapped = self.mapped.lock().unwrap();
        // The first address that is free for as much.
        let mut taken: Vec<_> = mapped.iter().map(|(&at, b)| (at, b.size())).collect();
        taken.sort_unstable();
        let mut iova = IOVA;
        for (at, size) in taken {
            if at - iova >= buffer.size() as u64 {
                break;
            }
            iova = at + size as u64;
        }
        // SAFETY: the buffer is unmapped before it goes, and nothing else refers to it.
        unsafe {
            self.container
                .vfio_dma_map(iova, buffer.size(), buffer.pointer())
        }
        .ok()?;
        mapped.insert(iova, buffer);
        // SAFETY: the buffer has the size, and is found at that address.
        Some(unsafe { DmaAllocHandle::new(pointer, pointer, iova.into(), layout) })
    }

    unsafe fn dealloc_contiguous(&self, handle: DmaAllocHandle) {
        let iova = handle.dma_addr().as_u64();
        let mut mapped = self.mapped.lock().unwrap();
        if let Some(buffer) = mapped.get(&iova) {
            self.container
                .vfio_dma_unmap(iova, buffer.size())
                .expect("unmap");
            mapped.remove(&iova);
        }
    }

    unsafe fn alloc_coherent(&self, _: DmaConstraints, _: Layout) -> Option<DmaAllocHandle> {
        // All of it is coherent.
        None
    }

    unsafe fn dealloc_coherent(&self, _: DmaAllocHandle) -> Result<(), DmaError> {
        Err(DmaError::CoherentReleaseFailed)
    }

    unsafe fn map_streaming(
        &self,
        _: DmaConstraints,
        _: NonNull<u8>,
        _: NonZeroUsize,
        _: DmaDirection,
    ) -> Result<DmaMapHandle, DmaError> {
        // This program gives the crate no memory of its own.
        Err(DmaError::NoMemory)
    }

    unsafe fn unmap_streaming(&self, _: DmaMapHandle) {}
}

/// The device's registers.
struct Bar {
    pointer: NonNull<u8>,
    size: usize,
}

// SAFETY: it is an address, of memory that stays.
unsafe impl Send for Bar {}
// SAFETY: as above.
unsafe impl Sync for Bar {}

impl Bar {
    fn new(device: &VfioDevice) -> Result<Self> {
        let index = vfio::VFIO_PCI_BAR0_REGION_INDEX;
        let size = usize::try_from(device.get_region_size(index))?;
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
        let address = unsafe {
            libc::mmap(
                ptr::null_mut(),
                size,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                device.as_raw_fd(),
                device.get_region_offset(index).try_into()?,
            )
        };
        if address == libc::MAP_FAILED {
            bail!("map BAR 0: {}", std::io::Error::last_os_error());
        }
        let pointer = NonNull::new(address.cast()).context("BAR 0 is nowhere")?;
        Ok(Self { pointer, size })
    }

    /// What the crate takes for the physical address is where it is here.
    fn address(&self) -> MmioAddr {
        (self.pointer.as_ptr() as usize).into()
    }
}

impl MmioOp for Bar {
    fn ioremap(&self, address: MmioAddr, size: usize) -> Result<MmioRaw, MapError> {
        if address != self.address() || size > self.size {
            return Err(MapError::Invalid);
        }
        // SAFETY: there it is, in that size.
        Ok(unsafe { MmioRaw::new(address, self.pointer, size) })
    }

    fn iounmap(&self, _: &MmioRaw) {}
}

/// Whether the device asserts INTx, as its status register says.
struct Status(Arc<VfioDevice>);

impl NvmeIntxSource for Status {
    fn is_asserted(&self) -> bool {
        let mut status = [0; 2];
        self.0
            .region_read(vfio::VFIO_PCI_CONFIG_REGION_INDEX, &mut status, 6);
        status[0] & 0x08 != 0
    }
}

#[derive(Default)]
struct Results {
    accepted: Vec<RequestId>,
    completed: Vec<CompletedRequest>,
}

impl SubmissionSink for Results {
    fn accepted(&mut self, id: RequestId) {
        self.accepted.push(id);
    }
}

impl CompletionSink for Results {
    fn complete(&mut self, request: CompletedRequest) {
        self.completed.push(request);
    }
}

/// The controller as the crate drives it, and its interrupts.
struct Disk {
    kind: Kind,
    device: Arc<VfioDevice>,
    dma: DeviceDma,
    driver: NvmeBlockDriver,
    handlers: HashMap<usize, Box<dyn HardIrqHandler>>,
    queues: Vec<Box<dyn HardwareQueue>>,
    vectors: Vec<EventFd>,
    results: Results,
}

impl Disk {
    fn start(
        device: &Arc<VfioDevice>,
        space: &'static Space,
        bar: &'static Bar,
        kind: Kind,
    ) -> Result<Self> {
        let (index, number, config) = match kind {
            // One for the administrative queue, and two more.
            Kind::MsiX => (
                vfio::VFIO_PCI_MSIX_IRQ_INDEX,
                3,
                Config::msix(PAGE, vec![0, 1, 2])?,
            ),
            Kind::Intx => (vfio::VFIO_PCI_INTX_IRQ_INDEX, 1, Config::intx(PAGE)),
        };
        let vectors = (0..number)
            .map(|_| EventFd::new(EFD_NONBLOCK))
            .collect::<std::io::Result<Vec<_>>>()?;
        device.enable_irq(index, vectors.iter().collect())?;
        let dma = space.dma();
        let nvme = Nvme::new(bar.address(), bar.size, dma.clone(), bar, config)?;
        let mut driver = NvmeBlockDriver::from_nvme(nvme);
        if kind == Kind::Intx {
            driver = driver.with_intx_source(Status(device.clone()));
        }
        let mut disk = Self {
            kind,
            device: device.clone(),
            dma,
            driver,
            handlers: HashMap::new(),
            queues: Vec::new(),
            vectors,
            results: Results::default(),
        };
        let start = ControllerEvent::Start { target_queues: 2 };
        let update = disk.driver.advance(start)?;
        let mut state = disk.take(update)?;
        while state != ControllerState::Ready {
            state = match state {
                ControllerState::RegisterPending { retry_after } => {
                    thread::sleep(retry_after);
                    let update = disk.driver.advance(ControllerEvent::RegisterRetry)?;
                    disk.take(update)?
                }
                ControllerState::WaitingForIrq => disk.interrupts()?.unwrap_or(state),
                other => bail!("it is {other:?}"),
            };
        }
        Ok(disk)
    }

    fn info(&self) {
        let device = self.driver.device_info();
        println!(
            "  {} blocks of {} bytes, {} queues",
            device.num_blocks,
            device.logical_block_size,
            self.queues.len()
        );
    }

    /// Keeps what a step of the driver has brought.
    fn take(&mut self, mut update: ControllerUpdate) -> Result<ControllerState> {
        self.queues.append(&mut update.take_queues());
        for endpoint in update.take_irq_endpoints() {
            let source_id = endpoint.source_id();
            self.handlers.insert(source_id, endpoint.into_handler());
            self.driver.advance(ControllerEvent::Rearm { source_id })?;
        }
        Ok(update.controller_state())
    }

    /// Waits for interrupts, and has the driver handle them; returns its state if it got on.
    fn interrupts(&mut self) -> Result<Option<ControllerState>> {
        let mut waits: Vec<_> = self
            .vectors
            .iter()
            .map(|vector| libc::pollfd {
                fd: vector.as_raw_fd(),
                events: libc::POLLIN,
                revents: 0,
            })
            .collect();
        // SAFETY: the structures are there, as many as it is told.
        let ready = unsafe { libc::poll(waits.as_mut_ptr(), waits.len() as _, 60_000) };
        ensure!(ready > 0, "no interrupt in a minute");
        let mut state = None;
        for source in 0..waits.len() {
            if self.vectors[source].read().is_err() {
                continue;
            }
            let handler = self.handlers.get_mut(&source).context("nobody's vector")?;
            let ack = handler.ack();
            for queue in &mut self.queues {
                if ack.queues().contains(queue.id()) {
                    queue.drain_completions(&mut self.results)?;
                }
            }
            if !ack.control_event().is_empty() {
                let event = ControllerEvent::Irq(ack.control_event());
                let update = self.driver.advance(event)?;
                state = Some(self.take(update)?);
            }
            if ack.disposition() == IrqDisposition::MaskedNeedsRearm {
                let rearm = ControllerEvent::Rearm { source_id: source };
                self.driver.advance(rearm)?;
            }
            if self.kind == Kind::Intx {
                self.device.unmask_irq(vfio::VFIO_PCI_INTX_IRQ_INDEX)?;
            }
        }
        Ok(state)
    }

    /// Has one queue do all of these at once: where, and what is written, or zeros to be read over. Returns what
    /// is in the buffers then.
    fn requests(
        &mut self,
        queue: usize,
        op: RequestOp,
        all: &[(u64, &[u8])],
    ) -> Result<Vec<Vec<u8>>> {
        let block = self.driver.device_info().logical_block_size;
        let direction = match op {
            RequestOp::Write => DmaDirection::ToDevice,
            _ => DmaDirection::FromDevice,
        };
        let mut batch = OwnedRequestBatch::with_capacity(all.len());
        for (offset, data) in all {
            let prepared = match NonZeroUsize::new(data.len()) {
                Some(size) => {
                    let mut buffer = CpuDmaBuffer::new_zero(&self.dma, size, PAGE, direction)?;
                    buffer.copy_from_slice_cpu(data);
                    Some(buffer.prepare_for_device())
                }
                None => None,
            };
            batch.push_back(OwnedRequest {
                op,
                lba: offset / block as u64,
                block_count: (data.len() / block).try_into()?,
                data: prepared,
                flags: RequestFlags::NONE,
            });
        }
        self.results = Results::default();
        let taken = self.queues[queue].submit_batch_owned(&mut batch, &mut self.results);
        ensure!(batch.is_empty(), "not taken: {:?}", taken.disposition());
        self.queues[queue].commit_submissions()?;
        while self.results.completed.len() < all.len() {
            self.interrupts()?;
        }
        // They complete in any order.
        let mut done = HashMap::new();
        for request in self.results.completed.drain(..) {
            request.result.with_context(|| format!("{op:?}"))?;
            done.insert(request.id, request.data);
        }
        let accepted = &self.results.accepted;
        accepted
            .iter()
            .map(|id| {
                let data = done.remove(id).context("an id that is not ours")?;
                Ok(data.map(bytes).unwrap_or_default())
            })
            .collect()
    }

    /// What is written has to be what is read: blocks, pages, and as much as goes into one request, several at once.
    fn verify(&mut self, kind: Kind) -> Result<()> {
        for queue in 0..self.queues.len() {
            let seed = queue as u64 * 2 + u64::from(kind == Kind::Intx);
            for (size, number) in [(512, 8), (PAGE, 16), (5 * 512, 8), (128 << 10, 6)] {
                let data: Vec<_> = (0..number).map(|i| noise((seed << 32) | i, size)).collect();
                let places: Vec<_> = (0..number).map(|i| 4 * MIB + i * size as u64).collect();
                let all: Vec<_> = places
                    .iter()
                    .copied()
                    .zip(data.iter().map(Vec::as_slice))
                    .collect();
                self.requests(queue, RequestOp::Write, &all)?;
                self.requests(queue, RequestOp::Flush, &[(0, &[])])?;
                // By the other queue, if there is one; into buffers that hold something else.
                let other = vec![0xff; size];
                let all: Vec<_> = places
                    .iter()
                    .map(|&place| (place, other.as_slice()))
                    .collect();
                let last = self.queues.len() - 1 - queue;
                let read = self.requests(last, RequestOp::Read, &all)?;
                ensure!(read == data, "{number} times {size} bytes: read are others");
                ensure!(read[0] != read[1], "all are the same");
            }
            println!("  queue {queue}: what was written was read");
        }
        let marks = vec![MARK; 256 << 10];
        let all: Vec<_> = (0..4)
            .map(|i| (6 * MIB + i * (256 << 10), marks.as_slice()))
            .collect();
        self.requests(0, RequestOp::Write, &all)?;
        Ok(())
    }

    fn stop(mut self) -> Result<()> {
        self.driver.advance(ControllerEvent::QuiesceIrqs)?;
        for queue in &mut self.queues {
            queue.shutdown(&mut self.results)?;
        }
        let mut state = self
            .driver
            .advance(ControllerEvent::Shutdown)?
            .controller_state();
        while let ControllerState::RegisterPending { retry_after } = state {
            thread::sleep(retry_after);
            state = self
                .driver
                .advance(ControllerEvent::RegisterRetry)?
                .controller_state();
        }
        ensure!(state == ControllerState::Shutdown, "it is {state:?}");
        self.device.disable_irq(match self.kind {
            Kind::MsiX => vfio::VFIO_PCI_MSIX_IRQ_INDEX,
            Kind::Intx => vfio::VFIO_PCI_INTX_IRQ_INDEX,
        })?;
        Ok(())
    }
}

fn bytes(data: CompletedDma) -> Vec<u8> {
    let mut bytes = vec![0; data.len().get()];
    data.copy_to_slice_cpu(&mut bytes);
    bytes
}

/// Bytes that are others for each seed.
fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..size)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}
