//! Queries whose conditions depend on what the caller filters by, so that each combination is a
//! query of its own with an index of its own.
//!
//! Invariant: only constants become SQL text; what comes from outside is always a bound value.

use sqlx::{AnyConnection, AssertSqlSafe, any::AnyRow};

use crate::{StoreError, values::Doing};

/// A `select` under construction.
pub(crate) struct Select {
    text: String,
    values: Vec<Value>,
}

/// A value that is bound.
pub(crate) enum Value {
    Text(String),
    Integer(i64),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}
impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl Select {
    /// Begins with a text that ends in a `where` clause.
    pub(crate) fn new(head: &'static str) -> Self {
        Self {
            text: head.to_owned(),
            values: Vec::new(),
        }
    }

    /// Adds a constant piece of text.
    pub(crate) fn push(&mut self, piece: &'static str) -> &mut Self {
        self.text.push(' ');
        self.text.push_str(piece);
        self
    }

    /// Adds a value.
    pub(crate) fn bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.values.push(value.into());
        self.text.push_str(&format!(" ${}", self.values.len()));
        self
    }

    /// Adds a list of values, such as after `in`. There is at least one.
    pub(crate) fn bind_all<V: Into<Value>>(
        &mut self,
        values: impl IntoIterator<Item = V>,
    ) -> &mut Self {
        self.text.push_str(" (");
        for (number, value) in values.into_iter().enumerate() {
            if number > 0 {
                self.text.push(',');
            }
            self.bind(value);
        }
        self.text.push_str(" )");
        self
    }

    /// Adds a condition with its value, such as `and service =`, if there is a value.
    pub(crate) fn when<V: Into<Value>>(
        &mut self,
        condition: &'static str,
        value: Option<V>,
    ) -> &mut Self {
        if let Some(value) = value {
            self.push(condition).bind(value);
        }
        self
    }

    /// Asks the database.
    pub(crate) async fn all(
        self,
        connection: &mut AnyConnection,
        doing: &'static str,
    ) -> Result<Vec<AnyRow>, StoreError> {
        let mut query = sqlx::query(AssertSqlSafe(self.text));
        for value in self.values {
            query = match value {
                Value::Text(text) => query.bind(text),
                Value::Integer(number) => query.bind(number),
            };
        }
        query.fetch_all(connection).await.doing(doing)
    }
}
