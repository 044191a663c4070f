//! How a thread accepts users' connections, from the first table until it leaves.
//!
//! All threads accept from one socket, and whoever was quick hands the connection to the thread with
//! the fewest.

use std::{
    io,
    net::{SocketAddr, TcpListener as StdListener},
    os::fd::OwnedFd,
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Runtime,
    sync::{OwnedSemaphorePermit, mpsc},
    time::{sleep, timeout},
};

use crate::{
    users::{client::Client, connection},
    worker::{Phase, Worker},
};

/// Pause after `accept` failed, for example because there are no file descriptors left.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// A connection that one thread accepted for another.
pub(crate) type Handed = (OwnedFd, SocketAddr, OwnedSemaphorePermit);

/// The listener for one thread, which belongs to `runtime`.
pub(crate) fn share(runtime: &Runtime, listener: &StdListener) -> io::Result<TcpListener> {
    let listener = listener.try_clone()?;
    listener.set_nonblocking(true)?;
    let _inside = runtime.enter();
    TcpListener::from_std(listener)
}

/// Accepts and serves until the thread leaves, serves what is connected until it closes, then for at
/// most `deadline()` more.
pub(crate) async fn run(
    worker: Arc<Worker>,
    listener: TcpListener,
    mut handed: mpsc::UnboundedReceiver<Handed>,
    deadline: impl Fn() -> Duration,
) {
    let sweeper = tokio::spawn(Arc::clone(&worker).sweep());
    let (alive, mut all_gone) = mpsc::channel(1);
    // Nobody is answered before there is a table: connections wait in the kernel.
    worker.until(Phase::Open).await;
    tokio::select! {
        biased;
        () = worker.until(Phase::Leaving) => {}
        () = accept(&worker, &listener, &alive) => {}
        () = take_over(&worker, &mut handed, &alive) => {}
    }
    if worker.phase() == Phase::Closing {
        accept_queued(&worker, &listener, &alive).await;
    }
    drop(listener);
    tokio::select! {
        () = worker.until(Phase::Closing) => {}
        () = take_over(&worker, &mut handed, &alive) => {}
    }
    drop(alive);
    if timeout(deadline(), all_gone.recv()).await.is_err() {
        tracing::warn!("the router stops with requests in flight: the deadline has passed");
    }
    sweeper.abort();
}

async fn accept(worker: &Arc<Worker>, listener: &TcpListener, alive: &mpsc::Sender<()>) {
    loop {
        let permit = Arc::clone(&worker.shared.connections).acquire_owned();
        let permit = permit.await.expect("the semaphore is never closed");
        match listener.accept().await {
            Ok((stream, peer)) => match worker.with_fewest_connections() {
                None => serve(worker, stream, peer, permit, alive),
                Some(other) => match stream.into_std() {
                    Ok(stream) => other.hand((stream.into(), peer, permit)),
                    Err(error) => refused(&error),
                },
            },
            Err(error) => {
                refused(&error);
                sleep(ACCEPT_REST).await;
            }
        }
    }
}

fn refused(error: &io::Error) {
    tracing::warn!("the router could not accept a connection: {error}");
}

/// Serves what other threads accepted for this one.
async fn take_over(
    worker: &Arc<Worker>,
    handed: &mut mpsc::UnboundedReceiver<Handed>,
    alive: &mpsc::Sender<()>,
) {
    while let Some((stream, peer, permit)) = handed.recv().await {
        match TcpStream::from_std(stream.into()) {
            Ok(stream) => serve(worker, stream, peer, permit, alive),
            Err(error) => refused(&error),
        }
    }
}

/// Accepts what the kernel has already queued: there may be nobody who accepts it later.
async fn accept_queued(worker: &Arc<Worker>, listener: &TcpListener, alive: &mpsc::Sender<()>) {
    while let Ok(permit) = Arc::clone(&worker.shared.connections).try_acquire_owned() {
        match timeout(Duration::ZERO, listener.accept()).await {
            Ok(Ok((stream, peer))) => serve(worker, stream, peer, permit, alive),
            Ok(Err(_)) | Err(_) => break,
        }
    }
}

fn serve(
    worker: &Arc<Worker>,
    stream: TcpStream,
    peer: SocketAddr,
    permit: OwnedSemaphorePermit,
    alive: &mpsc::Sender<()>,
) {
    let client = Client::new(worker, peer, permit, alive);
    tokio::spawn(connection::serve(client, stream));
}
