//! Tokens of people and service accounts, which programs show at the door.
//!
//! Invariant: a token is known only to the one who made it; only its SHA-256 is stored.
//! Invariant: a token reaches at most as far as what made it, and as its owner's grants now.

use domain::{
    access::{PersonName, Principal, Reach, Resource, Right, Scope, TokenId, Who, is_token},
    time::UnixMs,
};
use std::{collections::BTreeSet, net::IpAddr};
use store::tokens as stored;
use uuid::Uuid;

use super::{
    Desk, Error, Operations, PAGE_MAX, Page, people,
    sign_in::{Secret, hash, invalid},
};

/// A token ends after this many days unless somebody says how many.
pub const DAYS_USUAL: u16 = 90;
/// A token ends after this many days at the latest.
pub const DAYS_MAX: u16 = 365;
/// The token of a command line ends after this many days.
const DAYS_LOGIN: u16 = 30;
/// Longest name of a token, in characters.
const NAME_LEN_MAX: usize = 64;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// A token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Which one it is.
    pub id: TokenId,
    /// Whose.
    pub who: Who,
    /// Its name, unique among its owner's.
    pub name: String,
    /// How far it reaches into what its owner may do.
    pub reach: Reach,
    /// When it was made.
    pub created_at: UnixMs,
    /// Who made it.
    pub created_by: String,
    /// When it ends.
    pub ends_at: UnixMs,
    /// The day on which it was used the last time.
    pub used_on: Option<UnixMs>,
    /// From where.
    pub used_from: Option<String>,
}

impl Token {
    /// Whose.
    #[must_use]
    pub fn owner(&self) -> &PersonName {
        match &self.who {
            Who::Person(name) | Who::ServiceAccount(name) => name,
        }
    }
}

/// What kind of token somebody wants.
#[derive(Debug, Clone, Default)]
pub struct TokenWish {
    /// Its name, unique among its owner's.
    pub name: String,
    /// The service account whose it is; `None`: one's own.
    pub owner: Option<PersonName>,
    /// Only these rights; `None`: all that the owner has.
    pub rights: Option<BTreeSet<Right>>,
    /// Only there.
    pub scope: Scope,
    /// Only the metrics, whatever else is said.
    pub scrapes: bool,
    /// After how many days it ends.
    pub days: Option<u16>,
}

/// A new token: the only time that anybody sees it.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// What it is.
    pub token: Token,
    /// What to show at the door.
    pub secret: Secret,
}

impl Operations {
    /// Whose token this is, and how far it reaches, if it is anybody's. For the door, which knows nobody
    /// yet.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn whose(
        &self,
        shown: &str,
        from: IpAddr,
    ) -> Result<Option<(Who, TokenId, Reach)>, Error> {
        let now = self.now();
        let Some(token) = self.store().token_of(&hash(shown), now).await? else {
            let what = match is_token(shown) {
                true => "token:unknown",
                false => "token:malformed",
            };
            self.refused(what, "", from);
            return Ok(None);
        };
        let day = UnixMs(now.0 - now.0.rem_euclid(86_400_000));
        let from = from.to_string();
        if token.used_on != Some(day) || token.used_from.as_deref() != Some(from.as_str()) {
            self.store().token_used(&token.id, day, &from).await?;
        }
        Ok(Some((token.who, token.id, token.reach)))
    }
}

impl Operations {
    /// A token for the command line of a person who just proved who they are. One of the same name, from the
    /// same machine, is replaced.
    pub(crate) async fn log_in_as(
        &self,
        person: PersonName,
        name: &str,
        from: IpAddr,
    ) -> Result<NewToken, Error> {
        let principal = Principal::asked_about(Who::Person(person)).at(from);
        let name = checked_name(name)?;
        let own = Some(principal.person());
        let before = self.store().tokens(own, None, PAGE_MAX).await?;
        if let Some(before) = before.into_iter().find(|token| token.name == name) {
            let now = self.now();
            self.store()
                .revoke_token(&before.id, &principal, now)
                .await?;
        }
        let owner = principal.who().clone();
        self.new_token(owner, &principal, (name, Reach::Full), DAYS_LOGIN)
            .await
    }

    /// A token of `owner` that `by` makes.
    async fn new_token(
        &self,
        owner: Who,
        by: &Principal,
        (name, reach): (String, Reach),
        days: u16,
    ) -> Result<NewToken, Error> {
        let now = self.now();
        let token = stored::Token {
            id: TokenId(Uuid::now_v7().to_string()),
            who: owner,
            name,
            reach,
            created_at: now,
            created_by: by.name().to_owned(),
            ends_at: now.plus_ms(u64::from(days) * DAY_MS),
            used_on: None,
            used_from: None,
        };
        let secret = Secret::random()?;
        let new = secret.hash();
        let created = self.store().create_token(&token, &new, by).await?;
        created_token(created, &token)?;
        Ok(NewToken {
            token: token.into(),
            secret,
        })
    }
}

impl Desk {
    /// Makes a token: one's own, or one of a service account for whoever may administer its team. It reaches
    /// no further than the credential that asks.
    ///
    /// # Errors
    /// [`Error::Exists`] when the owner has one of that name; [`Error::Invalid`] name, days or reach;
    /// [`Error::Busy`] when there are too many.
    pub async fn create_token(&self, wish: TokenWish) -> Result<NewToken, Error> {
        let seeing = self.may_see(Right::View).await?;
        self.must_be_fresh().await?;
        let reach = reach_of(&wish, self.principal())?;
        let owner = match &wish.owner {
            Some(name) if name != self.principal().person() => {
                let person = seeing.known_person(name).await;
                let person = person
                    .ok()
                    .filter(|it| matches!(it.who, Who::ServiceAccount(_)));
                let person = person.ok_or_else(|| people::unknown(name))?;
                let team = person.team.as_ref();
                let resource = team.map_or(Resource::Everything, Resource::Team);
                self.may(Right::Administer, resource).await?;
                person.who
            }
            _ => self.principal().who().clone(),
        };
        let (name, days) = (checked_name(&wish.name)?, checked_days(wish.days)?);
        let by = self.principal();
        seeing.new_token(owner, by, (name, reach), days).await
    }

    /// Tokens in the order of their ids, after the id `after`: all of them for whoever may administer, else
    /// one's own.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn tokens(&self, after: Option<&TokenId>, limit: u32) -> Result<Page<Token>, Error> {
        let seeing = self.may_see(Right::View).await?;
        let all = self.can(Right::Administer, Resource::Everything).await?;
        let owner = (!all).then(|| self.principal().person());
        let fetch = Page::<Token>::fetch(limit);
        let tokens = seeing.store().tokens(owner, after, fetch).await?;
        let tokens = tokens.into_iter().map(Token::from).collect();
        Ok(Page::of(tokens, limit, |token: &Token| token.id.0.clone()))
    }

    /// Takes a token away: the next request that shows it is refused. One's own, or anybody's for whoever may
    /// administer.
    ///
    /// # Errors
    /// [`Error::Unknown`] token, or somebody else's.
    pub async fn revoke_token(&self, id: &TokenId) -> Result<(), Error> {
        let seeing = self.may_see(Right::View).await?;
        let text: String = id.0.chars().take(80).collect();
        let unknown = || Error::Unknown {
            what: format!("token {text}"),
        };
        let token = seeing.store().token(id).await?.ok_or_else(unknown)?;
        let token = Token::from(token);
        let is_own = token.owner() == self.principal().person();
        if !is_own && !self.can(Right::Administer, Resource::Everything).await? {
            return Err(unknown());
        }
        let by = self.principal();
        let revoked = seeing.store().revoke_token(id, by, seeing.now());
        match revoked.await? {
            true => Ok(()),
            false => Err(unknown()),
        }
    }
}

/// How far a token may reach that `principal` makes: as far as is wished, and no further than the credential
/// that asks.
fn reach_of(wish: &TokenWish, principal: &Principal) -> Result<Reach, Error> {
    if wish.scrapes {
        return Ok(Reach::Scrape);
    }
    let everywhere = wish.scope == Scope::default();
    match principal.reach() {
        Reach::Full if wish.rights.is_none() && everywhere => Ok(Reach::Full),
        Reach::Full => Ok(Reach::Narrow {
            rights: wish.rights.clone().unwrap_or_else(|| Right::ALL.into()),
            scope: wish.scope.clone(),
        }),
        Reach::Narrow { rights, scope } => {
            let wished = wish.rights.clone().unwrap_or_else(|| rights.clone());
            let both = wish.scope.and(scope).filter(|_| wished.is_subset(rights));
            let scope = both.ok_or_else(|| {
                let rule = "a token cannot make one that reaches further than itself";
                invalid("rights", &rule)
            })?;
            Ok(Reach::Narrow {
                rights: wished,
                scope,
            })
        }
        Reach::Scrape => Err(invalid("rights", &"a token for metrics makes no tokens")),
    }
}

fn checked_name(name: &str) -> Result<String, Error> {
    let good = !name.trim().is_empty()
        && name.chars().count() <= NAME_LEN_MAX
        && !name.chars().any(char::is_control);
    match good {
        true => Ok(name.trim().to_owned()),
        false => Err(invalid(
            "name",
            &format!("say what it is for, in 1 to {NAME_LEN_MAX} characters"),
        )),
    }
}

fn checked_days(days: Option<u16>) -> Result<u16, Error> {
    match days.unwrap_or(DAYS_USUAL) {
        days @ 1..=DAYS_MAX => Ok(days),
        _ => Err(invalid(
            "days",
            &format!("a token lasts 1 to {DAYS_MAX} days"),
        )),
    }
}

fn created_token(created: stored::TokenCreated, token: &stored::Token) -> Result<(), Error> {
    let (Who::Person(owner) | Who::ServiceAccount(owner)) = &token.who;
    match created {
        stored::TokenCreated::Created => Ok(()),
        stored::TokenCreated::Unknown => Err(people::unknown(owner)),
        stored::TokenCreated::AlreadyThere => Err(Error::Exists {
            what: format!("{owner} has a token named {}", token.name),
        }),
        stored::TokenCreated::Full => Err(Error::Busy {
            what: "tokens",
            limit: usize::try_from(stored::TOKENS_MAX).unwrap_or(usize::MAX),
        }),
    }
}

impl From<stored::Token> for Token {
    fn from(token: stored::Token) -> Self {
        Self {
            id: token.id,
            who: token.who,
            name: token.name,
            reach: token.reach,
            created_at: token.created_at,
            created_by: token.created_by,
            ends_at: token.ends_at,
            used_on: token.used_on,
            used_from: token.used_from,
        }
    }
}
