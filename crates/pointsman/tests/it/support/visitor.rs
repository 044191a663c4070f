//! Somebody with a browser: a cookie, the portal's host, and the headers that browsers send.

use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde_json::json;

use super::{Answer, Persona, TestApp};

/// Somebody with a browser.
pub struct Visitor<'a> {
    app: &'a TestApp,
    http: reqwest::Client,
    /// What the browser keeps; empty: nobody is signed in.
    pub cookie: String,
}

impl<'a> Visitor<'a> {
    /// Nobody yet.
    pub fn stranger(app: &'a TestApp) -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        let cookie = String::new();
        Self { app, http, cookie }
    }

    /// The one who started the server, signed in by a link.
    pub async fn owner(app: &'a TestApp) -> Self {
        Self::with_token(app, &app.token).await
    }

    /// Who this token belongs to, signed in by a link.
    pub async fn with_token(app: &'a TestApp, token: &str) -> Self {
        let request = app.request(Persona::Anonymous, Method::POST, "/api/v1/me/sign-in-link");
        let link = Answer::of(request.bearer_auth(token).json(&json!({}))).await;
        assert_eq!(link.status, 201, "{}", link.text);
        let code = link.json()["code"].as_str().unwrap().to_owned();
        let mut visitor = Self::stranger(app);
        let mut signed_in = visitor.submit("/sign-in/link", &[("code", &code)]).await;
        // Many sign in from here, so they wait as they are told.
        while signed_in.status == 429 {
            let wait: u64 = signed_in.header("retry-after").parse().unwrap();
            tokio::time::sleep(Duration::from_secs(wait)).await;
            signed_in = visitor.submit("/sign-in/link", &[("code", &code)]).await;
        }
        assert_eq!(signed_in.status, 303, "{}", signed_in.text);
        visitor.keep(&signed_in);
        visitor
    }

    /// Keeps the cookie of an answer, as a browser does.
    pub fn keep(&mut self, answer: &Answer) {
        let cookie = answer.header("set-cookie");
        let (pair, attributes) = cookie.split_once(';').unwrap();
        for wanted in ["Secure", "HttpOnly", "SameSite=Lax", "Path=/"] {
            assert!(attributes.contains(wanted), "{cookie}");
        }
        assert!(pair.starts_with("__Host-pointsman="), "{cookie}");
        pair.clone_into(&mut self.cookie);
    }

    /// The host of the portal.
    pub fn host(&self) -> String {
        format!("pointsman.localhost:{}", self.app.address().port())
    }

    /// A request as a page of the portal makes it.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.bare(method, path)
            .header("host", self.host())
            .header("sec-fetch-site", "same-origin")
    }

    /// A request with the cookie and nothing else.
    pub fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, self.app.url(path));
        match self.cookie.as_str() {
            "" => request,
            cookie => request.header("cookie", cookie),
        }
    }

    /// Opens a page.
    pub async fn open(&self, path: &str) -> Answer {
        let request = self
            .request(Method::GET, path)
            .header("accept", "text/html");
        Answer::of(request).await
    }

    /// Sends a form.
    pub async fn submit(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(fields);
        let request = self
            .request(Method::POST, path)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.finish());
        Answer::of(request).await
    }
}
