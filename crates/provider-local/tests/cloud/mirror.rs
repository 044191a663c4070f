//! Dark traffic between real processes: asked for, seen, compared, kept over a restart, ended.

use domain::{
    effect::Effect,
    slice::Slice,
    traffic::{Compare, Mirror},
    users::Weights,
};

use crate::stage::Stage;

fn traffic(mirror: Option<Mirror>) -> Effect {
    Effect::SetTraffic {
        weights: Weights::from([(Slice::Blue, 100)]),
        mirror,
    }
}

#[tokio::test]
async fn a_mirror_is_seen_compared_kept_and_ended() {
    let mut stage = Stage::start().await;
    stage.serve_one_zero(1).await;
    stage.fill(Slice::Green, "2.0.0", 1).await;
    let seen = stage.observe().await;
    assert_eq!((seen.mirror, seen.mirrored), (None, None));

    let mirror = Mirror {
        from: Slice::Blue,
        to: Slice::Green,
        percent: 100,
        methods: Vec::new(),
        compare: Some(Compare::default()),
    };
    stage.apply(traffic(Some(mirror.clone()))).await;
    let seen = stage.observe().await;
    assert_eq!(seen.mirror.as_ref(), Some(&mirror), "with the next look");
    let begun = seen.mirrored.unwrap();
    assert!(begun.epoch > 0);
    for asked in 1..=10 {
        let (status, answer) = stage.get("/").await.unwrap();
        assert_eq!(status, 200);
        assert!(answer.contains("\r\n1.0.0 "), "users stay: {answer}");
        // Every turn asks again; that changes nothing.
        stage.apply(traffic(Some(mirror.clone()))).await;
        stage
            .until_seen("it is compared", |seen| {
                seen.mirrored.as_ref().is_some_and(|m| m.compared == asked)
            })
            .await;
    }
    let mirrored = stage.observe().await.mirrored.unwrap();
    assert_eq!(mirrored.epoch, begun.epoch);
    assert_eq!((mirrored.copies, mirrored.errors), (10, 0));
    assert_eq!((mirrored.differing, mirrored.noisy), (10, 0));
    let (users, copy) = mirrored.fields["$"].example.clone().unwrap();
    assert!(users.starts_with("1.0.0 ") && copy.starts_with("2.0.0 "));

    stage.kill_daemon();
    stage.start_daemon().await;
    stage
        .until_seen("both are adopted", |seen| {
            seen.slice(Slice::Blue).healthy() + seen.slice(Slice::Green).healthy() == 2
        })
        .await;
    let seen = stage.observe().await;
    assert_eq!(seen.mirror, Some(mirror), "it survives the daemon");
    let later = seen.mirrored.unwrap();
    assert_eq!(later.epoch, begun.epoch, "the router counted on");
    assert_eq!(stage.get("/").await.unwrap().0, 200);
    stage
        .until_seen("it goes on", |seen| {
            seen.mirrored.as_ref().is_some_and(|m| m.compared == 11)
        })
        .await;

    stage.apply(traffic(None)).await;
    let seen = stage.observe().await;
    assert_eq!((seen.mirror, seen.mirrored), (None, None));
    assert_eq!(stage.get("/").await.unwrap().0, 200);
}
