//! The socket that users reach. There is one, whatever the number of threads; its owner may keep a
//! duplicate of it, so that users wait in its queue while a router is replaced.
//!
//! Invariant: nobody else can take a share of the users: the port is not shared (`SO_REUSEPORT`).

use std::{
    io,
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use rustix::net::sockopt;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen as listen_on, socket_with};

/// Connections that the kernel queues.
const BACKLOG: i32 = 4096;
/// A dead peer is noticed after this much silence and the probes that follow.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEPALIVE_PROBES: u32 = 4;
/// A user who takes no byte of an answer for this long loses the connection, in milliseconds.
const UNREAD_MAX_MS: u32 = 60_000;

/// Listens at `address`; port 0 takes a free one. Accepted connections inherit the options of the
/// socket, which saves a system call for each option.
///
/// # Errors
/// The address cannot be used (`AddrInUse`: another process listens there).
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    sockopt::set_socket_keepalive(&socket, true)?;
    sockopt::set_tcp_keepidle(&socket, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(&socket, KEEPALIVE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(&socket, KEEPALIVE_PROBES)?;
    sockopt::set_tcp_user_timeout(&socket, UNREAD_MAX_MS)?;
    bind(&socket, &address)?;
    listen_on(&socket, BACKLOG)?;
    Ok(TcpListener::from(socket))
}
