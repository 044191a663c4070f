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
        text(description, "^[a-z]([a-z0-9-]*[a-z0-9])?$", NAME_LEN_MAX)
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
