//! Which people there are.

use domain::access::PersonName;

use super::{Person, READING, person_of_row};
use crate::{
    Store, StoreError,
    query::Select,
    values::{Doing, page},
};

/// Which people and service accounts are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only those whose name contains this text.
    pub contains: Option<String>,
    /// Only service accounts, or only people.
    pub is_account: Option<bool>,
    /// Only those who are disabled, or only the others.
    pub disabled: Option<bool>,
}

impl Store {
    /// People and service accounts in the order of their names, after the name `after`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn people(
        &self,
        filter: &Filter,
        after: Option<&PersonName>,
        limit: u32,
    ) -> Result<Vec<Person>, StoreError> {
        let mut select = Select::new("select * from people where name >");
        select.bind(after.map_or("", PersonName::as_str));
        if let Some(text) = &filter.contains {
            select.push("and name like").bind(containing(text).as_str());
            select.push(r"escape '\'");
        }
        let kind = |is_account| match is_account {
            true => "service_account",
            false => "person",
        };
        select.when("and kind =", filter.is_account.map(kind));
        match filter.disabled {
            Some(true) => select.push("and disabled_at is not null"),
            Some(false) => select.push("and disabled_at is null"),
            None => &mut select,
        };
        select.push("order by name limit").bind(page(limit));
        let mut connection = self.readers.acquire().await.doing(READING)?;
        let rows = select.all(&mut connection, READING).await?;
        rows.iter().map(person_of_row).collect()
    }
}

/// The pattern of texts that contain `text`, whatever its characters mean in a pattern.
fn containing(text: &str) -> String {
    let plain = text.replace('\\', r"\\").replace('%', r"\%");
    format!("%{}%", plain.replace('_', r"\_"))
}
