//! Tokens of people and service accounts: what programs show at the door.
//!
//! Invariant: of a token only its SHA-256 is kept.

use domain::{
    access::{PersonName, Principal, Reach, TokenId, Who},
    release::Digest,
    time::UnixMs,
};
use serde_json::json;
use sqlx::{AnyConnection, Row, any::AnyRow};

use crate::{
    Audit, Store, StoreError,
    audit::TEXT_BYTES_MAX,
    grants::scope_of_row,
    people::who_of_row,
    query::Select,
    values::{Doing, check_text, count_up, json as written, page, parse},
};

/// Most tokens.
pub const TOKENS_MAX: i64 = 10_000;

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

/// What became of a new token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenCreated {
    /// It is stored.
    Created,
    /// Its owner is nobody; nothing was changed.
    Unknown,
    /// The owner has one of that name; nothing was changed.
    AlreadyThere,
    /// There are [`TOKENS_MAX`] of them; nothing was changed.
    Full,
}

const READING: &str = "reading tokens";
const WRITING: &str = "changing tokens";
const OF_SECRET: &str = "select tokens.*, people.kind from tokens
    join people on people.name = tokens.person
    where hash = $1 and ends_at > $2 and disabled_at is null";
const TOKENS: &str = "select tokens.*, people.kind from tokens
    join people on people.name = tokens.person where tokens.id >";
const TOKEN: &str = "select tokens.*, people.kind from tokens
    join people on people.name = tokens.person where tokens.id = $1";
const OWNER: &str = "select name from people where name = $1 and disabled_at is null";
const TAKEN: &str = "select id from tokens where person = $1 and name = $2";
const INSERT: &str = "insert into tokens (id, hash, person, name, rights, team, environment_type,
    scrapes, created_at, created_by, ends_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
const REVOKE: &str = "delete from tokens where id = $1";
const USED: &str = "update tokens set used_on = $2, used_from = $3 where id = $1";

impl Store {
    /// The token with this secret, if it has not ended and its owner is not disabled.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn token_of(&self, hash: &Digest, now: UnixMs) -> Result<Option<Token>, StoreError> {
        let row = sqlx::query(OF_SECRET)
            .bind(hash.to_string())
            .bind(now.0)
            .fetch_optional(&self.readers)
            .await
            .doing(READING)?;
        row.map(|row| token_of_row(&row)).transpose()
    }

    /// One token.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn token(&self, id: &TokenId) -> Result<Option<Token>, StoreError> {
        let row = sqlx::query(TOKEN)
            .bind(id.0.as_str())
            .fetch_optional(&self.readers)
            .await
            .doing(READING)?;
        row.map(|row| token_of_row(&row)).transpose()
    }

    /// Tokens in the order of their ids, after the id `after`; of one owner, if one is named.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn tokens(
        &self,
        owner: Option<&PersonName>,
        after: Option<&TokenId>,
        limit: u32,
    ) -> Result<Vec<Token>, StoreError> {
        let mut select = Select::new(TOKENS);
        select
            .bind(after.map_or("", |id| id.0.as_str()))
            .when("and person =", owner.map(PersonName::as_str))
            .push("order by tokens.id limit")
            .bind(page(limit));
        let mut connection = self.readers.acquire().await.doing(READING)?;
        let rows = select.all(&mut connection, READING).await?;
        rows.iter().map(token_of_row).collect()
    }

    /// Stores a token.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn create_token(
        &self,
        token: &Token,
        hash: &Digest,
        by: &Principal,
    ) -> Result<TokenCreated, StoreError> {
        check_text("created_by", &token.created_by, TEXT_BYTES_MAX)?;
        check_text("name", &token.name, TEXT_BYTES_MAX)?;
        let mut writer = self.audited().await?;
        let connection = writer.connection();
        let owner = owner_of(token);
        let is_there = sqlx::query(OWNER)
            .bind(owner.as_str())
            .fetch_optional(&mut *connection)
            .await
            .doing(READING)?;
        if is_there.is_none() {
            return Ok(TokenCreated::Unknown);
        }
        let taken = sqlx::query(TAKEN)
            .bind(owner.as_str())
            .bind(token.name.as_str())
            .fetch_optional(&mut *connection)
            .await
            .doing(READING)?;
        if taken.is_some() {
            return Ok(TokenCreated::AlreadyThere);
        }
        if count_up(connection, "tokens", 1).await? > TOKENS_MAX {
            return Ok(TokenCreated::Full);
        }
        insert(connection, token, hash).await?;
        let audit = audit(by, "token.create", &token.id, token, token.created_at);
        writer.commit(&[audit]).await?;
        Ok(TokenCreated::Created)
    }

    /// Takes a token away; `false` (and no audit event) when there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn revoke_token(
        &self,
        id: &TokenId,
        by: &Principal,
        now: UnixMs,
    ) -> Result<bool, StoreError> {
        let mut writer = self.audited().await?;
        let row = sqlx::query(TOKEN)
            .bind(id.0.as_str())
            .fetch_optional(writer.connection())
            .await
            .doing(READING)?;
        let Some(row) = row else {
            return Ok(false);
        };
        let audit = audit(by, "token.revoke", id, &token_of_row(&row)?, now);
        sqlx::query(REVOKE)
            .bind(id.0.as_str())
            .execute(writer.connection())
            .await
            .doing(WRITING)?;
        count_up(writer.connection(), "tokens", -1).await?;
        writer.commit(&[audit]).await?;
        Ok(true)
    }

    /// Notes the day on which a token was used, and from where.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn token_used(
        &self,
        id: &TokenId,
        day: UnixMs,
        from: &str,
    ) -> Result<(), StoreError> {
        let mut writer = self.write().await?;
        sqlx::query(USED)
            .bind(id.0.as_str())
            .bind(day.0)
            .bind(from)
            .execute(writer.connection())
            .await
            .doing(WRITING)?;
        writer.commit().await
    }
}

/// A token is its owner's own, so no right is asked for: who did it is said here.
fn audit(by: &Principal, action: &str, id: &TokenId, token: &Token, at: UnixMs) -> Audit {
    let reach = match &token.reach {
        Reach::Full => json!("full"),
        Reach::Scrape => json!("metrics"),
        Reach::Narrow { rights, scope } => json!({"rights": rights, "scope": scope}),
    };
    let detail = json!({
        "owner": owner_of(token),
        "name": token.name,
        "reach": reach,
        "ends_at": token.ends_at,
        "from": by.from(),
    });
    Audit::own(by.person(), action, detail, at).about(format!("token/{}", id.0))
}

fn owner_of(token: &Token) -> &PersonName {
    match &token.who {
        Who::Person(name) | Who::ServiceAccount(name) => name,
    }
}

async fn insert(
    connection: &mut AnyConnection,
    token: &Token,
    hash: &Digest,
) -> Result<(), StoreError> {
    let (rights, scope) = match &token.reach {
        Reach::Full | Reach::Scrape => (None, None),
        Reach::Narrow { rights, scope } => (
            Some(written("rights of a token", rights, 1024)?),
            Some(scope),
        ),
    };
    let team = scope.and_then(|scope| scope.team.as_ref());
    let class = scope.and_then(|scope| scope.environment_type.as_ref());
    sqlx::query(INSERT)
        .bind(token.id.0.as_str())
        .bind(hash.to_string())
        .bind(owner_of(token).as_str())
        .bind(token.name.as_str())
        .bind(rights)
        .bind(team.map(|name| name.as_str()))
        .bind(class.map(|name| name.as_str()))
        .bind(i64::from(token.reach == Reach::Scrape))
        .bind(token.created_at.0)
        .bind(token.created_by.as_str())
        .bind(token.ends_at.0)
        .execute(connection)
        .await
        .doing(WRITING)?;
    Ok(())
}

fn token_of_row(row: &AnyRow) -> Result<Token, StoreError> {
    let id: String = row.try_get("id").doing(READING)?;
    let scrapes: i64 = row.try_get("scrapes").doing(READING)?;
    let rights: Option<String> = row.try_get("rights").doing(READING)?;
    let reach = match (scrapes, rights) {
        (0, None) => Reach::Full,
        (0, Some(rights)) => Reach::Narrow {
            rights: parse(|| format!("token {id}"), &rights)?,
            scope: scope_of_row(row)?,
        },
        _ => Reach::Scrape,
    };
    let used_on: Option<i64> = row.try_get("used_on").doing(READING)?;
    Ok(Token {
        id: TokenId(id),
        who: who_of_row(row, "person")?,
        name: row.try_get("name").doing(READING)?,
        reach,
        created_at: UnixMs(row.try_get("created_at").doing(READING)?),
        created_by: row.try_get("created_by").doing(READING)?,
        ends_at: UnixMs(row.try_get("ends_at").doing(READING)?),
        used_on: used_on.map(UnixMs),
        used_from: row.try_get("used_from").doing(READING)?,
    })
}
