//! Machine images as AWS lists them, ranked, and kept for a minute.

use domain::{
    catalogue::Account,
    image::{self, ImageState},
};
use provider_aws::Aws;
use serde_json::json;

use crate::{
    emulator::{Emulator, settings},
    fixture::Fixture,
};

async fn tagged(fixture: &Fixture, id: &str, key: &str, value: &str) {
    let tag = aws_sdk_ec2::types::Tag::builder().key(key).value(value);
    let request = fixture.clients.ec2.create_tags().resources(id);
    request.tags(tag.build()).send().await.unwrap();
}

fn aws(emulator: &Emulator) -> Aws {
    let clock = std::sync::Arc::new(emulator.clock());
    Aws::new(clock, settings(), std::env::temp_dir())
}

#[tokio::test]
async fn images_are_listed_with_what_their_names_and_tags_say() {
    let emulator = Emulator::start(1);
    let account: Account = emulator.account();
    let fixture = Fixture::new(&emulator, 1).await;
    let old = fixture.image("web-base-1.9.0").await;
    let stable = fixture.image("web-base-1.10.0").await;
    let newest = fixture.image("web-base-2.0.0").await;
    tagged(&fixture, stable.as_str(), "Stable", "yes").await;
    tagged(&fixture, newest.as_str(), "stable", "").await;

    let aws = aws(&emulator);
    let listed = aws.images(&account).await.unwrap();
    assert!(!listed.truncated);
    let now = listed.at;
    let ranked = image::rank(&account.name, listed.images, now);
    let web: Vec<_> = ranked.iter().filter(|it| it.kind == "web-base").collect();
    let ids: Vec<_> = web.iter().map(|it| it.image.id.clone()).collect();
    assert_eq!(ids, [newest, stable, old]);
    let stable: Vec<_> = web.iter().map(|it| it.is_latest_stable).collect();
    assert_eq!(stable, [false, true, false]);
    assert!(web.iter().all(|it| it.image.is_available()));
    assert!(web.iter().all(|it| !it.image.shared));
}

#[tokio::test]
async fn every_page_is_read() {
    let emulator = Emulator::start(1);
    let account = emulator.account();
    let fixture = Fixture::new(&emulator, 1).await;
    for number in 0..7 {
        fixture.image(&format!("web-1.{number}.0")).await;
    }
    emulator.settings(&json!({"page_max": 3}));
    let aws = aws(&emulator);
    let listed = aws.images(&account).await.unwrap();
    let web = listed
        .images
        .iter()
        .filter(|it| it.name.starts_with("web-"));
    assert_eq!((web.count(), listed.truncated), (7, false));
    let calls = aws.calls(&account.name);
    assert!(calls["ec2:DescribeImages"] >= 4, "{calls:?}");
}

#[tokio::test]
async fn many_who_ask_within_a_minute_cost_one_list() {
    let emulator = Emulator::start(2);
    let account = emulator.account();
    let fixture = Fixture::new(&emulator, 1).await;
    fixture.image("web-1.0.0").await;
    let aws = aws(&emulator);
    let asked = || aws.calls(&account.name).get("ec2:DescribeImages").copied();

    let before = aws.images(&account).await.unwrap().images.len();
    let first = asked();
    fixture.image("web-1.1.0").await;
    let all = futures_util::future::join_all((0..20).map(|_| aws.images(&account))).await;
    assert!(
        all.iter()
            .all(|it| it.as_ref().unwrap().images.len() == before)
    );
    assert_eq!(asked(), first);

    emulator.advance(60_000);
    assert_eq!(aws.images(&account).await.unwrap().images.len(), before + 1);
    assert!(asked() > first);
}

#[tokio::test]
async fn an_image_that_is_gone_is_known_within_a_minute() {
    let emulator = Emulator::start(3);
    let account = emulator.account();
    let fixture = Fixture::new(&emulator, 1).await;
    let image = fixture.image("web-1.0.0").await;
    let aws = aws(&emulator);
    let standing = || aws.image_state(&account, &image);
    assert_eq!(standing().await.unwrap(), ImageState::Available);

    let request = fixture.clients.ec2.deregister_image();
    request.image_id(image.as_str()).send().await.unwrap();
    emulator.advance(60_000);
    assert_eq!(standing().await.unwrap(), ImageState::Missing);

    let unknown = "ami-0123456789abcdef0".parse().unwrap();
    let unknown = aws.image_state(&account, &unknown).await;
    assert_eq!(unknown.unwrap(), ImageState::Missing);
}
