//! What people write, described for programs: what derived schemas cannot say.
//!
//! Invariant: a schema comes from the type that is read, and a limit from the list that rules check, so
//! that a description cannot be wrong about a field, a default or a limit.

use std::borrow::Cow;

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, OneOfBuilder, RefOr, Schema, Type, schema::AdditionalProperties},
};

use crate::{
    bounds::schema::{Limits, Schemas},
    catalogue::{
        Accepted, AwsCreate, AwsGroup, AwsVolume, Bounds, HealthCheck, InstanceLimits, Kind,
        Stickiness,
    },
    evidence::Tolerance,
    gate::Gate,
    names::{NAME_LEN_MAX, Name, VERSION_LEN_MAX, Version},
    plan::{
        instance_refresh::InstanceRefresh,
        scale_up::ScaleUp,
        two_slices::{Shadow, Stage, TwoSlices},
    },
    release::ImageId,
    traffic::Compare,
};

/// Completes the schemas of what people write with what derives cannot say: limits, and that answers
/// may get more fields.
pub fn complete(schemas: &mut Schemas) {
    let mut limits = Limits::of_all(schemas);
    limits.of::<ScaleUp>();
    limits.of::<InstanceRefresh>();
    limits.of::<TwoSlices>();
    limits.of::<Stage>();
    limits.of::<Shadow>();
    limits.of::<Compare>();
    limits.of::<Tolerance>();
    Gate::limits(&mut limits);
    Kind::limits(&mut limits);
    limits.of::<Bounds>();
    limits.of::<HealthCheck>();
    limits.of::<InstanceLimits>();
    limits.of::<Stickiness>();
    limits.of::<AwsGroup>();
    limits.of::<AwsCreate>();
    limits.of::<AwsVolume>();
    schemas.values_mut().for_each(open);
}

/// What is refused when it is read is not promised of answers: they may get more fields.
fn open(schema: &mut RefOr<Schema>) {
    match schema {
        RefOr::T(Schema::Object(object)) => {
            let closed = Some(Box::new(AdditionalProperties::FreeForm(false)));
            if object.additional_properties == closed {
                object.additional_properties = None;
            }
        }
        RefOr::T(Schema::OneOf(choice)) => choice.items.iter_mut().for_each(open),
        RefOr::T(Schema::AllOf(parts)) => parts.items.iter_mut().for_each(open),
        _ => {}
    }
}

/// What names look like, as a regular expression.
pub const NAME_PATTERN: &str = "^[a-z]([a-z0-9-]*[a-z0-9])?$";

fn text(description: &str, pattern: &str, longest: usize) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(description))
        .pattern(Some(pattern))
        .max_length(Some(longest))
        .into()
}

impl PartialSchema for Accepted {
    fn schema() -> RefOr<Schema> {
        let code = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(200))
            .maximum(Some(599));
        let class = ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some("^([2-5]xx|[2-5][0-9][0-9])$"));
        OneOfBuilder::new()
            .item(code)
            .item(class)
            .description(Some("A status code such as 204, or a class such as `3xx`."))
            .into()
    }
}

impl ToSchema for Accepted {}

impl<K> PartialSchema for Name<K> {
    fn schema() -> RefOr<Schema> {
        let description = "A name: lower-case letters, digits and hyphens. It starts with a letter and does not end with a hyphen.";
        text(description, NAME_PATTERN, NAME_LEN_MAX)
    }
}

impl<K> ToSchema for Name<K> {
    fn name() -> Cow<'static, str> {
        "Name".into()
    }
}

impl PartialSchema for Version {
    fn schema() -> RefOr<Schema> {
        let description = "The version of a release, such as `1.4.0`.";
        text(
            description,
            "^[A-Za-z0-9][A-Za-z0-9._+-]*$",
            VERSION_LEN_MAX,
        )
    }
}

impl ToSchema for Version {}

impl PartialSchema for ImageId {
    fn schema() -> RefOr<Schema> {
        let description = "The id of a machine image, such as `ami-0abcdef1234567890`.";
        text(description, "^ami-[0-9a-f]{8,17}$", "ami-".len() + 17)
    }
}

impl ToSchema for ImageId {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::{
        bounds::{Limited, Of, schema::with_parts},
        catalogue::{
            Account, Environment, EnvironmentType, Freeze, InstanceLimits, Prometheus, ServerGroup,
            Service, Team,
        },
        gate::{CompareGate, HttpGate, Patience, PrometheusGate, ShadowGate, TcpGate, TrafficGate},
        plan::Strategy,
    };

    /// The schemas of all that people write, completed.
    fn described() -> Value {
        let mut schemas: Schemas = with_parts::<Strategy>().into_iter().collect();
        for kind in Kind::ALL {
            schemas.extend(kind.schemas());
        }
        complete(&mut schemas);
        serde_json::to_value(schemas).unwrap()
    }

    /// Every object in a schema, and in those that it is put together from.
    fn objects<'a>(all: &'a Value, schema: &'a Value) -> Vec<&'a Value> {
        let target = schema["$ref"].as_str().and_then(|it| it.rsplit('/').next());
        let inner = ["oneOf", "allOf"].map(|list| schema[list].as_array());
        let inner = inner.into_iter().flatten().flatten();
        let inner = inner.chain(target.map(|name| &all[name]));
        let below = inner.flat_map(|it| objects(all, it));
        std::iter::once(schema).chain(below).collect()
    }

    /// Sees that every limit of `T` is in its schema; returns the name of `T`.
    fn seen<T: Limited + ToSchema>(all: &Value) -> String {
        let name = T::name().into_owned();
        for limit in T::LIMITS {
            let field = limit.field;
            let (low, high) = (*limit.allowed.start(), *limit.allowed.end());
            let fields = objects(all, &all[&name]).into_iter();
            let fields = fields.filter_map(|object| object["properties"].get(field));
            let found = fields.into_iter().any(|shown| {
                let (least, most) = match limit.of {
                    Of::Number(_) => (&shown["minimum"], &shown["maximum"]),
                    Of::Each(_) => (&shown["items"]["minimum"], &shown["items"]["maximum"]),
                    Of::Items(_) if shown["type"].to_string().contains("array") => {
                        (&shown["minItems"], &shown["maxItems"])
                    }
                    Of::Items(_) => (&shown["minProperties"], &shown["maxProperties"]),
                    Of::Bytes(_) | Of::Text(_) => (&shown["minLength"], &shown["maxLength"]),
                };
                let is = |number: &Value, limit: u32| number.as_f64() == Some(f64::from(limit));
                let low_is_shown = is(least, low) || (low == 0 && least.is_null());
                let high_is_shown = is(most, high) || (high == u32::MAX && most.is_null());
                low_is_shown && high_is_shown
            });
            assert!(found, "{name}.{field} does not show {low} to {high}");
        }
        name
    }

    /// `rooms.rs` sees that every type with limits is here.
    #[test]
    fn every_limit_is_in_the_description() {
        let all = described();
        let seen = [
            seen::<Account>(&all),
            seen::<AwsCreate>(&all),
            seen::<AwsGroup>(&all),
            seen::<AwsVolume>(&all),
            seen::<Bounds>(&all),
            seen::<Compare>(&all),
            seen::<CompareGate>(&all),
            seen::<Environment>(&all),
            seen::<EnvironmentType>(&all),
            seen::<Freeze>(&all),
            seen::<Gate>(&all),
            seen::<HealthCheck>(&all),
            seen::<HttpGate>(&all),
            seen::<InstanceLimits>(&all),
            seen::<InstanceRefresh>(&all),
            seen::<Patience>(&all),
            seen::<Prometheus>(&all),
            seen::<PrometheusGate>(&all),
            seen::<ScaleUp>(&all),
            seen::<ServerGroup>(&all),
            seen::<Service>(&all),
            seen::<Shadow>(&all),
            seen::<ShadowGate>(&all),
            seen::<Stage>(&all),
            seen::<Stickiness>(&all),
            seen::<TcpGate>(&all),
            seen::<Team>(&all),
            seen::<Tolerance>(&all),
            seen::<TrafficGate>(&all),
            seen::<TwoSlices>(&all),
        ];
        assert_eq!(BTreeSet::from(seen.clone()).len(), seen.len());
    }
}
