//! What signing in needs from an identity provider, whatever its protocol.

use std::fmt;

use futures_util::future::BoxFuture;

/// Somebody else who says who a person is.
pub trait IdentityProvider: Send + Sync + fmt::Debug {
    /// Its name, in addresses and with people: lower-case letters, digits and `-`.
    fn name(&self) -> &str;

    /// What people call it.
    fn title(&self) -> &str;

    /// The way there. Who is asked comes back at `back`.
    fn begin<'a>(&'a self, back: &'a str) -> BoxFuture<'a, Result<Departure, ProviderRefused>>;

    /// Who came back at `back`.
    fn finish<'a>(
        &'a self,
        back: &'a str,
        arrival: &'a Arrival,
    ) -> BoxFuture<'a, Result<Identity, ProviderRefused>>;

    /// Whether this is still the person `subject`, and what else is true of them now.
    fn confirm<'a>(
        &'a self,
        subject: &'a str,
        renewal: &'a str,
    ) -> BoxFuture<'a, Result<Identity, ProviderRefused>>;
}

/// The way to a provider.
#[derive(Clone)]
pub struct Departure {
    /// Where the browser goes.
    pub url: String,
    /// What the answer repeats.
    pub state: String,
    /// What the token repeats.
    pub nonce: String,
    /// What proves that it is the same one who asks for the token.
    pub verifier: String,
}

/// What a browser brings back, and what it has to fit.
#[derive(Clone)]
pub struct Arrival {
    /// What is exchanged for the token; `None`: the provider said no.
    pub code: Option<String>,
    /// Who says it, where the provider says that.
    pub issuer: Option<String>,
    /// As in [`Departure`].
    pub nonce: String,
    /// As in [`Departure`].
    pub verifier: String,
}

/// Who somebody is, as the provider says.
#[derive(Clone)]
pub struct Identity {
    /// Who, for this provider: never given to somebody else.
    pub subject: String,
    /// What they could be called, best first.
    pub names: Vec<String>,
    /// The groups that they are in; `None`: that is not asked.
    pub groups: Option<Vec<String>>,
    /// With what the provider is asked again; `None`: it cannot be.
    pub renewal: Option<String>,
}

impl fmt::Debug for Departure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Departure(..)")
    }
}

impl fmt::Debug for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Arrival(..)")
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.subject)
    }
}

/// Why a provider's word does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProviderRefused {
    /// Nobody went there from this browser, or it is too late, or the answer was used before.
    #[error(
        "this answer does not belong to a sign-in that began in this browser in the last 10 minutes; sign in again"
    )]
    NotBegun,
    /// It said no.
    #[error("the identity provider did not sign you in; try again, or ask who runs it")]
    Declined,
    /// It does not answer in time, or not at all.
    #[error("the identity provider does not answer; try again a little later")]
    Unreachable,
    /// It answers with more than it has to say.
    #[error("the identity provider answered with more than 1 MB, which is not read")]
    TooLarge,
    /// It answers with something else than the protocol says.
    #[error("the identity provider answered with something that is not OpenID Connect")]
    Malformed,
    /// It sends this server to another host.
    #[error(
        "the identity provider names an address at another host; if that is right, add the host to `hosts` in the settings of the provider"
    )]
    OtherHost,
    /// It is another one than the one that is configured.
    #[error("the answer is from another issuer than the one in the settings of the provider")]
    WrongIssuer,
    /// The token is for somebody else.
    #[error("the identity provider's token is for another application")]
    WrongAudience,
    /// The token is the answer to another question.
    #[error("the identity provider's token answers another sign-in; sign in again")]
    WrongNonce,
    /// The token is about somebody else.
    #[error("the identity provider's token is about somebody else")]
    WrongSubject,
    /// No key of the provider made the signature.
    #[error("the identity provider's token is not signed by a key of that provider")]
    UnknownKey,
    /// The signature is missing, wrong, or of a kind that is not taken.
    #[error("the identity provider's token has no signature that counts")]
    BadSignature,
    /// The token has ended, or begins in the future.
    #[error(
        "the identity provider's token is not valid at this time; compare the clocks of both machines"
    )]
    Expired,
    /// There are too many groups for a token.
    #[error(
        "you are in so many groups that the identity provider leaves them out; let it send only the groups that are assigned to this application"
    )]
    TooManyGroups,
    /// Not everybody whom the provider knows may come in.
    #[error("the identity provider knows you, but you are not among those who may sign in here")]
    NotAdmitted,
    /// There is no room, or no name, for one more person.
    #[error("there is no room for one more person; ask an admin")]
    Full,
}

impl ProviderRefused {
    /// Stable, for programs and records.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::NotBegun => "sign_in_not_begun",
            Self::Declined => "provider_declined",
            Self::Unreachable => "provider_unreachable",
            Self::TooLarge => "provider_too_large",
            Self::Malformed => "provider_malformed",
            Self::OtherHost => "provider_other_host",
            Self::WrongIssuer => "provider_wrong_issuer",
            Self::WrongAudience => "provider_wrong_audience",
            Self::WrongNonce => "provider_wrong_nonce",
            Self::WrongSubject => "provider_wrong_subject",
            Self::UnknownKey => "provider_unknown_key",
            Self::BadSignature => "provider_bad_signature",
            Self::Expired => "provider_expired",
            Self::TooManyGroups => "provider_too_many_groups",
            Self::NotAdmitted => "provider_not_admitted",
            Self::Full => "provider_full",
        }
    }

    /// Whether the provider may say something else a little later.
    #[must_use]
    pub fn is_for_now(self) -> bool {
        matches!(self, Self::Unreachable | Self::TooLarge | Self::Malformed)
    }
}
