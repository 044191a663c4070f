//! Tables of answers that differ, and what holds for any bytes.

use http::HeaderValue;
use proptest::prelude::*;

use super::*;

fn answer(body: impl Into<Bytes>) -> ComparedParts {
    ComparedParts {
        status: StatusCode::OK,
        headers: HeaderMap::new(),
        encoded: false,
        body: body.into(),
    }
}

fn settings(headers: &[&str], ignore: &[&str]) -> Compare {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Compare {
        headers: owned(headers),
        ignore: owned(ignore),
    }
}

/// The fields in which two answers differ.
fn differ(settings: &Compare, users: &ComparedParts, copy: &ComparedParts) -> Differences {
    let compared = compare(settings, users, copy, users);
    assert_eq!(compared.control, Differences::new(), "equal to itself");
    compared.copy
}

fn fields(ignore: &[&str], users: &str, copy: &str) -> Vec<String> {
    let bodies = [users, copy].map(|body| answer(body.to_owned()));
    let differences = differ(&settings(&[], ignore), &bodies[0], &bodies[1]);
    differences.into_keys().collect()
}

#[test]
fn json_is_compared_field_by_field() {
    let none: [&str; 0] = [];
    for (users, copy, expected) in [
        (r#"{"a":1,"b":[2]}"#, r#"{ "b": [2], "a": 1 }"#, &none[..]),
        (r#"{"a":1}"#, r#"{"a":2}"#, &["$.a"]),
        (r#"{"a":1}"#, r#"{"a":"1"}"#, &["$.a"]),
        (r#"{"a":1}"#, r#"{"a":1.0}"#, &["$.a"]),
        (r#"{"a":{"b":1}}"#, r#"{"a":{"c":1}}"#, &["$.a.b", "$.a.c"]),
        (r#"{"a":null}"#, r#"{}"#, &["$.a"]),
        (
            r#"{"items":[{"price":1,"id":1},{"price":2,"id":2}]}"#,
            r#"{"items":[{"price":1,"id":1},{"price":3,"id":9}]}"#,
            &["$.items[].id", "$.items[].price"],
        ),
        ("[1,2]", "[1,2,3]", &["$[]"]),
        ("[[1]]", "[[2]]", &["$[][]"]),
        ("[]", "{}", &["$"]),
        ("plain", "text", &["$"]),
        ("{\"a\":1}", "{\"a\":1", &["$"]),
        ("", "", &none),
    ] {
        assert_eq!(fields(&[], users, copy), expected, "{users} and {copy}");
    }
}

#[test]
fn ignored_fields_are_skipped_with_all_that_is_under_them() {
    let users = r#"{"meta":{"at":1,"by":[1]},"metadata":1,"items":[{"id":1,"n":1}]}"#;
    let copy = r#"{"meta":{"at":2,"by":[2]},"metadata":2,"items":[{"id":2,"n":2}]}"#;
    let all = [
        "$.items[].id",
        "$.items[].n",
        "$.meta.at",
        "$.meta.by[]",
        "$.metadata",
    ];
    assert_eq!(fields(&[], users, copy), all);
    let some = fields(&["$.meta", "$.items[].id"], users, copy);
    assert_eq!(some, ["$.items[].n", "$.metadata"]);
    assert_eq!(fields(&["$.items"], users, copy), all[2..]);
    assert!(fields(&["$"], users, copy).is_empty());
    assert!(fields(&["$"], "plain", "text").is_empty());
    assert!(fields(&["$.a"], r#"{"a":1}"#, "{}").is_empty());
}

#[test]
fn status_and_chosen_headers_count_and_other_headers_do_not() {
    let users = answer("same");
    let mut copy = answer("same");
    copy.status = StatusCode::NOT_FOUND;
    copy.headers
        .append("x-kind", HeaderValue::from_static("one"));
    copy.headers
        .append("x-kind", HeaderValue::from_static("two"));
    copy.headers
        .append("x-other", HeaderValue::from_static("3"));
    let found = differ(&settings(&["x-kind"], &[]), &users, &copy);
    let expected = [
        ("header x-kind", ("(absent)", "one, two")),
        ("status", ("200", "404")),
    ];
    let owned = |(field, (one, two)): (&str, (&str, &str))| {
        (field.to_owned(), (one.to_owned(), two.to_owned()))
    };
    assert_eq!(found, expected.map(owned).into());
    let ignoring = settings(&["x-kind"], &["header x-kind", "status"]);
    assert!(differ(&ignoring, &users, &copy).is_empty());
}

#[test]
fn encoded_bodies_are_compared_as_bytes() {
    let encoded = |body: &'static str| ComparedParts {
        encoded: true,
        ..answer(body)
    };
    let settings = Compare::default();
    let found = differ(&settings, &encoded("{\"a\":1}"), &encoded("{\"a\": 1}"));
    assert_eq!(found.into_keys().collect::<Vec<_>>(), ["$"]);
    assert!(differ(&settings, &encoded("[1]"), &encoded("[1]")).is_empty());
    // The same bytes mean something else when only one of them is encoded.
    assert_eq!(differ(&settings, &answer("[1]"), &encoded("[1]")).len(), 1);
}

#[test]
fn noise_is_what_two_answers_of_one_slice_differ_in() {
    let [users, copy, control] = [
        r#"{"at":1,"price":5,"luck":1}"#,
        r#"{"at":2,"price":6,"luck":1}"#,
        r#"{"at":3,"price":5,"luck":2}"#,
    ]
    .map(answer);
    let compared = compare(&Compare::default(), &users, &copy, &control);
    let names = |found: Differences| found.into_keys().collect::<Vec<_>>();
    assert_eq!(names(compared.copy), ["$.at", "$.price"]);
    assert_eq!(names(compared.control), ["$.at", "$.luck"]);
}

#[test]
fn examples_and_paths_are_cut() {
    let long = "\u{e9}".repeat(5000);
    let users = answer(format!("{{\"{long}\":\"{long}\"}}"));
    let found = differ(&Compare::default(), &users, &answer("{}"));
    let (path, (one, two)) = found.iter().next().expect("a difference");
    assert_eq!(path.chars().count(), "$.".len() + KEY_LEN_MAX);
    assert_eq!(one.chars().count(), EXAMPLE_LEN_MAX + 1);
    assert_eq!(two, ABSENT);
    let plain = differ(&Compare::default(), &answer(long), &answer("b"));
    assert_eq!(plain["$"].0.chars().count(), EXAMPLE_LEN_MAX + 1);
}

#[test]
fn what_lies_very_deep_is_compared_as_a_whole() {
    let deep = |leaf: &str| "[".repeat(100) + leaf + &"]".repeat(100);
    let found = fields(&[], &deep("1"), &deep("2"));
    assert_eq!(found, ["$".to_owned() + &"[]".repeat(DEPTH_MAX)]);
    // Deeper than the parser goes: bytes.
    let deeper = |leaf: &str| "[".repeat(60_000) + leaf;
    assert_eq!(fields(&[], &deeper("1"), &deeper("2")), ["$"]);
}

/// JSON of every kind, small enough to collide.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..3_i64).prop_map(Value::from),
        "[ab.\u{e9}]{0,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[abc]", inner), 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_bytes_equal_themselves_and_bring_nothing_down(
        one: Vec<u8>, two: Vec<u8>, encoded: bool, ignore in "[$.a\\[\\]]{0,6}",
    ) {
        let users = ComparedParts { encoded, ..answer(one.clone()) };
        let found = differ(&settings(&["x"], &[&ignore]), &users, &answer(two.clone()));
        prop_assert!(found.is_empty() || one != two || encoded);
    }

    #[test]
    fn json_differs_exactly_when_it_is_not_equal(one in json(), two in json()) {
        let found = fields(&[], &one.to_string(), &two.to_string());
        prop_assert_eq!(found.is_empty(), one == two, "{:?}", found);
    }

    #[test]
    fn ignoring_what_differs_leaves_nothing(one in json(), two in json()) {
        let (one, two) = (one.to_string(), two.to_string());
        let found = fields(&[], &one, &two);
        let found: Vec<&str> = found.iter().map(String::as_str).collect();
        prop_assert!(fields(&found, &one, &two).is_empty());
        prop_assert!(fields(&["$"], &one, &two).is_empty());
    }

    #[test]
    fn differences_are_the_same_from_either_side(one in json(), two in json()) {
        let (one, two) = (one.to_string(), two.to_string());
        prop_assert_eq!(fields(&[], &one, &two), fields(&[], &two, &one));
    }
}
