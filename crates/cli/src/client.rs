//! The HTTP client: one method per thing that the public API can be asked, one place where its
//! problem documents become sentences.
//!
//! Invariant: the CLI knows the server by its public HTTP API alone.

use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response, StatusCode, Url, header};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    connection::{Connection, is_loopback},
    failure::{Exit, Failure},
    problem,
};

/// How long connecting may take.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// How long an ordinary answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// How long an upload may take.
pub const UPLOAD_MAX: Duration = Duration::from_secs(3600);
/// Longest ordinary answer, in bytes.
const ANSWER_LEN_MAX: usize = 64 * 1024 * 1024;
/// How often a request with an idempotency key is sent in all, when the connection breaks.
const TRIES: u32 = 3;

/// A client of one server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    connection: Connection,
}

/// An answer that is not a problem.
#[derive(Debug)]
pub struct Reply {
    /// Its status, between 200 and 299.
    pub status: StatusCode,
    /// Its body; null when there is none.
    pub body: Value,
}

impl Client {
    /// A client for the server of `connection`. Nothing is sent yet.
    ///
    /// # Errors
    /// When the TLS set-up of this machine is unusable.
    pub fn new(connection: Connection) -> Result<Self, Failure> {
        // An error means that a provider is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_MAX)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("pointsman/", env!("CARGO_PKG_VERSION")));
        if is_loopback(&connection.base) {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| {
            Failure::new(Exit::Unreachable, "the HTTP client cannot be set up").because(error)
        })?;
        Ok(Self { http, connection })
    }

    /// The address of the server, for people.
    #[must_use]
    pub fn address(&self) -> &str {
        self.connection.base.as_str().trim_end_matches('/')
    }

    /// The URL of `/api/v1/...`; every segment is escaped.
    #[must_use]
    pub fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.connection.base.clone();
        url.path_segments_mut()
            .expect("an http address has a path")
            .pop_if_empty()
            .extend(["api", "v1"])
            .extend(segments);
        url
    }

    /// Whether the server answers, and can use its store.
    pub async fn is_answering(&self) -> bool {
        let mut url = self.connection.base.clone();
        url.set_path("/health");
        let request = self.http.get(url).timeout(CONNECT_MAX);
        matches!(request.send().await, Ok(response) if response.status().is_success())
    }

    /// A request with the token, to be completed and given to [`Self::send`].
    pub fn request(&self, method: Method, url: Url) -> RequestBuilder {
        let request = self.http.request(method, url);
        match self.connection.shown() {
            Some(token) => request.header(header::AUTHORIZATION, token),
            None => request,
        }
    }

    /// GET, read as `T`.
    ///
    /// # Errors
    /// When the server cannot be reached, says no, or answers something else.
    pub async fn get<T: DeserializeOwned>(&self, url: Url) -> Result<T, Failure> {
        let reply = self.send(self.request(Method::GET, url)).await?;
        self.read(reply.body)
    }

    /// POST of JSON with an idempotency key; sent again when the connection breaks.
    ///
    /// # Errors
    /// When the server cannot be reached, or says no.
    pub async fn post(&self, url: Url, body: &Value) -> Result<Reply, Failure> {
        let key = uuid::Uuid::now_v7().to_string();
        let request = || {
            self.request(Method::POST, url.clone())
                .header("idempotency-key", &key)
                .timeout(ANSWER_MAX)
                .json(body)
        };
        for _ in 1..TRIES {
            match request().send().await {
                Ok(response) => return self.reply(response).await,
                Err(error) if error.is_connect() || error.is_timeout() => {
                    return Err(self.unreachable(&error));
                }
                // Broken in the middle: the key makes it safe to ask again.
                Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        }
        self.send(request()).await
    }

    /// Sends an ordinary request.
    ///
    /// # Errors
    /// When the server cannot be reached, or says no.
    pub async fn send(&self, request: RequestBuilder) -> Result<Reply, Failure> {
        let response = request
            .timeout(ANSWER_MAX)
            .send()
            .await
            .map_err(|error| self.unreachable(&error))?;
        self.reply(response).await
    }

    /// Sends a request whose body or answer may take long.
    ///
    /// # Errors
    /// When the server cannot be reached, or says no.
    pub async fn open(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let response = request
            .send()
            .await
            .map_err(|error| self.unreachable(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        match self.reply(response).await {
            Err(failure) => Err(failure),
            Ok(reply) => Err(self.nonsense(&format!("status {}", reply.status))),
        }
    }

    /// Reads an answer whose head is there.
    ///
    /// # Errors
    /// When it says no, breaks off, or makes no sense.
    pub async fn reply(&self, mut response: Response) -> Result<Reply, Failure> {
        let status = response.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| self.unreachable(&error))?
        {
            if bytes.len() + chunk.len() > ANSWER_LEN_MAX {
                return Err(self.nonsense("the answer is too long"));
            }
            bytes.extend_from_slice(&chunk);
        }
        if !status.is_success() {
            return Err(problem::failure(status, &bytes, self.address()));
        }
        if bytes.is_empty() {
            let body = Value::Null;
            return Ok(Reply { status, body });
        }
        let body = serde_json::from_slice(&bytes)
            .map_err(|error| self.nonsense(&format!("not JSON: {error}")))?;
        Ok(Reply { status, body })
    }

    /// Reads a JSON value as `T`.
    ///
    /// # Errors
    /// When it has another shape.
    pub fn read<T: DeserializeOwned>(&self, body: Value) -> Result<T, Failure> {
        serde_json::from_value(body).map_err(|error| self.nonsense(&error.to_string()))
    }

    /// All items of a collection, page after page, at most `max`.
    ///
    /// # Errors
    /// When the server cannot be reached, or says no.
    pub async fn items(&self, url: Url, max: usize) -> Result<Vec<Value>, Failure> {
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut page = url.clone();
            let limit = (max - items.len()).min(500).to_string();
            page.query_pairs_mut().append_pair("limit", &limit);
            if let Some(cursor) = &cursor {
                page.query_pairs_mut().append_pair("cursor", cursor);
            }
            let mut body: Value = self.get(page).await?;
            let Some(Value::Array(more)) = body.get_mut("items").map(Value::take) else {
                return Err(self.nonsense("a list without items"));
            };
            items.extend(more);
            cursor = body.get("next").and_then(Value::as_str).map(str::to_owned);
            if cursor.is_none() || items.len() >= max {
                items.truncate(max);
                return Ok(items);
            }
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let base = self.address();
        let failure = Failure::new(
            Exit::Unreachable,
            format!("the server at {base} cannot be reached"),
        )
        .because(root_cause(error));
        if error.is_connect() {
            failure.next("start one with `pointsman server`, or set its address with --server URL")
        } else {
            failure.next("try again; `pointsman server` writes its log to standard error")
        }
    }

    fn nonsense(&self, why: &str) -> Failure {
        let base = self.address();
        Failure::new(
            Exit::Unreachable,
            format!("{base} does not answer like a Pointsman server"),
        )
        .because(why)
        .next("check the address, and that client and server have the same version")
    }
}

/// The innermost error: the one that says what happened and not who passed it on.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
