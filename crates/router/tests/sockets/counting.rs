//! What is counted of the users' requests, and what is not.

use std::{sync::Arc, time::Duration};

use domain::{observation::InstanceId, slice::Slice};
use router::{Backend, Counters, Limits};

use crate::support::{
    HOST, Instance, Wire, ask, get, nobody, router, router_with, status, table, until,
};

/// An instance that answers with the status that the path names, `/slow` after 30 ms.
async fn obliging() -> Instance {
    Instance::scripted("instance-a", |_, mut wire| async move {
        loop {
            let (head, _) = wire.message().await;
            let Some(path) = head.split(' ').nth(1) else {
                return;
            };
            let status = match path.trim_start_matches('/') {
                "slow" => {
                    tokio::time::sleep(Duration::from_millis(30)).await;
                    "200"
                }
                status => status,
            };
            wire.say(&format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n"))
                .await;
        }
    })
    .await
}

#[tokio::test]
async fn every_answer_is_counted_once_by_status_and_time() {
    let instance = obliging().await;
    let router = router(&[&instance.backend]);
    let mut wire = Wire::to(&router).await;
    for path in ["/200", "/404", "/500", "/503", "/200", "/slow"] {
        wire.get(path).await;
    }
    let counts = instance.backend.counters().read();
    assert_eq!(counts.classes, [0, 3, 0, 1, 2]);
    assert_eq!((counts.requests(), counts.errors()), (6, 2));
    assert_eq!(counts.latency.count(), 6);
    assert!(counts.latency_us >= 30_000, "{}", counts.latency_us);
    let slowest = counts.latency.percentile_us(100).expect("there are counts");
    assert!(slowest >= 30_000, "{slowest}");
}

#[tokio::test]
async fn what_no_instance_answered_is_an_error_of_the_last_one_that_was_asked() {
    let limits = Limits {
        first_byte_timeout: Duration::from_millis(50),
        ..Limits::default()
    };
    let silent = Instance::scripted("instance-silent", |_, mut wire| async move {
        wire.rest().await;
    })
    .await;
    let router = router_with(limits, &[&silent.backend]);
    assert_eq!(get(&router, "/").await.0, 504);
    assert_eq!(silent.backend.counters().read().errors(), 1);

    let gone = nobody("instance-gone").await;
    router.publish(table(&[(Slice::Blue, 100, &[&gone])]));
    assert_eq!(get(&router, "/").await.0, 502);
    assert_eq!(gone.counters().read().classes, [0, 0, 0, 0, 1]);

    let good = obliging().await;
    router.publish(table(&[(Slice::Blue, 100, &[&gone, &good.backend])]));
    for _ in 0..4 {
        assert_eq!(get(&router, "/200").await.0, 200);
    }
    assert_eq!(
        gone.counters().read().requests(),
        1,
        "the others were saved"
    );
    assert_eq!(good.backend.counters().read().requests(), 4);

    router.publish(table(&[(Slice::Blue, 100, &[])]));
    assert_eq!(get(&router, "/").await.0, 503);
    let refused = router.refused();
    assert_eq!((refused[&502], refused[&503], refused[&504]), (1, 1, 1));
}

#[tokio::test]
async fn users_who_go_away_or_send_nonsense_are_no_errors() {
    let limits = Limits {
        first_byte_timeout: Duration::from_millis(100),
        ..Limits::default()
    };
    let waits = Instance::scripted("instance-a", |_, mut wire| async move {
        wire.rest().await;
    })
    .await;
    let router = router_with(limits, &[&waits.backend]);
    let mut wire = Wire::to(&router).await;
    wire.say(&format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n\r\n"))
        .await;
    until("it is in flight", || waits.backend.in_flight() == 1).await;
    drop(wire);
    until("it is dropped", || waits.backend.in_flight() == 0).await;
    let half = format!(
        "PUT / HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 9\r\nconnection: close\r\n\r\nab"
    );
    assert_eq!(status(&ask(&router, &half).await), 408);
    assert_eq!(waits.backend.counters().read().requests(), 0);
}

#[tokio::test]
async fn instances_of_one_release_count_together_from_table_to_table() {
    let (one, two) = (obliging().await, obliging().await);
    let counters: Arc<Counters> = Arc::default();
    let [one, two] = [&one, &two].map(|instance| {
        let id = InstanceId("instance-x".to_owned());
        Backend::counted(id, instance.backend.address(), Arc::clone(&counters))
    });
    let router = router(&[&one]);
    get(&router, "/200").await;
    router.publish(table(&[
        (Slice::Blue, 50, &[&one]),
        (Slice::Green, 50, &[&two]),
    ]));
    for _ in 0..9 {
        get(&router, "/200").await;
    }
    assert_eq!(counters.read().requests(), 10);
}
