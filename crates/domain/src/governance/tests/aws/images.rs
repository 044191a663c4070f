//! Which machine image a deployment starts, and whether it can be started.

use expect_test::expect;

use super::{aws, check, image, is_image, on_aws};
use crate::{image::ImageState, observation::SliceSeen, plan::Strategy, slice::Slice};

#[test]
fn only_images_that_can_be_started_are_deployed() {
    for (standing, expected) in [
        (
            ImageState::Available,
            expect!["admitted: image ami-11111111"],
        ),
        (
            ImageState::Is {
                state: "pending".to_owned(),
            },
            expect![[r#"
                the machine image ami-11111111 is pending in the account eu
                  -> wait until it is available, then deploy again
            "#]],
        ),
        (
            ImageState::Is {
                state: "failed".to_owned(),
            },
            expect![[r#"
                the machine image ami-11111111 is failed in the account eu
                  -> build the image again: this one cannot be started
            "#]],
        ),
        (
            ImageState::Missing,
            expect![[r#"
                the machine image ami-11111111 does not exist in the account eu
                  -> choose an image of that account and region, or share the image with the account
            "#]],
        ),
    ] {
        check(
            |_, facts| {
                is_image(facts);
                facts.image = Some(standing);
            },
            expected,
        );
    }
}

#[test]
fn the_image_that_would_be_started_is_the_one_that_is_asked_about() {
    let (mut wish, mut facts) = on_aws();
    assert_eq!(facts.image_of(&wish), None, "the group's own");
    let created = r#"{"image": "ami-33333333", "instance_type": "t3.small", "subnets": ["s"]}"#;
    aws(&mut facts).create = Some(serde_json::from_str(created).unwrap());
    assert_eq!(facts.image_of(&wish), Some(&image('3')), "made on it");
    let next = SliceSeen::default();
    facts.seen.slices.insert(Slice::Green, next);
    assert_eq!(facts.image_of(&wish), None, "made before");
    let live = facts.live.as_mut().unwrap();
    live.content = live.content.clone().on(image('4'));
    assert_eq!(facts.image_of(&wish), Some(&image('4')), "patched before");
    wish.image = Some(image('5'));
    assert_eq!(facts.image_of(&wish), Some(&image('5')), "asked for");
    is_image(&mut facts);
    assert_eq!(facts.image_of(&wish), Some(&image('1')), "the release");
    wish.strategy = Strategy::Switch;
    assert_eq!(facts.image_of(&wish), None, "nothing is started");
}
