//! The listener of one thread: how it is set up, and how it accepts users' connections until the
//! thread closes.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use rustix::net::sockopt;
use tokio::{
    net::{TcpListener, TcpSocket},
    runtime::Runtime,
    sync::mpsc,
    time::{sleep, timeout},
};

use crate::{
    users::{client::Client, connection},
    worker::Worker,
};

/// Connections that the kernel queues for one thread.
const BACKLOG: u32 = 1024;
/// A dead peer is noticed after this much silence and the probes that follow.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEPALIVE_PROBES: u32 = 4;
/// A user who takes no byte of an answer for this long loses the connection, in milliseconds.
const UNREAD_MAX_MS: u32 = 60_000;
/// Pause after `accept` failed, for example because there are no file descriptors left.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// Fails when `address` is in use. Listeners that share a port also share its users, so a second
/// router must not start next to the first.
pub(crate) fn refuse_taken(address: SocketAddr) -> io::Result<()> {
    let socket = new_socket(address)?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)
}

fn new_socket(address: SocketAddr) -> io::Result<TcpSocket> {
    if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }
}

/// A listener that belongs to `runtime` and may share its port. Accepted connections inherit its
/// options, which saves a system call for each option.
pub(crate) fn listen(runtime: &Runtime, address: SocketAddr) -> io::Result<TcpListener> {
    let socket = new_socket(address)?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.set_nodelay(true)?;
    socket.set_keepalive(true)?;
    sockopt::set_tcp_keepidle(&socket, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(&socket, KEEPALIVE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(&socket, KEEPALIVE_PROBES)?;
    sockopt::set_tcp_user_timeout(&socket, UNREAD_MAX_MS)?;
    socket.bind(address)?;
    let _inside = runtime.enter();
    socket.listen(BACKLOG)
}

/// Accepts and serves until the thread closes, then for at most `deadline()` more.
pub(crate) async fn run(
    worker: Arc<Worker>,
    listener: TcpListener,
    deadline: impl Fn() -> Duration,
) {
    let sweeper = tokio::spawn(Arc::clone(&worker).sweep());
    let (alive, mut all_gone) = mpsc::channel(1);
    accept(&worker, &listener, &alive).await;
    drop((listener, alive));
    if timeout(deadline(), all_gone.recv()).await.is_err() {
        tracing::warn!("the router stops with requests in flight: the deadline has passed");
    }
    sweeper.abort();
}

/// Accepts until the thread closes, and then what the kernel has already queued.
async fn accept(worker: &Arc<Worker>, listener: &TcpListener, alive: &mpsc::Sender<()>) {
    loop {
        let permit = Arc::clone(&worker.shared.connections).acquire_owned();
        let permit = tokio::select! {
            biased;
            () = worker.until_closing() => break,
            permit = permit => permit.expect("the semaphore is never closed"),
        };
        let accepted = tokio::select! {
            biased;
            () = worker.until_closing() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let client = Client::new(worker, peer, permit, alive);
                tokio::spawn(connection::serve(client, stream));
            }
            Err(error) => {
                tracing::warn!("the router could not accept a connection: {error}");
                sleep(ACCEPT_REST).await;
            }
        }
    }
    while let Ok(permit) = Arc::clone(&worker.shared.connections).try_acquire_owned() {
        match timeout(Duration::ZERO, listener.accept()).await {
            Ok(Ok((stream, peer))) => {
                let client = Client::new(worker, peer, permit, alive);
                tokio::spawn(connection::serve(client, stream));
            }
            Ok(Err(_)) | Err(_) => break,
        }
    }
}
