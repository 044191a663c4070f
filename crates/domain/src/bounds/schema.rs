//! Limits in schemas.

use std::collections::BTreeMap;

use utoipa::{
    ToSchema,
    openapi::{
        RefOr, Schema,
        schema::{Array, ArrayItems, Object},
    },
};

use super::{Limit, Limited, Of};

/// Texts in which line ends and tabs are all that moves a cursor.
const PRINTABLE: &str = r"^[^\u0000-\u0008\u000B-\u001F\u007F-\u009F]*$";

/// A schema and its name.
pub type Named = (String, RefOr<Schema>);

/// The schemas of a description, by name.
pub type Schemas = BTreeMap<String, RefOr<Schema>>;

/// The schema of `T`, and then those that it refers to.
pub(crate) fn with_parts<T: ToSchema>() -> Vec<Named> {
    let mut schemas = vec![(T::name().into_owned(), T::schema())];
    T::schemas(&mut schemas);
    schemas
}

/// Puts limits into schemas.
pub(crate) struct Limits<'a>(&'a mut Schemas);

impl<'a> Limits<'a> {
    /// Of all these.
    pub(crate) fn of_all(schemas: &'a mut Schemas) -> Self {
        Self(schemas)
    }

    /// Puts the limits of `T` into its schema, or into those of its variants.
    pub(crate) fn of<T: Limited + ToSchema>(&mut self) {
        let mut names = vec![T::name().into_owned()];
        while let Some(name) = names.pop() {
            if let Some(schema) = self.0.get_mut(&name) {
                limit_all::<T>(schema, &mut names);
            }
        }
    }
}

/// Limits the fields of each object in `schema`; where it is put together from others, their names are
/// noted.
fn limit_all<T: Limited>(schema: &mut RefOr<Schema>, names: &mut Vec<String>) {
    match schema {
        RefOr::Ref(reference) => {
            names.extend(reference.ref_location.rsplit('/').next().map(str::to_owned));
        }
        RefOr::T(Schema::Object(object)) => {
            for limit in T::LIMITS {
                limit_one(object, limit);
            }
        }
        RefOr::T(Schema::OneOf(choice)) => {
            let items = choice.items.iter_mut();
            items.for_each(|item| limit_all::<T>(item, names));
        }
        RefOr::T(Schema::AllOf(parts)) => {
            let items = parts.items.iter_mut();
            items.for_each(|item| limit_all::<T>(item, names));
        }
        RefOr::T(_) => {}
    }
}

fn limit_one<T>(object: &mut Object, limit: &Limit<T>) {
    let (low, high) = (*limit.allowed.start(), *limit.allowed.end());
    let most = Some(high).filter(|high| *high < u32::MAX);
    let counts = (count(low), most.map(count));
    match (object.properties.get_mut(limit.field), &limit.of) {
        (Some(RefOr::T(Schema::Object(number))), Of::Number(_)) => {
            number.minimum = Some(low.into());
            number.maximum = most.map(Into::into);
        }
        (Some(RefOr::T(Schema::Object(text))), Of::Bytes(_)) => {
            text.min_length = Some(counts.0).filter(|least| *least > 0);
            text.max_length = counts.1;
        }
        (Some(RefOr::T(Schema::Object(text))), Of::Text(_)) => {
            text.max_length = counts.1;
            text.pattern = Some(PRINTABLE.to_owned());
        }
        (Some(RefOr::T(Schema::Object(map))), Of::Items(_)) => {
            map.max_properties = counts.1;
        }
        (Some(RefOr::T(Schema::Array(list))), Of::Items(_)) => {
            list.min_items = Some(counts.0).filter(|least| *least > 0);
            list.max_items = counts.1;
        }
        (Some(RefOr::T(Schema::Array(list))), Of::Each(_)) => limit_each(list, low, most),
        _ => {}
    }
}

fn limit_each(list: &mut Array, low: u32, most: Option<u32>) {
    if let ArrayItems::RefOrSchema(items) = &mut list.items
        && let RefOr::T(Schema::Object(number)) = items.as_mut()
    {
        number.minimum = Some(low.into());
        number.maximum = most.map(Into::into);
    }
}

fn count(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
