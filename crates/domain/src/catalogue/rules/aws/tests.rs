//! One row per rule: a good manifest with one field changed, and the fault that comes of it.

use serde_json::{Value, json};

use super::*;
use crate::bounds::Fault;

const BALANCER: &str = "arn:aws:elasticloadbalancing:eu-west-1:123456789012";

/// Sets the field at `pointer`; null takes it out.
fn with(mut manifest: Value, pointer: &str, value: Value) -> Value {
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    let fields = manifest.pointer_mut(parent).unwrap();
    let fields = fields.as_object_mut().unwrap();
    match value {
        Value::Null => fields.remove(field),
        value => fields.insert(field.to_owned(), value),
    };
    manifest
}

fn fields(faults: &[Fault]) -> Vec<&str> {
    faults.iter().map(|fault| fault.field.as_str()).collect()
}

fn broken(check: impl FnOnce(&mut Faults)) -> Vec<Fault> {
    let mut faults = Faults::default();
    check(&mut faults);
    faults.all()
}

fn an_account() -> Value {
    json!({
        "name": "live", "provider": "aws", "region": "eu-west-1",
        "role_arn": "arn:aws:iam::123456789012:role/deploy/pointsman", "external_id": "id",
        "endpoint_url": "https://vpce.example.com", "package_bucket": "example-packages",
    })
}

#[test]
fn accounts() {
    let none: [&str; 0] = [];
    let long = |n: usize| json!("x".repeat(n));
    for (pointer, value, expected) in [
        ("/description", json!("ours"), &none[..]),
        ("/region", json!(null), &["region"]),
        ("/region", json!("us-gov-west-1"), &none),
        ("/region", json!("eu-west"), &["region"]),
        ("/region", json!("eu-1"), &["region"]),
        ("/region", json!("eu-west-12"), &["region"]),
        ("/region", json!("EU-west-1"), &["region"]),
        ("/region", json!("eu--1"), &["region"]),
        (
            "/role_arn",
            json!("arn:aws-cn:iam::123456789012:role/x"),
            &none,
        ),
        ("/role_arn", json!("arn:aws:iam::123:role/x"), &["role_arn"]),
        (
            "/role_arn",
            json!("arn:aws:iam::123456789012:user/x"),
            &["role_arn"],
        ),
        (
            "/role_arn",
            json!("arn:aws:iam::123456789012:role/"),
            &["role_arn"],
        ),
        (
            "/role_arn",
            json!("arn:aws:sts::123456789012:role/x"),
            &["role_arn"],
        ),
        ("/role_arn", json!("role/x"), &["role_arn"]),
        ("/role_arn", json!(null), &["external_id"]),
        ("/external_id", json!("x"), &["external_id"]),
        ("/external_id", long(1224), &none),
        ("/external_id", long(1225), &["external_id"]),
        ("/external_id", json!("no spaces"), &["external_id"]),
        ("/external_id", json!(null), &none),
        ("/endpoint_url", json!("http://localhost:4566"), &none),
        ("/endpoint_url", json!("localhost:4566"), &["endpoint_url"]),
        ("/package_bucket", json!("abc"), &none),
        ("/package_bucket", json!("ab"), &["package_bucket"]),
        ("/package_bucket", long(64), &["package_bucket"]),
        ("/package_bucket", json!("Upper"), &["package_bucket"]),
        ("/package_bucket", json!("a..b"), &["package_bucket"]),
        ("/package_bucket", json!("-abc"), &["package_bucket"]),
        ("/package_bucket", json!("192.168.5.4"), &["package_bucket"]),
        ("/package_bucket", json!("xn--abc"), &["package_bucket"]),
        ("/package_bucket", json!("abc-s3alias"), &["package_bucket"]),
        (
            "/provider",
            json!("local"),
            &[
                "region",
                "role_arn",
                "external_id",
                "endpoint_url",
                "package_bucket",
            ],
        ),
    ] {
        let manifest = with(an_account(), pointer, value.clone());
        let read: Account = serde_json::from_value(manifest).unwrap();
        assert_eq!(
            fields(&broken(|it| account(&read, it))),
            expected,
            "{pointer} {value}"
        );
    }
}

#[test]
fn accounts_of_this_machine() {
    let local = json!({"name": "here", "provider": "local"});
    let local: Account = serde_json::from_value(local).unwrap();
    assert_eq!(broken(|it| account(&local, it)), []);
}

fn target_group(name: &str) -> String {
    format!("{BALANCER}:targetgroup/{name}/0123456789abcdef")
}

fn listener() -> String {
    format!("{BALANCER}:listener/app/shop/50dc6c495c0c9188/f2f7dc8efc522ab2")
}

fn a_group() -> Value {
    json!({
        "account": "live",
        "groups": ["cart-blue", "cart-green"],
        "target_groups": [target_group("cart-blue"), target_group("cart-green")],
        "traffic": {"by": "listener", "listener": listener()},
        "create": {
            "image": "ami-0123456789abcdef0", "instance_type": "t3.small",
            "subnets": ["subnet-0123456789abcdef0"], "security_groups": ["sg-01234567"],
            "instance_profile": "cart", "key_name": "ops", "root_gib": 20,
            "tags": {"team": "shop"},
        },
        "user_data": "#!/bin/sh\n",
    })
}

fn disk(device: &str, gib: u32, kind: &str) -> Value {
    json!({"device": device, "gib": gib, "type": kind})
}

fn check_group(manifest: Value, slices: u8, expected: &[&str]) {
    let read: AwsGroup = serde_json::from_value(manifest.clone()).unwrap();
    let faults = broken(|it| group(&read, slices, it));
    assert_eq!(fields(&faults), expected, "{manifest:#}");
}

#[test]
fn groups() {
    let none: [&str; 0] = [];
    let foreign = format!("{BALANCER}:listener-rule/app/shop/50dc6c495c0c9188/0000000000000000/1");
    let rule = listener().replace(":listener/", ":listener-rule/") + "/9683b2d02a6cabee";
    let network = listener().replace("/app/", "/net/");
    let twice = |name: &str| json!([target_group(name), target_group(name)]);
    let target_groups = ["aws.target_groups"];
    let by_listener = |rule: &str| json!({"by": "listener", "listener": listener(), "rule": rule});
    for (pointer, value, expected) in [
        ("/user_data", json!(null), &none[..]),
        ("/user_data", json!("x".repeat(12 * 1024)), &none),
        (
            "/user_data",
            json!("x".repeat(12 * 1024 + 1)),
            &["aws.user_data"],
        ),
        ("/user_data", json!(""), &["aws.user_data"]),
        ("/user_data", json!("run {{digest}} {{"), &none),
        ("/user_data", json!("run {{digests}}"), &["aws.user_data"]),
        ("/groups", json!([]), &none),
        ("/groups", json!(["one"]), &["aws.groups"]),
        ("/groups", json!(["a", "a"]), &["aws.groups"]),
        ("/groups", json!(["a", ""]), &["aws.groups"]),
        ("/groups", json!(["a", "b:c"]), &["aws.groups"]),
        ("/groups", json!(["a", "b\n"]), &["aws.groups"]),
        ("/groups", json!(["a", "x".repeat(255)]), &none),
        ("/groups", json!(["a", "x".repeat(256)]), &["aws.groups"]),
        ("/target_groups", json!([]), &target_groups),
        ("/target_groups", json!([target_group("a")]), &target_groups),
        ("/target_groups", twice("a"), &target_groups),
        (
            "/target_groups",
            json!(["cart-blue", "cart-green"]),
            &target_groups,
        ),
        (
            "/target_groups",
            json!([listener(), target_group("a")]),
            &target_groups,
        ),
        ("/traffic", json!({"by": "group"}), &["aws.traffic"]),
        (
            "/traffic/listener",
            json!(network),
            &["aws.traffic.listener"],
        ),
        (
            "/traffic/listener",
            json!("cart"),
            &["aws.traffic.listener"],
        ),
        ("/traffic", by_listener(&rule), &none),
        ("/traffic", by_listener(&foreign), &["aws.traffic.rule"]),
        ("/traffic", by_listener("first"), &["aws.traffic.rule"]),
    ] {
        check_group(with(a_group(), pointer, value), 2, expected);
    }
    let one = json!({"account": "live", "traffic": {"by": "listener", "listener": listener()}});
    check_group(one, 1, &["aws.traffic", "aws.target_groups"]);
    check_group(json!({"account": "live"}), 1, &none);
    let attached = json!({"by": "attach", "target_group": target_group("cart")});
    check_group(with(a_group(), "/traffic", attached.clone()), 2, &none);
    check_group(
        json!({"account": "live", "traffic": attached}),
        1,
        &["aws.traffic"],
    );
    let attached = json!({"by": "attach", "target_group": "cart"});
    let expected = ["aws.traffic.target_group"];
    check_group(with(a_group(), "/traffic", attached), 2, &expected);
}

#[test]
fn sides_are_kept_for_a_week_at_most() {
    for (seconds, aws, expected) in [
        (604_800, a_group(), &[][..]),
        (604_801, a_group(), &["stickiness.seconds"]),
        (604_801, Value::Null, &[]),
    ] {
        let group = json!({
            "service": "cart", "environment": "live", "size": 2, "slices": 2, "aws": aws,
            "stickiness": {"by": "cookie", "seconds": seconds},
        });
        let group: ServerGroup = serde_json::from_value(group).unwrap();
        let faults = broken(|it| stickiness(&group, it));
        assert_eq!(fields(&faults), expected, "{seconds}");
    }
}

#[test]
fn records() {
    let dns = json!({
        "by": "dns", "zone": "Z0123456789ABC", "name": "cart.example.com",
        "identifiers": ["blue", "green"],
    });
    let good = with(a_group(), "/traffic", dns);
    let none: [&str; 0] = [];
    let identifiers = ["aws.traffic.identifiers"];
    for (field, value, expected) in [
        ("zone", json!("Z"), &none[..]),
        (
            "zone",
            json!("/hostedzone/Z0123456789ABC"),
            &["aws.traffic.zone"],
        ),
        ("zone", json!("z0123456789abc"), &["aws.traffic.zone"]),
        ("zone", json!("Z".repeat(33)), &["aws.traffic.zone"]),
        ("name", json!("*.example.com."), &none),
        ("name", json!("_cart.internal"), &none),
        ("name", json!(""), &["aws.traffic.name"]),
        ("name", json!("cart..com"), &["aws.traffic.name"]),
        ("name", json!("cart example"), &["aws.traffic.name"]),
        ("name", json!("a.*.com"), &["aws.traffic.name"]),
        (
            "name",
            json!(format!("{}.com", "x".repeat(64))),
            &["aws.traffic.name"],
        ),
        ("name", json!("x.".repeat(130)), &["aws.traffic.name"]),
        ("identifiers", json!([]), &identifiers),
        ("identifiers", json!(["blue"]), &identifiers),
        ("identifiers", json!(["blue", "blue"]), &identifiers),
        ("identifiers", json!(["blue", ""]), &identifiers),
        ("identifiers", json!(["blue", "x".repeat(128)]), &none),
        (
            "identifiers",
            json!(["blue", "x".repeat(129)]),
            &identifiers,
        ),
    ] {
        let manifest = with(good.clone(), &format!("/traffic/{field}"), value);
        check_group(manifest, 2, expected);
    }
}

#[test]
fn what_is_made() {
    let subnets =
        |n: usize| -> Value { (0..n).map(|n| json!(format!("subnet-{n:08x}"))).collect() };
    let none: [&str; 0] = [];
    for (field, value, expected) in [
        ("instance_type", json!("u-6tb1.112xlarge"), &none[..]),
        (
            "instance_type",
            json!("small"),
            &["aws.create.instance_type"],
        ),
        (
            "instance_type",
            json!("T3.small"),
            &["aws.create.instance_type"],
        ),
        ("instance_type", json!("t3."), &["aws.create.instance_type"]),
        ("subnets", subnets(16), &none),
        ("subnets", subnets(17), &["aws.create.subnets"]),
        ("subnets", json!([]), &["aws.create.subnets"]),
        ("subnets", json!(["subnet-x"]), &["aws.create.subnets"]),
        ("subnets", json!(["sg-01234567"]), &["aws.create.subnets"]),
        (
            "subnets",
            json!(["subnet-00000001", "subnet-00000001"]),
            &["aws.create.subnets"],
        ),
        ("security_groups", json!(null), &none),
        (
            "security_groups",
            json!(["default"]),
            &["aws.create.security_groups"],
        ),
        (
            "instance_profile",
            json!("a/b"),
            &["aws.create.instance_profile"],
        ),
        ("key_name", json!(""), &["aws.create.key_name"]),
        ("root_gib", json!(1), &none),
        ("root_gib", json!(0), &["aws.create.root_gib"]),
        ("root_gib", json!(16_384), &none),
        ("root_gib", json!(16_385), &["aws.create.root_gib"]),
        ("grace_seconds", json!(0), &none),
        ("grace_seconds", json!(7201), &["aws.create.grace_seconds"]),
    ] {
        let manifest = with(a_group(), &format!("/create/{field}"), value);
        check_group(manifest, 2, expected);
    }
}

#[test]
fn volumes_of_what_is_made() {
    let none: [&str; 0] = [];
    for (volumes, expected) in [
        (json!([disk("/dev/sdf", 1, "gp3")]), &none[..]),
        (
            json!([
                disk("/dev/sda1", 1, "gp3"),
                disk("/dev/xvdz", 1024, "standard")
            ]),
            &["aws.create.volumes[0].device"],
        ),
        (
            json!([
                disk("/dev/sdb", 1025, "standard"),
                disk("/dev/sdc", 124, "st1")
            ]),
            &["aws.create.volumes[0].gib", "aws.create.volumes[1].gib"],
        ),
        (
            json!([disk("/dev/sdb", 1, "gp2"), disk("/dev/sdb", 1, "gp2")]),
            &["aws.create.volumes"],
        ),
        (
            json!(vec![disk("/dev/sdb", 1, "gp2"); 17]),
            &["aws.create.volumes"],
        ),
    ] {
        check_group(with(a_group(), "/create/volumes", volumes), 2, expected);
    }
}

#[test]
fn tags_of_what_is_made() {
    let many = |n: usize| -> Value {
        let tags = (0..n).map(|n| (format!("t{n}"), json!("x")));
        Value::Object(tags.collect())
    };
    let long = "x".repeat(129);
    let shown = format!("aws.create.tags.{}", "x".repeat(128));
    let none: [&str; 0] = [];
    for (tags, expected) in [
        (many(40), &none[..]),
        (many(41), &["aws.create.tags"]),
        (json!({"": "x"}), &["aws.create.tags."]),
        (json!({long: "x"}), &[&shown]),
        (json!({"aws:x": "x"}), &["aws.create.tags.aws:x"]),
        (json!({"AWS:x": "x"}), &["aws.create.tags.AWS:x"]),
        (
            json!({"pointsman:x": "x"}),
            &["aws.create.tags.pointsman:x"],
        ),
        (json!({"k": "x".repeat(256)}), &none),
        (json!({"k": "x".repeat(257)}), &["aws.create.tags.k"]),
        (json!({"k": "a\u{7}b"}), &["aws.create.tags.k"]),
    ] {
        check_group(with(a_group(), "/create/tags", tags), 2, expected);
    }
}
