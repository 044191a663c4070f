//! `Idempotency-Key` on POST: asked again with the same key, the first answer is given again.
//!
//! Only answers that did something (2xx) are kept: a refused request changed nothing, so it may as
//! well be looked at anew.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};
use tracing::Instrument;

use crate::{App, extract, problem::Problem};
use operations::{
    Desk,
    idempotency::{ANSWER_BYTES_MAX, KEY_BYTES_MAX, KeptAnswer},
};

/// The header with the key.
const KEY: &str = "idempotency-key";
/// How long a repeated request waits for the answer of the first one.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks whether it is there.
const LOOK: Duration = Duration::from_millis(20);

/// Says that an answer was given before.
const REPLAYED: &str = "idempotency-replayed";

/// Marks an answer that holds a secret: it is given once and kept nowhere.
#[derive(Debug, Clone, Copy)]
pub struct NotKept;

/// The keys of requests that are being worked on.
#[derive(Debug, Clone, Default)]
pub struct Underway(Arc<Mutex<BTreeSet<(String, String)>>>);

/// A key that is being worked on, until this is dropped.
struct Claim {
    underway: Underway,
    key: (String, String),
}

impl Underway {
    /// Claims a key, once nobody else works on it; `None` when that takes too long.
    async fn claim(&self, desk: &Desk, key: &str) -> Option<Claim> {
        let claimed = async {
            loop {
                match self.try_claim(desk, key) {
                    Some(claim) => return claim,
                    None => tokio::time::sleep(LOOK).await,
                }
            }
        };
        tokio::time::timeout(PATIENCE, claimed).await.ok()
    }

    fn try_claim(&self, desk: &Desk, key: &str) -> Option<Claim> {
        let key = (desk.principal().name().to_owned(), key.to_owned());
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.insert(key.clone()).then(|| Claim {
            underway: self.clone(),
            key,
        })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut keys = self
            .underway
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        keys.remove(&self.key);
    }
}

/// Answers a repeated request from memory, and remembers new answers.
///
/// The work goes on when the one who asked goes away: asked again, they get the answer that they
/// missed.
pub(crate) async fn remember(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let key = request.headers().get(KEY).cloned();
    let desk = request.extensions().get::<Desk>().cloned();
    let (Some(key), Some(desk), &Method::POST) = (key, desk, request.method()) else {
        return Ok(next.run(request).await);
    };
    let key = checked(&key)?;
    let (parts, body) = request.into_parts();
    let whole = extract::bytes(Request::from_parts(parts.clone(), body), &app).await?;
    let request_hash = hash(&parts.uri.to_string(), &whole);
    let claim = app
        .underway
        .claim(&desk, &key)
        .await
        .ok_or_else(in_progress)?;
    if let Some(kept) = desk.kept_answer(&key).await? {
        return replay(kept, &request_hash);
    }
    let request = Request::from_parts(parts, Body::from(whole));
    let work = async move {
        let _claim = claim;
        let (head, body) = next.run(request).await.into_parts();
        let body = to_bytes(body, usize::MAX).await.map_err(|_| broken())?;
        let may_be_kept = head.extensions.get::<NotKept>().is_none();
        if head.status.is_success() && may_be_kept && body.len() <= ANSWER_BYTES_MAX {
            keep(&desk, &key, &body, head.status, request_hash).await;
        }
        Ok(Response::from_parts(head, Body::from(body)))
    };
    match tokio::spawn(work.in_current_span()).await {
        Ok(answer) => answer,
        // A panic of the handler is for the layer that catches panics.
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(broken()),
    }
}

/// What was done is done: when its answer cannot be kept, it is told all the same.
async fn keep(desk: &Desk, key: &str, body: &Bytes, status: StatusCode, request_hash: String) {
    let Ok(body) = String::from_utf8(body.to_vec()) else {
        return;
    };
    let kept = KeptAnswer {
        request_hash,
        status: status.as_u16(),
        body,
    };
    if let Err(error) = desk.keep_answer(key, kept).await {
        tracing::warn!(%error, "the answer to an idempotency key was not kept");
    }
}

fn replay(kept: KeptAnswer, request_hash: &str) -> Result<Response, Problem> {
    if kept.request_hash != request_hash {
        let detail = "this idempotency key was used for another request";
        return Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency_key_reused",
            detail,
        )
        .remedy("use a new key for each new request"));
    }
    let status = StatusCode::from_u16(kept.status).map_err(|_| broken())?;
    let headers = [
        (header::CONTENT_TYPE.as_str(), "application/json"),
        (REPLAYED, "true"),
    ];
    Ok((status, headers, kept.body).into_response())
}

fn checked(key: &HeaderValue) -> Result<String, Problem> {
    let text = key.to_str().unwrap_or_default().trim();
    if text.is_empty() || text.len() > KEY_BYTES_MAX {
        let detail =
            format!("an idempotency key has 1 to {KEY_BYTES_MAX} visible ASCII characters");
        return Err(
            Problem::new(StatusCode::BAD_REQUEST, "bad_idempotency_key", detail)
                .remedy("use a random key, such as a UUID"),
        );
    }
    Ok(text.to_owned())
}

fn hash(uri: &str, body: &[u8]) -> String {
    let mut hasher = Sha256::new();
    hasher.update((uri.len() as u64).to_le_bytes());
    hasher.update(uri);
    hasher.update(body);
    let hash: [u8; 32] = hasher.finalize().into();
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn in_progress() -> Problem {
    let detail = "a request with this idempotency key is in progress";
    Problem::new(StatusCode::CONFLICT, "idempotency_key_in_progress", detail)
        .remedy("retry a little later to get its answer")
}

fn broken() -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "the answer could not be stored or replayed",
    )
}
