//! Building networks: pairs, bridges, neighbours.

use std::ffi::c_int;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::Netlink;
use super::message::{self, Request};

const CREATE: c_int = libc::NLM_F_CREATE | libc::NLM_F_EXCL;

// `linux/if_link.h`, `linux/veth.h`; not all in libc.
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const IFLA_BRPORT_ISOLATED: u16 = 33;
const IFLA_BR_FORWARD_DELAY: u16 = 1;
const IFLA_BR_MCAST_SNOOPING: u16 = 23;
// `linux/neighbour.h`.
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;

impl Netlink {
    /// Switches a device on or off.
    ///
    /// # Errors
    /// Without `CAP_NET_ADMIN`, or when there is no such device.
    pub fn set_up(&self, index: u32, up: bool) -> io::Result<()> {
        self.tell(message::link_state(index, up))
    }

    /// Makes a switch that forwards at once and floods multicast.
    ///
    /// # Errors
    /// When the name is taken or too long.
    pub fn create_bridge(&self, name: &str) -> io::Result<()> {
        let mut request = message::link(libc::RTM_NEWLINK, CREATE, 0, 0);
        request.text(libc::IFLA_IFNAME, name);
        let kind = request.open(libc::IFLA_LINKINFO);
        request.text(IFLA_INFO_KIND, "bridge");
        let values = request.open(IFLA_INFO_DATA);
        request.number(IFLA_BR_FORWARD_DELAY, 0);
        request.attribute(IFLA_BR_MCAST_SNOOPING, &[0]);
        request.close(values);
        request.close(kind);
        self.tell(request)
    }

    /// Makes two devices that are the ends of one cable; the second may lie in another namespace.
    ///
    /// # Errors
    /// When a name is taken or too long.
    pub fn create_veth(
        &self,
        name: &str,
        peer: &str,
        peer_netns: Option<BorrowedFd<'_>>,
    ) -> io::Result<()> {
        let mut request = message::link(libc::RTM_NEWLINK, CREATE, 0, 0);
        request.text(libc::IFLA_IFNAME, name);
        let kind = request.open(libc::IFLA_LINKINFO);
        request.text(IFLA_INFO_KIND, "veth");
        let values = request.open(IFLA_INFO_DATA);
        let other = request.open(VETH_INFO_PEER);
        request.raw(&message::link_header(0, 0, 0));
        request.text(libc::IFLA_IFNAME, peer);
        if let Some(netns) = peer_netns {
            request.attribute(libc::IFLA_NET_NS_FD, &netns.as_raw_fd().to_ne_bytes());
        }
        request.close(other);
        request.close(values);
        request.close(kind);
        self.tell(request)
    }

    /// Makes a device that goes nowhere.
    ///
    /// # Errors
    /// When the name is taken, or the kernel has no such devices.
    pub fn create_dummy(&self, name: &str) -> io::Result<()> {
        let mut request = message::link(libc::RTM_NEWLINK, CREATE, 0, 0);
        request.text(libc::IFLA_IFNAME, name);
        let kind = request.open(libc::IFLA_LINKINFO);
        request.text(IFLA_INFO_KIND, "dummy");
        request.close(kind);
        self.tell(request)
    }

    /// Plugs a device into a switch, or out of it.
    ///
    /// # Errors
    /// When one of them is gone.
    pub fn set_master(&self, index: u32, master: Option<u32>) -> io::Result<()> {
        let mut request = message::link(libc::RTM_NEWLINK, 0, index, 0);
        request.number(libc::IFLA_MASTER, master.unwrap_or(0));
        self.tell(request)
    }

    /// Moves a device to another namespace.
    ///
    /// # Errors
    /// When its name is taken there.
    pub fn set_netns(&self, index: u32, netns: BorrowedFd<'_>) -> io::Result<()> {
        let mut request = message::link(libc::RTM_NEWLINK, 0, index, 0);
        request.attribute(libc::IFLA_NET_NS_FD, &netns.as_raw_fd().to_ne_bytes());
        self.tell(request)
    }

    /// Whether a port of a switch reaches only ports that are not isolated.
    ///
    /// # Errors
    /// When the device is no port of a switch.
    pub fn set_isolated(&self, index: u32, isolated: bool) -> io::Result<()> {
        let mut request = Request::port(index);
        let port = request.open(libc::IFLA_PROTINFO);
        request.attribute(IFLA_BRPORT_ISOLATED, &[u8::from(isolated)]);
        request.close(port);
        self.tell(request)
    }

    /// Removes a device, and the other end of a cable with it.
    ///
    /// # Errors
    /// When there is none.
    pub fn delete_link(&self, index: u32) -> io::Result<()> {
        self.tell(message::link(libc::RTM_DELLINK, 0, index, 0))
    }

    /// Sends what is for `ip` to this hardware address, without asking who has it. With one that
    /// nobody has, this end is no longer heard by that one, and still hears it.
    ///
    /// # Errors
    /// Without `CAP_NET_ADMIN`, or when the device is gone.
    pub fn set_neighbour(&self, index: u32, ip: Ipv4Addr, mac: [u8; 6]) -> io::Result<()> {
        let flags = libc::NLM_F_CREATE | libc::NLM_F_REPLACE;
        let mut request = message::neighbour(libc::RTM_NEWNEIGH, flags, libc::AF_INET, index);
        request.attribute(NDA_DST, &ip.octets());
        request.attribute(NDA_LLADDR, &mac);
        self.tell(request)
    }

    /// Asks again who has `ip`; nothing happens where nothing was set.
    ///
    /// # Errors
    /// Without `CAP_NET_ADMIN`, or when the device is gone.
    pub fn delete_neighbour(&self, index: u32, ip: Ipv4Addr) -> io::Result<()> {
        let mut request = message::neighbour(libc::RTM_DELNEIGH, 0, libc::AF_INET, index);
        request.attribute(NDA_DST, &ip.octets());
        match self.tell(request) {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
            told => told,
        }
    }

    fn tell(&self, mut request: Request) -> io::Result<()> {
        self.transport.ask(&mut request, &mut |_, _| {})
    }
}
