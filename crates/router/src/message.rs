//! What goes over a connection to an instance: heads, bodies and fields, by the rules of HTTP/1.1.
//! Nothing here reads or writes a socket.

pub(crate) mod answer_head;
pub(crate) mod cookies;
pub(crate) mod framing;
pub(crate) mod host;
pub(crate) mod request_head;
pub(crate) mod trailers;
