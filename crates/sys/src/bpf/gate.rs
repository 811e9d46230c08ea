//! Which packets of a virtual IP pass, until when: the kernel looks, whatever became of the process.
//!
//! ```text
//!   set(cell, until) ──► cell ◄── compared with the kernel's clock
//!                                        │
//!       wire ──► [in] ──► stack ──► [out] ──► wire      filters of the device's clsact queue
//! ```
//! A program on either side of a device drops what is to or from a virtual IP, its ARP and neighbour discovery
//! included, unless the clock is before the moment in the address's cell. A new gate is shut. Filters hold programs,
//! and programs the cells: when every process is dead they go on judging, and the moment passes. (A tcx link would go
//! with its last descriptor, and a gate that is gone is open.)
//!
//! The clock is `CLOCK_BOOTTIME`, which [`crate::clock::now`] reads and the programs ask by `ktime_get_boot_ns`: both
//! count what the machine slept. [`Gate::open`] proves that they are the same one, which they are not in a time namespace.
//!
//! Not gated: loopback (a node's own clients reach its own address), devices it is not attached to, packets that another
//! filter let through first (a tcx program, or one of the same place and kind), and what lies in a queue behind it.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use base::Time;

use super::{Refused, kernel};
use crate::clock;
use crate::netlink::{Direction, Filter, Known, Netlink};
use cells::Cell;
pub use cells::Cells;

mod assemble;
mod cells;
#[cfg(test)]
mod tests;

/// The name of our filters, by which they are known as ours, also to a later process.
const NAME: &str = "outlast-vip";
/// Before all others, and the only one of ours there.
const PRIORITY: u16 = 1;
const HANDLE: u32 = 1;

const DIRECTIONS: [Direction; 2] = [Direction::In, Direction::Out];

/// Two programs and their cells. Dropping it changes nothing on the devices: see [`Gate::detach`].
#[derive(Debug)]
pub struct Gate {
    map: OwnedFd,
    cells: Cells,
    /// In the order of [`DIRECTIONS`].
    programs: [(OwnedFd, u32); 2],
    /// Devices that had no such queue before.
    queues: Vec<u32>,
}

impl Gate {
    /// Makes a gate for virtual IPs: cell `n` is for `addresses[n]`, of any family, and is shut. It concerns no packet
    /// before it is attached. Linux 5.8.
    ///
    /// # Errors
    /// When the kernel does not take it, or its clock is not this process's.
    pub fn open(addresses: &[impl AsRef<[IpAddr]>]) -> Result<Self, Refused> {
        let map = kernel::shared_map(addresses.len().max(1) * size_of::<Cell>())?;
        Self::over(map, addresses)
    }

    /// The same with the cells of another gate for the same addresses, as they are: what is open is open.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn over(map: OwnedFd, addresses: &[impl AsRef<[IpAddr]>]) -> Result<Self, Refused> {
        let count = addresses.len();
        let cells = Cells::of(map.as_fd(), count)?;
        let load = |direction| {
            let words = assemble::gate(direction, addresses, map.as_raw_fd())?;
            let program = kernel::load(&words)?;
            let id = kernel::id(program.as_fd())?;
            Ok::<_, Refused>((program, id))
        };
        let programs = [load(Direction::In)?, load(Direction::Out)?];
        let gate = Self { map, cells, programs, queues: vec![] };
        if gate.has_our_clock()? { Ok(gate) } else { Err(Refused::OtherClock) }
    }

    fn has_our_clock(&self) -> Result<bool, Refused> {
        let asks = kernel::load(&assemble::clock(self.map.as_raw_fd())?)?;
        let before = clock::now();
        kernel::run(asks.as_fd(), &[0; 64])?;
        let after = clock::now();
        let kernels = self.cells.take_first_answer(0);
        Ok(kernels.is_some_and(|now| (before..=after).contains(&now)))
    }

    /// Puts the programs on both sides of a device, in the place of those that a former gate left, each in one step. A
    /// device that was made anew needs it again. Sends and receives as `netlink`'s namespace does.
    ///
    /// # Errors
    /// When it could not be done for both sides: then there is no filter of ours on either.
    pub fn attach(&mut self, netlink: &Netlink, index: u32) -> Result<(), Refused> {
        let attached = self.try_to_attach(netlink, index);
        if attached.is_err() {
            // What is there may be half of it, with a cell that nobody sets: the address would be mute for ever.
            let _ = self.detach(netlink, index);
        }
        attached
    }

    fn try_to_attach(&mut self, netlink: &Netlink, index: u32) -> Result<(), Refused> {
        match netlink.add_clsact(index) {
            Ok(true) => {
                self.queues.retain(|known| *known != index);
                self.queues.push(index);
            }
            Ok(false) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(Refused::Occupied("ingress queue"));
            }
            Err(error) => return Err(error.into()),
        }
        for (direction, (program, id)) in DIRECTIONS.into_iter().zip(&self.programs) {
            let filter = filter(direction, *id);
            match netlink.set_filter(index, &filter, program.as_fd()) {
                Ok(()) => {}
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                    let other = |other: &Filter| other.priority == PRIORITY && other.name != NAME;
                    return Err(match netlink.filters(index, direction)?.iter().any(other) {
                        true => Refused::Occupied("filter of the first priority"),
                        false => error.into(),
                    });
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Whether this gate's programs are on both sides of the device.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub fn is_attached(&self, netlink: &Netlink, index: u32) -> io::Result<bool> {
        for (direction, (_, id)) in DIRECTIONS.into_iter().zip(&self.programs) {
            let (priority, handle, name, program) = (PRIORITY, HANDLE, NAME, *id);
            let known = Known { direction, priority, handle, name, program };
            if !netlink.has_filter(index, known)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Takes our filters off a device, and the queue if this gate made it and nobody else uses it now: then the kernel
    /// answers for every address that is still there, so those go first.
    ///
    /// # Errors
    /// When the kernel does not answer; a device that is gone is no error.
    pub fn detach(&mut self, netlink: &Netlink, index: u32) -> io::Result<()> {
        detach(netlink, index)?;
        if let Some(made) = self.queues.iter().position(|known| *known == index) {
            self.queues.swap_remove(made);
            if is_empty(netlink, index)? {
                netlink.delete_clsact(index)?;
            }
        }
        Ok(())
    }

    /// Devices that had no queue before, for a gate that goes on in the place of this one.
    #[must_use]
    pub fn queues(&self) -> &[u32] {
        &self.queues
    }

    /// Such devices of the gate before.
    pub fn inherit_queues(&mut self, queues: &[u32]) {
        self.queues.extend(queues);
    }

    /// See [`Cells::set`].
    pub fn set(&self, cell: usize, until: Time) {
        self.cells.set(cell, until);
    }

    /// See [`Cells::first_answer`].
    #[must_use]
    pub fn first_answer(&self, cell: usize) -> Option<Time> {
        self.cells.first_answer(cell)
    }

    /// See [`Cells::dropped`].
    #[must_use]
    pub fn dropped(&self, cell: usize) -> u64 {
        self.cells.dropped(cell)
    }

    /// What another process needs for [`Cells::of`].
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.map.as_fd()
    }
}

/// Takes the filters of any gate, also of a process that is gone, off a device; others' stay, and so does the queue.
/// False: there were none.
///
/// # Errors
/// When the kernel does not answer.
pub fn detach(netlink: &Netlink, index: u32) -> io::Result<bool> {
    let mut found = false;
    for direction in DIRECTIONS {
        for filter in netlink.filters(index, direction)? {
            if filter.name == NAME {
                found |= netlink.delete_filter(index, &filter)?;
            }
        }
    }
    Ok(found)
}

fn is_empty(netlink: &Netlink, index: u32) -> io::Result<bool> {
    for direction in DIRECTIONS {
        if !netlink.filters(index, direction)?.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

fn filter(direction: Direction, program: u32) -> Filter {
    Filter { direction, priority: PRIORITY, handle: HANDLE, name: NAME.to_owned(), program }
}
