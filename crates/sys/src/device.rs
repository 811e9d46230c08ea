//! Switches that the kernel has for each device, in `/proc/sys/net` of this thread's network namespace.

use std::fs;
use std::io;

/// Of which version of IP.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Family {
    V4,
    V6,
}

/// # Errors
/// When there is no such device or switch.
pub fn read(family: Family, device: &str, switch: &str) -> io::Result<i32> {
    let text = fs::read_to_string(path(family, device, switch)?)?;
    text.trim().parse().map_err(|_| io::ErrorKind::InvalidData.into())
}

/// # Errors
/// When there is no such device or switch, without `CAP_NET_ADMIN`, or where `/proc/sys` is only to be read.
pub fn write(family: Family, device: &str, switch: &str, value: i32) -> io::Result<()> {
    fs::write(path(family, device, switch)?, value.to_string())
}

/// A name of a device may have dots, and would be a path with a slash.
fn path(family: Family, device: &str, switch: &str) -> io::Result<String> {
    let folder = match family {
        Family::V4 => "ipv4",
        Family::V6 => "ipv6",
    };
    let is_name = |name: &str| !name.is_empty() && !name.contains('/') && name != "..";
    match is_name(device) && is_name(switch) {
        true => Ok(format!("/proc/sys/net/{folder}/conf/{device}/{switch}")),
        false => Err(io::ErrorKind::InvalidInput.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_device_has_switches_and_a_path_is_no_name() {
        assert!(read(Family::V4, "lo", "arp_ignore").is_ok());
        for device in ["", "..", "../lo", "nosuchdevice"] {
            assert!(read(Family::V4, device, "arp_ignore").is_err(), "{device:?}");
        }
    }
}
