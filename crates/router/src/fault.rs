//! Why an exchange with an instance broke off.

use std::{error::Error, io};

/// Why an exchange broke off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The connection ended before the first byte of an answer.
    #[error("the instance closed the connection without an answer")]
    Unanswered,
    /// The connection ended inside the answer.
    #[error("the instance closed the connection in the middle of its answer")]
    Truncated,
    /// The answer breaks the rules of HTTP.
    #[error("the instance's answer is faulty: {0}")]
    Faulty(#[from] WireFault),
    /// The first byte of an answer did not arrive in time.
    #[error("the instance did not begin to answer in time")]
    Silent,
    /// The user stopped sending the request in the middle.
    #[error("the request's body did not come in time")]
    Stalled,
    /// The user's connection broke while the request was read.
    #[error("the request's body broke off")]
    Broken(#[source] hyper::Error),
    /// The request's body was longer or shorter than it said.
    #[error("the request's body has another length than it said")]
    WrongLength,
}

impl Fault {
    /// Whether the instance is at fault, and not the user.
    pub(crate) fn is_of_the_instance(&self) -> bool {
        match self {
            Self::Unanswered | Self::Truncated | Self::Faulty(_) | Self::Silent => true,
            Self::Stalled | Self::Broken(_) | Self::WrongLength => false,
        }
    }

    /// Whether the user went away, which says nothing against the request.
    pub(crate) fn is_a_user_who_left(&self) -> bool {
        let Self::Broken(error) = self else {
            return false;
        };
        let cause = error
            .source()
            .and_then(|cause| cause.downcast_ref::<io::Error>());
        let nonsense = cause.is_some_and(|cause| {
            matches!(
                cause.kind(),
                io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData
            )
        });
        !nonsense && !error.is_parse()
    }
}

/// What is wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct WireFault(pub(crate) &'static str);
