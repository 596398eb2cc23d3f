// SPDX-License-Identifier: GPL-2.0

//! What the program reads of the machine around it: sysfs and procfs.

use std::ffi::CString;
use std::fs;
use std::io;
use std::path::PathBuf;

use anyhow::Context;
use anyhow::Result;

/// A PCI device in sysfs.
pub struct PciDevice {
    /// Its address, `0000:01:00.0`.
    pub address: String,
}

impl PciDevice {
    /// Its directory in sysfs.
    pub fn path(&self) -> PathBuf {
        PathBuf::from("/sys/bus/pci/devices").join(&self.address)
    }

    /// Its name for `VFIO_GROUP_GET_DEVICE_FD`.
    pub fn name(&self) -> Result<CString> {
        CString::new(self.address.as_str()).context("an address with a nul")
    }

    /// The last part of the link `name` in its directory.
    fn link(&self, name: &str) -> Result<String> {
        let path = self.path().join(name);
        let target = fs::read_link(&path).with_context(|| format!("read {}", path.display()))?;
        let last = target.file_name().context("an empty link")?;
        Ok(last.to_string_lossy().into_owned())
    }

    /// The number of its IOMMU group.
    pub fn group(&self) -> Result<String> {
        self.link("iommu_group")
    }

    /// The name of its IOMMU group, which only those have that no IOMMU made.
    pub fn group_name(&self) -> Result<String> {
        let path = self.path().join("iommu_group/name");
        let name = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Ok(name.trim_end().to_owned())
    }

    /// The driver bound to it.
    pub fn driver(&self) -> Result<String> {
        self.link("driver")
    }

    /// The file which unbinds its driver, given its address.
    pub fn unbind_file(&self) -> Result<PathBuf> {
        self.driver()?;
        Ok(self.path().join("driver/unbind"))
    }

    /// Lets the kernel look for a driver for it.
    pub fn probe(&self) -> io::Result<()> {
        fs::write("/sys/bus/pci/drivers_probe", &self.address)
    }
}

/// How many kB of memory this process has locked; VFIO counts pinned pages there.
pub fn locked_kb() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status").context("read /proc/self/status")?;
    parse_kb(&status, "VmLck:").context("no VmLck in /proc/self/status")
}

/// How many kB of memory this machine could still give to programs.
pub fn available_kb() -> Result<u64> {
    let info = fs::read_to_string("/proc/meminfo").context("read /proc/meminfo")?;
    parse_kb(&info, "MemAvailable:").context("no MemAvailable in /proc/meminfo")
}

/// The value in kB of the line that starts with `name`.
fn parse_kb(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locked_line_is_found() {
        let status = "VmPeak:\t  100 kB\nVmLck:\t      16 kB\nVmPin:\t 0 kB\n";
        assert_eq!(parse_kb(status, "VmLck:"), Some(16));
        assert_eq!(parse_kb("VmPin: 0 kB\n", "VmLck:"), None);
    }
}
