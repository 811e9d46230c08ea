//! Devices that share the cable of another one under a hardware address of their own: macvlan (`linux/if_link.h`).

use std::ffi::c_int;
use std::io;

use super::message::{self, Attributes};
use super::{Link, Netlink, read_link};

const CREATE: c_int = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
// Not all in libc.
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_MACVLAN_MODE: u16 = 1;
/// Those on one device do not hear each other.
const PRIVATE: u32 = 1;
const IFLA_IFALIAS: u16 = 20;
const IFLA_GROUP: u16 = 27;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
/// The kernel makes no address for the link (`IN6_ADDR_GEN_MODE_NONE`).
const NONE: u8 = 1;
const KIND: &str = "macvlan";
/// The group of devices (`ip link set group`) that one of ours is in from the moment on at which it is there: the kernel takes no
/// alias while it makes one, and who makes it may be killed before it writes that.
const OURS: u32 = 0x6f75_746c;

/// A macvlan and what it lies on.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Macvlan {
    pub link: Link,
    /// Number of the device whose cable it shares.
    pub parent: u32,
    pub private: bool,
    /// What somebody wrote at it.
    pub alias: String,
    /// [`Netlink::create_macvlan`] made it.
    pub is_ours: bool,
}

impl Netlink {
    /// Makes a private macvlan on the device `parent`, down; its number.
    ///
    /// # Errors
    /// When the name is taken or too long, there is no such device, or the kernel has no such devices.
    pub fn create_macvlan(&self, name: &str, parent: u32, mac: [u8; 6]) -> io::Result<u32> {
        let mut request = message::link(libc::RTM_NEWLINK, CREATE, 0, 0);
        request.text(libc::IFLA_IFNAME, name);
        request.number(libc::IFLA_LINK, parent);
        request.attribute(libc::IFLA_ADDRESS, &mac);
        request.number(IFLA_GROUP, OURS);
        let kind = request.open(libc::IFLA_LINKINFO);
        request.text(IFLA_INFO_KIND, KIND);
        let values = request.open(IFLA_INFO_DATA);
        request.number(IFLA_MACVLAN_MODE, PRIVATE);
        request.close(values);
        request.close(kind);
        self.transport.ask(&mut request, &mut |_, _| {})?;
        let made = self.link(name)?.ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV))?;
        Ok(made.index)
    }

    /// What the kernel does not take while it makes a device: writes `alias` at it, and has the kernel make no address of IPv6.
    ///
    /// # Errors
    /// When there is no such device.
    pub fn finish_macvlan(&self, index: u32, alias: &str) -> io::Result<()> {
        let mut request = message::link(libc::RTM_NEWLINK, 0, index, 0);
        request.text(IFLA_IFALIAS, alias);
        self.transport.ask(&mut request, &mut |_, _| {})?;
        let mut request = message::link(libc::RTM_SETLINK, 0, index, 0);
        let families = request.open(IFLA_AF_SPEC);
        let family = request.open(u16::try_from(libc::AF_INET6).map_err(io::Error::other)?);
        request.attribute(IFLA_INET6_ADDR_GEN_MODE, &[NONE]);
        request.close(family);
        request.close(families);
        match self.transport.ask(&mut request, &mut |_, _| {}) {
            // A kernel without IPv6 makes no address either.
            Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => Ok(()),
            told => told,
        }
    }

    /// Every macvlan.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub fn macvlans(&self) -> io::Result<Vec<Macvlan>> {
        let mut found = Vec::new();
        let mut request = message::link(libc::RTM_GETLINK, 0, 0, 0);
        self.transport.dump(&mut request, &mut |kind, body| {
            if kind == libc::RTM_NEWLINK {
                found.extend(read(body));
            }
        })?;
        Ok(found)
    }
}

/// None: it is another kind of device.
fn read(body: &[u8]) -> Option<Macvlan> {
    let link = read_link(body)?;
    let mut found = Macvlan { link, ..Macvlan::default() };
    let mut is_one = false;
    for (kind, value) in Attributes::new(body.get(message::LINK_HEADER..)?) {
        match kind {
            libc::IFLA_LINK => found.parent = value.try_into().map_or(0, u32::from_ne_bytes),
            IFLA_IFALIAS => found.alias = text(value),
            IFLA_GROUP => {
                found.is_ours = value.try_into().is_ok_and(|it| u32::from_ne_bytes(it) == OURS);
            }
            libc::IFLA_LINKINFO => {
                for (kind, value) in Attributes::new(value) {
                    match kind {
                        IFLA_INFO_KIND => is_one = text(value) == KIND,
                        IFLA_INFO_DATA => found.private = is_private(value),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    is_one.then_some(found)
}

fn is_private(values: &[u8]) -> bool {
    let mut modes = Attributes::new(values).filter(|(kind, _)| *kind == IFLA_MACVLAN_MODE);
    modes.any(|(_, mode)| mode.try_into().is_ok_and(|mode| u32::from_ne_bytes(mode) == PRIVATE))
}

fn text(value: &[u8]) -> String {
    let text = value.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}
