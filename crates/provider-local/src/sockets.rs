//! Who listens on a port: the kernel's list of listening sockets, and whose descriptors they are.
//!
//! Invariant: an answer is given only when everything that it needs could be read; a shortage of our
//! own is an error, never "nobody listens".

use std::{
    collections::BTreeSet,
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use crate::{family, group::ProcessId, shortage};

/// A listening socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Listener {
    address: SocketAddr,
    /// The user who made it.
    uid: u32,
    /// Its number among the descriptors of the processes that hold it.
    inode: u64,
}

/// Who would answer at a port of 127.0.0.1, as seen by an instance that should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Holder {
    /// The instance itself.
    Itself,
    /// Another program, with its process id where that may be seen.
    Another(Option<i32>),
    /// Nobody. The instance listens at these addresses instead, if at any.
    Nobody(Vec<SocketAddr>),
}

/// Who would answer at `port` of 127.0.0.1, if `processes` are those of the instance that should.
///
/// # Errors
/// When the lists of the kernel cannot be read.
pub(crate) fn holder(port: u16, processes: &[ProcessId]) -> io::Result<Holder> {
    let listeners = listeners()?;
    let own = Own::of(processes)?;
    let answering = answering(&listeners, port);
    if answering.is_empty() {
        let elsewhere = listeners
            .iter()
            .filter(|it| own.sockets.contains(&it.inode));
        let elsewhere: BTreeSet<SocketAddr> = elsewhere.map(|it| it.address).collect();
        return Ok(Holder::Nobody(elsewhere.into_iter().collect()));
    }
    match answering.into_iter().find(|it| !own.holds(it)) {
        None => Ok(Holder::Itself),
        Some(strange) => Ok(Holder::Another(find(strange.inode))),
    }
}

/// The sockets that the processes of an instance hold.
#[derive(Default)]
struct Own {
    sockets: BTreeSet<u64>,
    /// Users of those processes whose descriptors may not be read, such as programs with
    /// capabilities.
    hidden: BTreeSet<u32>,
}

impl Own {
    fn of(processes: &[ProcessId]) -> io::Result<Self> {
        let mut own = Self::default();
        for process in processes {
            match sockets_of(process.pid) {
                Ok(sockets) => own.sockets.extend(sockets),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    own.hidden.extend(family::user_of(process.pid));
                }
                Err(error) if shortage::is_ours(&error) => return Err(error),
                // It ended meanwhile.
                Err(_) => {}
            }
        }
        Ok(own)
    }

    fn holds(&self, listener: &Listener) -> bool {
        self.sockets.contains(&listener.inode) || self.hidden.contains(&listener.uid)
    }
}

/// The listeners that a connection to `port` of 127.0.0.1 reaches: the kernel takes the most exact
/// address, and any of several sockets that share it.
fn answering(listeners: &[Listener], port: u16) -> Vec<Listener> {
    let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped();
    let ranks: [&[IpAddr]; 3] = [
        &[Ipv4Addr::LOCALHOST.into(), mapped.into()],
        &[Ipv4Addr::UNSPECIFIED.into()],
        &[Ipv6Addr::UNSPECIFIED.into()],
    ];
    let at = |rank: &[IpAddr]| {
        let found = listeners
            .iter()
            .filter(|it| it.address.port() == port && rank.contains(&it.address.ip()));
        found.copied().collect::<Vec<_>>()
    };
    let mut found = ranks.into_iter().map(at);
    found.find(|found| !found.is_empty()).unwrap_or_default()
}

fn listeners() -> io::Result<Vec<Listener>> {
    let mut all = parse(&fs::read_to_string("/proc/self/net/tcp")?);
    match fs::read_to_string("/proc/self/net/tcp6") {
        Ok(text) => all.extend(parse(&text)),
        // A kernel without IPv6.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(all)
}

/// The listening sockets in a table of the kernel (`/proc/net/tcp`, `tcp6`).
fn parse(table: &str) -> Vec<Listener> {
    const LISTEN: &str = "0A";
    let listener = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        if *fields.get(3)? != LISTEN {
            return None;
        }
        Some(Listener {
            address: address(fields.get(1)?)?,
            uid: fields.get(7)?.parse().ok()?,
            inode: fields.get(9)?.parse().ok()?,
        })
    };
    table.lines().filter_map(listener).collect()
}

/// An address as the kernel writes it: words of 32 bits in the machine's own order, then the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (host, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let words: Option<Vec<u32>> = (0..host.len() / 8)
        .map(|at| u32::from_str_radix(host.get(8 * at..8 * at + 8)?, 16).ok())
        .collect();
    let bytes: Vec<u8> = words?.into_iter().flat_map(u32::to_ne_bytes).collect();
    let ip = match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(four) => IpAddr::from(four),
        Err(_) => IpAddr::from(<[u8; 16]>::try_from(bytes.as_slice()).ok()?),
    };
    Some(SocketAddr::new(ip, port))
}

/// The sockets among the descriptors of a process.
fn sockets_of(pid: i32) -> io::Result<BTreeSet<u64>> {
    let mut sockets = BTreeSet::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        let Ok(target) = fs::read_link(entry?.path()) else {
            continue; // closed meanwhile
        };
        let target = target.to_string_lossy();
        let inode = target
            .strip_prefix("socket:[")
            .and_then(|it| it.strip_suffix(']'));
        sockets.extend(inode.and_then(|inode| inode.parse::<u64>().ok()));
    }
    Ok(sockets)
}

/// The process that holds a socket, among those whose descriptors may be read.
fn find(inode: u64) -> Option<i32> {
    let mut pids = family::pids().ok()?.into_iter();
    pids.find(|pid| sockets_of(*pid).is_ok_and(|sockets| sockets.contains(&inode)))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn this_process() -> Vec<ProcessId> {
        let pid = i32::try_from(std::process::id()).unwrap();
        let started_ticks = family::started_ticks(pid).unwrap();
        vec![ProcessId { pid, started_ticks }]
    }

    #[test]
    fn a_port_is_held_by_whoever_has_the_listening_socket() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(holder(port, &this_process()).unwrap(), Holder::Itself);
        let stranger = i32::try_from(std::process::id()).unwrap();
        assert_eq!(holder(port, &[]).unwrap(), Holder::Another(Some(stranger)));
        drop(listener);
        let nobody = holder(port, &[]).unwrap();
        assert_eq!(nobody, Holder::Nobody(Vec::new()));
    }

    #[test]
    fn an_instance_that_listens_elsewhere_is_found_there() {
        let Ok(listener) = TcpListener::bind("[::1]:0") else {
            // Without IPv6 another address of the same machine says as much.
            let listener = TcpListener::bind("127.0.0.2:0").unwrap();
            return elsewhere(&listener);
        };
        elsewhere(&listener);
    }

    fn elsewhere(listener: &TcpListener) {
        let address = listener.local_addr().unwrap();
        let Holder::Nobody(found) = holder(address.port(), &this_process()).unwrap() else {
            panic!("127.0.0.1 is not {address}");
        };
        assert!(found.contains(&address), "{found:?}");
    }

    #[test]
    fn the_kernels_tables_are_read() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            \x20  0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0\n\
            \x20  1: 0100007F:1F90 0100007F:C001 01 00000000:00000000 00:00000000 00000000  1000        0 4712 1 0\n\
            \x20  2: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 0\n";
        let expected = [("127.0.0.1:8080", 1000, 4711), ("[::1]:8080", 0, 4713)];
        let expected = expected.map(|(address, uid, inode)| Listener {
            address: address.parse().unwrap(),
            uid,
            inode,
        });
        assert_eq!(parse(table), expected);
    }
}
