//! Gates that ask the world outside: a real Prometheus, and servers that answer well or badly.

use std::time::{Duration, Instant};

use domain::{
    deployment::Deployment,
    gate::{Gate, HttpGate, Number, PrometheusGate, Said, TcpGate},
};
use engine::{ports::Probe, testing::sim::story::Story};
use operations::clouds::Clouds;
use pointsman::{hosts::Hosts, outside::Outside};
use serde_json::Value;
use tokio::net::{TcpSocket, TcpStream};

use crate::support::{
    Prometheus, TestApp,
    stub::{Behaviour, Stub},
};

/// Longer than any question may take, and far below the age at which a decision is dropped.
const ANSWER_MAX: Duration = Duration::from_secs(8);

fn deployment() -> Deployment {
    Story::draw(&mut fastrand::Rng::with_seed(3)).deployment
}

fn prometheus(url: &str, query: &str, min: Option<f64>, max: Option<f64>) -> Gate {
    Gate::Prometheus(PrometheusGate {
        at: Vec::new(),
        prometheus: "main".parse().unwrap(),
        url: url.to_owned(),
        query: query.to_owned(),
        min: min.map(Number),
        max: max.map(Number),
        patience: Default::default(),
        deadline: Default::default(),
    })
}

fn http(url: &str) -> Gate {
    Gate::Http(HttpGate {
        at: Vec::new(),
        url: url.to_owned(),
        patience: Default::default(),
        deadline: Default::default(),
    })
}

fn tcp(address: &str) -> Gate {
    Gate::Tcp(TcpGate::new(address.to_owned()))
}

/// What the gate hears, as a line. It hears something in time, whatever the other side does.
async fn asked(gate: &Gate) -> String {
    // An error means that another test was faster.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let began = Instant::now();
    let said = Outside::new(Clouds::default(), Hosts::default())
        .unwrap()
        .ask(&deployment(), gate)
        .await;
    assert!(
        began.elapsed() < ANSWER_MAX,
        "{gate}: {:?}",
        began.elapsed()
    );
    match said {
        Said::Good { text, .. } => format!("good: {text}"),
        Said::Bad { text, .. } => format!("bad: {text}"),
        Said::Nothing { text } => format!("nothing: {text}"),
        Said::Counted { new, stable } => {
            format!(
                "counted: {} of {}, {} of {}",
                new.bad, new.all, stable.bad, stable.all
            )
        }
    }
}

/// A port that nobody listens on.
async fn nobody() -> String {
    let stub = Stub::saying("").await;
    let url = stub.url();
    drop(stub);
    // The task lets go of its socket when it is next looked at.
    while reqwest::get(&url).await.is_ok() {
        tokio::task::yield_now().await;
    }
    url
}

const SHOP: &str = "# TYPE shop_errors gauge
shop_errors 0.02
# TYPE shop_unknown gauge
shop_unknown NaN
";

/// A question, its bounds, and what comes of it.
type Question = (&'static str, Option<f64>, Option<f64>, &'static str);

/// How many deployments to staging succeeded, as the server under test counts them.
const ENDED: &str = "pointsman_deployments_total{environment=\"staging\",outcome=\"succeeded\"}";

const QUESTIONS: [Question; 12] = [
    (
        "shop_errors",
        None,
        Some(0.05),
        "good: 0.02 is within its bounds",
    ),
    (
        "shop_errors",
        Some(0.02),
        Some(0.02),
        "good: 0.02 is within its bounds",
    ),
    ("shop_errors", None, Some(0.01), "bad: 0.02 is above 0.01"),
    ("shop_errors", Some(0.5), None, "bad: 0.02 is below 0.5"),
    (
        "scalar(shop_errors)",
        None,
        Some(1.0),
        "good: 0.02 is within its bounds",
    ),
    ("vector(1)", Some(1.0), None, "good: 1 is within its bounds"),
    (
        "shop_absent",
        None,
        Some(1.0),
        "nothing: main has no value for the query",
    ),
    (
        "shop_unknown",
        None,
        Some(1.0),
        "nothing: main has no value for the query",
    ),
    (
        "shop_errors / 0",
        None,
        Some(1.0),
        "nothing: main has no value for the query",
    ),
    (
        "shop_errors[1m]",
        None,
        Some(1.0),
        "nothing: main has no value for the query",
    ),
    (
        "'text'",
        None,
        Some(1.0),
        "nothing: main has no value for the query",
    ),
    (ENDED, Some(1.0), Some(1.0), "good: 1 is within its bounds"),
];

#[tokio::test]
async fn a_real_prometheus_is_asked() {
    let app = TestApp::with_shop().await;
    app.bring_up("1.0.0").await;
    let shop = Stub::saying(SHOP).await;
    let real = Prometheus::start(&app, &shop.address.to_string()).await;
    real.until_known("shop_errors").await;
    real.until_known("up{job=\"pointsman\"} == 1").await;
    real.until_known(ENDED).await;
    for (query, min, max, heard) in QUESTIONS {
        let gate = prometheus(&real.url, query, min, max);
        assert_eq!(asked(&gate).await, heard, "{query}");
        // As people write it in the catalogue.
        let gate = prometheus(&format!("{}/", real.url), query, min, max);
        assert_eq!(asked(&gate).await, heard, "{query}");
    }
    let refused = asked(&prometheus(&real.url, "sum(rate(", None, Some(1.0))).await;
    assert!(
        refused.starts_with("nothing: main refused the query: "),
        "{refused}"
    );
    let elsewhere = format!("{}/elsewhere", real.url);
    let lost = asked(&prometheus(&elsewhere, "shop_errors", None, Some(1.0))).await;
    assert!(
        lost.starts_with("nothing: main answered no query result"),
        "{lost}"
    );
    let url = real.url.clone();
    drop(real);
    let gone = asked(&prometheus(&url, "shop_errors", None, Some(1.0))).await;
    assert_eq!(gone, "nothing: main cannot be reached");
}

#[tokio::test]
async fn the_queries_of_the_guide_are_understood() {
    let guide = include_str!("../../../../docs/guide/metrics.md");
    let queries: Vec<&str> = guide
        .split("```promql\n")
        .skip(1)
        .filter_map(|rest| rest.split_once("```"))
        .map(|(query, _)| query)
        .collect();
    assert!(queries.len() >= 3, "{queries:?}");
    let app = TestApp::with_shop().await;
    app.bring_up("1.0.0").await;
    let shop = Stub::saying("").await;
    let real = Prometheus::start(&app, &shop.address.to_string()).await;
    real.until_known("pointsman_deployments_total").await;
    for query in queries {
        let answer = real.query(query).await;
        assert_eq!(answer["status"], "success", "{query}: {answer}");
    }
    // Whatever a Prometheus gets, the guide explains.
    let names = real
        .query("count by (__name__) ({job=\"pointsman\"})")
        .await;
    for sample in names["data"]["result"].as_array().unwrap() {
        let name = sample["metric"]["__name__"].as_str().unwrap();
        let family = ["_bucket", "_sum", "_count"]
            .into_iter()
            .fold(name, |name, end| name.strip_suffix(end).unwrap_or(name));
        let known = !family.starts_with("pointsman_") || guide.contains(&format!("`{family}`"));
        assert!(known, "the guide does not explain {family}");
    }
}

#[tokio::test]
async fn a_prometheus_that_answers_badly_says_nothing() {
    let success = r#"{"status":"success","data":{"resultType":"scalar","result":[1,"1"]}}"#;
    let good = Stub::saying(success).await;
    let redirect = Behaviour::Answer(
        "302 Found",
        format!("location: {}/api/v1/query", good.url()),
        String::new(),
    );
    let html = Behaviour::Answer("502 Bad Gateway", "x: y".into(), "<html>no</html>".into());
    let slowly = Behaviour::Endless {
        pause: Duration::from_millis(100),
    };
    let quickly = Behaviour::Endless {
        pause: Duration::ZERO,
    };
    let late = "nothing: main did not answer in time".to_owned();
    // What it answered instead may be private, and is not quoted.
    let other = "nothing: main answered no query result".to_owned();
    let stories = [
        (redirect, other.clone()),
        (html, other.clone()),
        (Behaviour::Silence, late.clone()),
        (slowly, late),
        (quickly, other),
    ]
    .map(|(behaviour, heard)| async move {
        let stub = Stub::start(behaviour.clone()).await;
        let gate = prometheus(&stub.url(), "up", Some(0.0), None);
        assert_eq!(asked(&gate).await, heard, "{behaviour:?}");
    });
    futures_util::future::join_all(stories).await;
    assert!(good.requests().is_empty(), "the redirect was followed");
    let gate = prometheus(&good.url(), "up", Some(0.0), None);
    assert_eq!(asked(&gate).await, "good: 1 is within its bounds");
}

#[tokio::test]
async fn an_http_check_is_told_what_is_deployed() {
    let stub = Stub::saying("fine\n").await;
    let said = asked(&http(&format!("{}/check?x=1", stub.url()))).await;
    assert_eq!(said, "good: it answered 200 OK: fine");
    let requests = stub.requests();
    let [request] = requests.as_slice() else {
        panic!("asked once: {requests:?}");
    };
    let body: Value = serde_json::from_str(request).unwrap();
    let deployment = deployment();
    let place = &deployment.target.place;
    assert_eq!(body["name"], place.service.to_string());
    assert_eq!(body["namespace"], place.environment.to_string());
    assert_eq!(body["phase"], "Progressing");
    assert_eq!(body["checksum"], deployment.launch.id.to_string());
    let about = &body["metadata"];
    assert_eq!(about["deployment"], deployment.id.to_string());
    assert_eq!(about["version"], deployment.launch.version.to_string());
}

#[tokio::test]
async fn an_http_check_is_good_only_with_2xx() {
    let good = Stub::saying("").await;
    let answer =
        |status, header: String, body: &str| Behaviour::Answer(status, header, body.to_owned());
    let elsewhere = format!("location: {}", good.url());
    let slowly = Behaviour::Endless {
        pause: Duration::from_millis(100),
    };
    let stories = [
        (
            answer("204 No Content", "x: y".into(), ""),
            "good: it answered 204 No Content",
        ),
        (
            answer("200 OK", "x: y".into(), "a\u{7}\nb"),
            "good: it answered 200 OK: ab",
        ),
        (
            answer("500 Internal Server Error", "x: y".into(), "no"),
            "bad: it answered 500 Internal Server Error: no",
        ),
        (
            answer("404 Not Found", "x: y".into(), ""),
            "bad: it answered 404 Not Found",
        ),
        (
            answer("307 Temporary Redirect", elsewhere, ""),
            "bad: it answered 307 Temporary Redirect",
        ),
        (Behaviour::Silence, "nothing: URL did not answer in time"),
        (slowly, "nothing: URL did not answer in time"),
    ]
    .map(|(behaviour, heard)| async move {
        let stub = Stub::start(behaviour.clone()).await;
        let said = asked(&http(&stub.url())).await;
        assert_eq!(said, heard.replace("URL", &stub.url()), "{behaviour:?}");
    });
    futures_util::future::join_all(stories).await;
    assert!(good.requests().is_empty(), "the redirect was followed");
    let nobody = nobody().await;
    let said = asked(&http(&nobody)).await;
    assert_eq!(said, format!("nothing: {nobody} cannot be reached"));
}

#[tokio::test]
async fn a_port_accepts_connections_or_refuses_them() {
    let stub = Stub::start(Behaviour::Silence).await;
    let address = stub.address.to_string();
    let open = format!("good: {address} accepts connections");
    assert_eq!(asked(&tcp(&address)).await, open);
    let by_name = format!("localhost:{}", stub.address.port());
    assert!(asked(&tcp(&by_name)).await.starts_with("good: "));
    let nobody = nobody().await;
    let nobody = nobody.trim_start_matches("http://");
    let closed = format!("bad: {nobody} refuses connections");
    assert_eq!(asked(&tcp(nobody)).await, closed);
    let unknown = asked(&tcp("no-such-host.invalid:80")).await;
    assert!(unknown.starts_with("nothing: "), "{unknown}");
}

#[tokio::test]
async fn a_port_that_answers_nobody_says_nothing() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    // Once the queue of those that nobody accepts is full, the system lets others wait.
    let patience = Duration::from_millis(200);
    let mut queue = Vec::new();
    while let Ok(waiting) = tokio::time::timeout(patience, TcpStream::connect(address)).await {
        queue.push(waiting.unwrap());
    }
    let late = format!("nothing: {address} did not answer in time");
    assert_eq!(asked(&tcp(&address.to_string())).await, late);
}
