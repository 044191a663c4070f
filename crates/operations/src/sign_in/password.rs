//! Passwords: argon2id with 19 MiB and two passes, as OWASP and ASVS 5.0 (11.4.2) advise.
//!
//! Invariant: at most one password per core is worked on at a time, and only so many wait: many who sign in
//! at once take neither the memory nor the threads of those who deploy.

use std::sync::{Arc, LazyLock};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::SignInRefused;
use crate::Error;

/// How many may wait for their turn.
const WAITING_MAX: usize = 64;

/// A password as somebody typed it. It is never shown.
#[derive(Clone)]
pub struct Password(String);

impl Password {
    /// What was typed, exactly.
    #[must_use]
    pub fn typed(text: String) -> Self {
        Self(text)
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(..)")
    }
}

/// Where passwords are worked on.
#[derive(Debug)]
pub(crate) struct Passwords {
    queue: Arc<Semaphore>,
    cores: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            queue: Arc::new(Semaphore::new(cores + WAITING_MAX)),
            cores: Arc::new(Semaphore::new(cores)),
        }
    }
}

/// What is compared where there is no password, so that it takes as long.
static NOBODYS: LazyLock<Option<String>> = LazyLock::new(|| hashed("nobody's"));

fn hashed(password: &str) -> Option<String> {
    let hash = Argon2::default().hash_password(password.as_bytes()).ok()?;
    Some(hash.to_string())
}

fn matches(password: &str, stored: Option<&str>) -> bool {
    let compared = stored.or(NOBODYS.as_deref()).unwrap_or_default();
    let same = PasswordHash::new(compared).is_ok_and(|hash| {
        Argon2::default()
            .verify_password(password.as_bytes(), &hash)
            .is_ok()
    });
    same && stored.is_some()
}

impl Passwords {
    /// Whether `password` is the one that is stored as `stored`; with `None` it is not, after as much work.
    pub(crate) async fn matches(
        &self,
        password: Password,
        stored: Option<String>,
    ) -> Result<bool, Error> {
        self.work(move || matches(&password.0, stored.as_deref()))
            .await
    }

    /// The password as it is stored.
    pub(crate) async fn hash(&self, password: Password) -> Result<String, Error> {
        let hashed = self.work(move || hashed(&password.0)).await?;
        hashed.ok_or(Error::Internal {
            doing: "hashing a password",
        })
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let (place, core) = self.turn().await?;
        let done = tokio::task::spawn_blocking(move || {
            let _kept_until_the_end = (place, core);
            work()
        });
        done.await.map_err(|_| Error::Internal {
            doing: "checking a password",
        })
    }

    async fn turn(&self) -> Result<(OwnedSemaphorePermit, OwnedSemaphorePermit), Error> {
        let busy = || Error::from(SignInRefused::Busy);
        let place = Arc::clone(&self.queue).try_acquire_owned();
        let place = place.map_err(|_| busy())?;
        let core = Arc::clone(&self.cores).acquire_owned().await;
        Ok((place, core.map_err(|_| busy())?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_matches() {
        let passwords = Passwords::default();
        let typed = |text: &str| Password::typed(text.to_owned());
        let stored = passwords.hash(typed("signal box at dawn")).await.unwrap();
        assert!(
            stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{stored}"
        );
        for (text, is_right) in [
            ("signal box at dawn", true),
            ("signal box at dawn ", false),
            ("", false),
        ] {
            let matches = passwords.matches(typed(text), Some(stored.clone())).await;
            assert_eq!(matches.unwrap(), is_right, "{text:?}");
        }
        let nobody = passwords.matches(typed("nobody's"), None).await;
        assert!(!nobody.unwrap(), "nobody has no password");
    }

    #[tokio::test]
    async fn only_so_many_wait() {
        let passwords = Passwords {
            queue: Arc::new(Semaphore::new(1)),
            cores: Arc::new(Semaphore::new(1)),
        };
        let _taken = passwords.turn().await.unwrap();
        let refused = passwords.turn().await.unwrap_err();
        assert!(
            matches!(refused, Error::SignIn(SignInRefused::Busy)),
            "{refused}"
        );
    }

    #[tokio::test]
    async fn who_is_unknown_costs_as_much_as_who_is_not() {
        let passwords = Passwords::default();
        let typed = || Password::typed("signal box at dawn".to_owned());
        let stored = Some(passwords.hash(typed()).await.unwrap());
        passwords.matches(typed(), None).await.unwrap();
        let took = async |stored: Option<String>| {
            let began = std::time::Instant::now();
            passwords.matches(typed(), stored).await.unwrap();
            began.elapsed().as_micros()
        };
        // In turns, and the least of each: what else the machine does slows both.
        let (mut known, mut unknown) = (u128::MAX, u128::MAX);
        for _ in 0..8 {
            known = known.min(took(stored.clone()).await);
            unknown = unknown.min(took(None).await);
        }
        assert!(unknown * 2 > known, "{unknown} µs against {known} µs");
    }
}
