//! The world outside, as gates ask it: a Prometheus, an HTTP check, a TCP port, the provider itself.
//!
//! Invariant: an answer always comes, within `TIMEOUT` and of bounded size; what goes wrong on the
//! way is [`Said::Nothing`], never success.

use std::{io, sync::Arc, time::Duration};

use domain::{
    deployment::Deployment,
    gate::{CompareGate, Counted, Gate, HttpGate, Number, PrometheusGate, Said, TcpGate},
    names::PrometheusName,
    slice::Slice,
};
use engine::ports::{Clock, Probe};
use futures_util::StreamExt;
use reqwest::{Client, Response, StatusCode, redirect};
use serde::Deserialize;
use serde_json::json;
use tokio::{net::TcpStream, time::timeout};

use operations::{clock::SystemClock, clouds::Clouds};

use crate::hosts::Hosts;

/// Longest time that a question takes. Far below the age at which a decision is dropped.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Most of an answer that is read, in bytes, and shown of it, in characters.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
const SHOWN_MAX: usize = 200;

/// Asks the world outside.
#[derive(Debug, Clone)]
pub struct Outside {
    client: Client,
    clouds: Clouds,
    hosts: Hosts,
}

impl Outside {
    /// Ready to ask. Redirects are not followed: a check answers where it was asked.
    ///
    /// # Errors
    /// When the system gives no trust roots or no sockets.
    pub fn new(clouds: Clouds, hosts: Hosts) -> Result<Self, reqwest::Error> {
        // An error means that a provider is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .timeout(TIMEOUT)
            .redirect(redirect::Policy::none())
            .dns_resolver(Arc::new(hosts.clone()))
            .user_agent(concat!("pointsman/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self {
            client,
            clouds,
            hosts,
        })
    }

    /// The value of a query at a moment, or at the present one; otherwise what is to be said instead.
    async fn query(
        &self,
        (name, url): (&PrometheusName, &str),
        query: &str,
        at: Option<&str>,
    ) -> Result<f64, Said> {
        let failed = |error: reqwest::Error| nothing(&name.to_string(), &error);
        let url = format!("{}/api/v1/query", url.trim_end_matches('/'));
        if let Err(text) = self.hosts.allow(&url).await {
            return Err(Said::Nothing { text });
        }
        let time = at.map(|at| ("time", at));
        let asked = self.client.get(url).query(&[("query", query)]);
        let asked = asked.query(&Vec::from_iter(time)).send();
        let (_, body) = text(asked.await.map_err(failed)?).await.map_err(failed)?;
        match serde_json::from_str::<Queried>(&body) {
            Ok(queried) => queried.value(name),
            // What it says is not quoted: it may be something else than a Prometheus, and private.
            Err(_) => Err(Said::Nothing {
                text: format!("{name} answered no query result"),
            }),
        }
    }

    async fn prometheus(&self, gate: &PrometheusGate) -> Said {
        let server = (&gate.prometheus, gate.url.as_str());
        match self.query(server, &gate.query, None).await {
            Ok(value) => judged(gate, value),
            Err(said) => said,
        }
    }

    /// Asks for both counters of both releases, all of the same moment.
    async fn compare(&self, deployment: &Deployment, gate: &CompareGate) -> Said {
        let Some(stable) = &deployment.stable else {
            return Said::Nothing {
                text: "there is no stable release to compare with".to_owned(),
            };
        };
        let roles = deployment.roles;
        let now = (SystemClock.now().0 as f64 / 1000.0).to_string();
        let ask = async |query: &str, version: &str, slice: Slice| {
            let query = query.replace("$version", version);
            let query = query.replace("$slice", &slice.to_string());
            let server = (&gate.prometheus, gate.url.as_str());
            self.query(server, &query, Some(&now)).await
        };
        let side = async |version: &str, slice: Slice| {
            Ok(Counted {
                all: count(ask(&gate.all, version, slice).await?),
                bad: count(ask(&gate.bad, version, slice).await?),
            })
        };
        let new = side(deployment.launch.version.as_str(), roles.next);
        let stable = side(stable.version.as_str(), roles.live);
        let both = async { Ok((new.await?, stable.await?)) };
        match timeout(TIMEOUT, both).await {
            Ok(Ok((new, stable))) => Said::Counted { new, stable },
            Ok(Err(said)) => said,
            Err(_) => Said::Nothing {
                text: format!("{} did not answer in time", gate.prometheus),
            },
        }
    }

    /// The answer comes within [`TIMEOUT`] here too: a provider may let others wait longer.
    async fn provider(&self, deployment: &Deployment, gate: &Gate) -> Said {
        let (target, slice) = (&deployment.target, deployment.roles.next);
        let provider = target.group.home().provider();
        let asked = self.clouds.call(provider, |it| it.ask(target, slice, gate));
        let text = match timeout(TIMEOUT, asked).await {
            Ok(Ok(said)) => return said,
            Ok(Err(error)) => error.message,
            Err(_) => format!("{gate} did not answer in time"),
        };
        Said::Nothing { text }
    }

    async fn http(&self, deployment: &Deployment, gate: &HttpGate) -> Said {
        let place = &deployment.target.place;
        let body = json!({
            "name": place.service,
            "namespace": place.environment,
            "phase": "Progressing",
            "checksum": deployment.launch.id.to_string(),
            "metadata": {
                "deployment": deployment.id.to_string(),
                "version": deployment.launch.version,
                "stable_version": deployment.stable.as_ref().map(|stable| &stable.version),
                "step": deployment.progress.at.to_string(),
            },
        });
        if let Err(text) = self.hosts.allow(&gate.url).await {
            return Said::Nothing { text };
        }
        let asked = self.client.post(&gate.url).json(&body).send().await;
        match asked {
            Ok(response) => match text(response).await {
                Ok((status, body)) => checked(status, &body),
                Err(error) => nothing(&gate.url, &error),
            },
            Err(error) => nothing(&gate.url, &error),
        }
    }
}

impl Probe for Outside {
    async fn ask(&self, deployment: &Deployment, gate: &Gate) -> Said {
        match gate {
            Gate::Prometheus(gate) => self.prometheus(gate).await,
            Gate::Compare(gate) => self.compare(deployment, gate).await,
            Gate::CloudWatch(_) => self.provider(deployment, gate).await,
            Gate::Http(gate) => self.http(deployment, gate).await,
            Gate::Tcp(gate) => {
                let address = format!("tcp://{}", gate.address);
                match self.hosts.allow(&address).await {
                    Ok(()) => tcp(gate).await,
                    Err(text) => Said::Nothing { text },
                }
            }
            Gate::Traffic(_) | Gate::Shadow(_) | Gate::Approval(_) => Said::Nothing {
                text: "nobody outside is asked".to_owned(),
            },
        }
    }
}

/// Connects, and closes the connection again. Only the other side can refuse one; what is lost on the
/// way says nothing.
async fn tcp(gate: &TcpGate) -> Said {
    let address = &gate.address;
    let value = None;
    match timeout(TIMEOUT, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Said::Good {
            text: format!("{address} accepts connections"),
            value,
        },
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Said::Bad {
            text: format!("{address} refuses connections"),
            value,
        },
        Ok(Err(_)) => Said::Nothing {
            text: format!("{address} cannot be reached"),
        },
        Err(_) => Said::Nothing {
            text: format!("{address} did not answer in time"),
        },
    }
}

/// The answer of a Prometheus to an instant query.
#[derive(Debug, Deserialize)]
struct Queried {
    status: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    data: Data,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Data {
    #[serde(rename = "resultType")]
    kind: String,
    result: serde_json::Value,
}

/// The first value: of a vector its first sample, of a scalar itself.
fn value(data: &Data) -> Option<f64> {
    let pair = match data.kind.as_str() {
        "vector" => data.result.get(0)?.get("value")?,
        "scalar" => &data.result,
        _ => return None,
    };
    let value: f64 = pair.get(1)?.as_str()?.parse().ok()?;
    value.is_finite().then_some(value)
}

impl Queried {
    /// The value that `name` answered; otherwise what is to be said instead.
    fn value(&self, name: &PrometheusName) -> Result<f64, Said> {
        let text = if self.status == "success" {
            format!("{name} has no value for the query")
        } else {
            format!("{name} refused the query: {}", shown(&self.error))
        };
        let value = value(&self.data).filter(|_| self.status == "success");
        value.ok_or(Said::Nothing { text })
    }
}

/// A counter that counts things, as Prometheus keeps it.
fn count(value: f64) -> u64 {
    value.max(0.0).round() as u64
}

fn judged(gate: &PrometheusGate, value: f64) -> Said {
    let too_low = gate.min.filter(|min| value < min.0);
    let too_high = gate.max.filter(|max| value > max.0);
    let number = Some(Number(value));
    match (too_low, too_high) {
        (Some(min), _) => Said::Bad {
            text: format!("{value} is below {min}"),
            value: number,
        },
        (_, Some(max)) => Said::Bad {
            text: format!("{value} is above {max}"),
            value: number,
        },
        (None, None) => Said::Good {
            text: format!("{value} is within its bounds"),
            value: number,
        },
    }
}

fn checked(status: StatusCode, body: &str) -> Said {
    let said = match shown(body) {
        body if body.is_empty() => format!("it answered {status}"),
        body => format!("it answered {status}: {body}"),
    };
    if status.is_success() {
        Said::Good {
            text: said,
            value: None,
        }
    } else {
        Said::Bad {
            text: said,
            value: None,
        }
    }
}

fn nothing(whom: &str, error: &reqwest::Error) -> Said {
    let why = if error.is_timeout() {
        "did not answer in time"
    } else if error.is_connect() {
        "cannot be reached"
    } else {
        "gave no usable answer"
    };
    Said::Nothing {
        text: format!("{whom} {why}"),
    }
}

/// Status and body, cut at [`ANSWER_BYTES_MAX`].
async fn text(response: Response) -> Result<(StatusCode, String), reqwest::Error> {
    let status = response.status();
    let mut body = Vec::new();
    let mut stream = response.bytes_stream();
    while let Some(chunk) = stream.next().await {
        let room = ANSWER_BYTES_MAX - body.len();
        let chunk = chunk?;
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() == ANSWER_BYTES_MAX {
            break;
        }
    }
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

/// A piece of a foreign text that is fit for a line.
fn shown(text: &str) -> String {
    let printable = text.trim().chars().filter(|c| !c.is_control());
    printable.take(SHOWN_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate() -> PrometheusGate {
        PrometheusGate {
            at: Vec::new(),
            prometheus: "main".parse().unwrap(),
            url: String::new(),
            query: "up".to_owned(),
            min: Some(Number(0.5)),
            max: Some(Number(2.0)),
            patience: Default::default(),
            deadline: Default::default(),
        }
    }

    fn judge(json: &str) -> String {
        let queried: Queried = serde_json::from_str(json).unwrap();
        let gate = gate();
        let value = queried.value(&gate.prometheus);
        match value.map_or_else(|said| said, |value| judged(&gate, value)) {
            Said::Good { text, .. } => format!("good: {text}"),
            Said::Bad { text, .. } => format!("bad: {text}"),
            Said::Nothing { text } => format!("nothing: {text}"),
            Said::Counted { new, stable } => format!("counted: {new:?} {stable:?}"),
        }
    }

    #[test]
    fn a_value_is_held_against_its_bounds_and_no_value_is_no_success() {
        let vector = |value: &str| {
            format!(
                r#"{{"status":"success","data":{{"resultType":"vector","result":[{{"metric":{{}},"value":[1,"{value}"]}}]}}}}"#
            )
        };
        assert_eq!(judge(&vector("1")), "good: 1 is within its bounds");
        assert_eq!(judge(&vector("0.1")), "bad: 0.1 is below 0.5");
        assert_eq!(judge(&vector("3")), "bad: 3 is above 2");
        for none in ["NaN", "+Inf"] {
            assert_eq!(
                judge(&vector(none)),
                "nothing: main has no value for the query"
            );
        }
        let scalar = r#"{"status":"success","data":{"resultType":"scalar","result":[1,"1"]}}"#;
        assert_eq!(judge(scalar), "good: 1 is within its bounds");
        let empty = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;
        assert_eq!(judge(empty), "nothing: main has no value for the query");
        let error = r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#;
        assert_eq!(judge(error), "nothing: main refused the query: parse error");
    }
}
