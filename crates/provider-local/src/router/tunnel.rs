//! After an upgrade to WebSocket: bytes go both ways, unread.
//!
//! Invariant: the instance has a request in flight, and the user's connection counts as busy and
//! against the limit of connections, until both directions ended.

use bytes::BytesMut;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncWriteExt, copy_bidirectional},
    net::TcpStream,
};

use super::{client::Busy, exchange::Exchange, table::Lease};

/// A connection to an instance that has switched protocols.
#[derive(Debug)]
pub(super) struct Tunnel {
    stream: TcpStream,
    /// What the instance said right after its `101`.
    first: BytesMut,
    _lease: Lease,
    _busy: Busy,
}

impl Tunnel {
    pub(super) fn new(busy: Busy, exchange: Exchange) -> Self {
        let (stream, first, lease) = exchange.into_tunnel();
        Self {
            stream,
            first,
            _lease: lease,
            _busy: busy,
        }
    }

    /// Waits in its own task until the user's side has switched too, then carries bytes.
    pub(super) fn spawn(self, upgrade: OnUpgrade) {
        tokio::spawn(async move {
            if let Err(error) = self.carry(upgrade).await {
                tracing::debug!("a tunnel ended early: {error}");
            }
        });
    }

    async fn carry(mut self, upgrade: OnUpgrade) -> std::io::Result<()> {
        let upgraded = upgrade.await.map_err(std::io::Error::other)?;
        let mut user = TokioIo::new(upgraded);
        user.write_all(&self.first).await?;
        self.first = BytesMut::new();
        copy_bidirectional(&mut user, &mut self.stream).await?;
        Ok(())
    }
}
