//! After an upgrade to WebSocket: bytes go both ways, unread.
//!
//! Invariant: until both directions have ended, the instance has a request in flight, and the
//! user's connection is busy and counts against the limit of connections. Once one direction has
//! ended, the other ends in bounded time: a user who lingers cannot keep an instance that is gone.

use std::{pin::pin, time::Duration};

use bytes::BytesMut;
use futures_util::future::{Either, select};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{self, AsyncRead, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    instances::{backend::Lease, exchange::Exchange},
    users::client::Busy,
};

/// How long one side may go on after the other has closed.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// A connection to an instance that has switched protocols.
#[derive(Debug)]
pub(crate) struct Tunnel {
    stream: TcpStream,
    /// What the instance said right after its `101`.
    first: BytesMut,
    _lease: Lease,
    _busy: Busy,
}

impl Tunnel {
    pub(crate) fn new(busy: Busy, exchange: Exchange) -> Self {
        let (stream, first, lease) = exchange.into_tunnel();
        Self {
            stream,
            first,
            _lease: lease,
            _busy: busy,
        }
    }

    /// Waits, in a task of its own, until the user's side has switched too; then carries bytes.
    pub(crate) fn spawn(self, upgrade: OnUpgrade) {
        tokio::spawn(async move {
            if let Err(error) = self.carry(upgrade).await {
                tracing::debug!("a tunnel ended early: {error}");
            }
        });
    }

    async fn carry(mut self, upgrade: OnUpgrade) -> io::Result<()> {
        let upgraded = upgrade.await.map_err(io::Error::other)?;
        let mut user = TokioIo::new(upgraded);
        user.write_all(&self.first).await?;
        self.first = BytesMut::new();
        let (mut from_user, mut to_user) = io::split(user);
        let (mut from_instance, mut to_instance) = self.stream.split();
        let up = pin!(carry_one_way(&mut from_user, &mut to_instance));
        let down = pin!(carry_one_way(&mut from_instance, &mut to_user));
        match select(up, down).await {
            Either::Left((ended, down)) => ended.and(timeout(LAST_WORDS, down).await?),
            Either::Right((ended, up)) => ended.and(timeout(LAST_WORDS, up).await?),
        }
    }
}

/// Carries bytes until there are no more, then closes the other side.
async fn carry_one_way(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    io::copy(from, to).await?;
    to.shutdown().await
}
