//! Messages on a Unix socket: a length, then JSON; and open sockets that come along.
//!
//! Invariant: no message is longer than [`LEN_MAX`], and no longer one is read.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, OwnedFd},
};

use rustix::{
    cmsg_space,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
    },
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, Interest},
    net::UnixStream,
};

/// Longest message, in bytes: a table of some ten thousand instances.
const LEN_MAX: u32 = 16 * 1024 * 1024;

/// Writes one message.
///
/// # Errors
/// It is too long, or the peer is gone.
pub(super) async fn write(stream: &mut UnixStream, message: &impl Serialize) -> io::Result<()> {
    let bytes = serde_json::to_vec(message)?;
    let len = u32::try_from(bytes.len())
        .ok()
        .filter(|len| *len <= LEN_MAX);
    let len = len.ok_or_else(|| io::Error::other("a message to the router is too long"))?;
    stream.write_all(&len.to_be_bytes()).await?;
    stream.write_all(&bytes).await
}

/// Reads one message.
///
/// # Errors
/// It is too long or cannot be understood, or the peer is gone.
pub(super) async fn read<T: DeserializeOwned>(stream: &mut UnixStream) -> io::Result<T> {
    let len = stream.read_u32().await?;
    if len > LEN_MAX {
        return Err(io::Error::other("a message is too long"));
    }
    let mut bytes = vec![0; usize::try_from(len).map_err(io::Error::other)?];
    stream.read_exact(&mut bytes).await?;
    Ok(serde_json::from_slice(&bytes)?)
}

/// Sends an open socket; both sides have it from then on.
///
/// # Errors
/// The peer is gone.
pub(super) async fn send_socket(stream: &UnixStream, socket: &impl AsFd) -> io::Result<()> {
    let send = || {
        let sockets = [socket.as_fd()];
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&sockets));
        let byte = [IoSlice::new(&[1])];
        sendmsg(stream, &byte, &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    };
    stream.async_io(Interest::WRITABLE, send).await
}

/// Receives an open socket.
///
/// # Errors
/// The peer is gone, or sent none.
pub(super) async fn receive_socket(stream: &UnixStream) -> io::Result<OwnedFd> {
    let receive = || {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        let mut parts = [IoSliceMut::new(&mut byte)];
        recvmsg(stream, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC)?;
        let sockets = control.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(sockets) => Some(sockets),
            _ => None,
        });
        let socket = sockets.flatten().next();
        socket.ok_or_else(|| io::Error::other("no socket came along"))
    };
    stream.async_io(Interest::READABLE, receive).await
}
