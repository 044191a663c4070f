//! What users of the shop ask, and what they get.

use super::World;

impl World {
    /// A client that finds the shop on this machine, and the shop's address.
    pub async fn client(&self) -> (reqwest::Client, String) {
        // An error means that another test was faster.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let status = self.status().await;
        let url = status["url"].as_str().expect("an address").to_owned();
        let port = url.rsplit(':').next().and_then(|port| port.parse().ok());
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], port.expect("a port")));
        let host = reqwest::Url::parse(&url).expect("an address");
        let host = host.host_str().expect("a host").to_owned();
        let client = reqwest::Client::builder()
            .no_proxy()
            .resolve(&host, address)
            .build();
        (client.expect("a client"), url)
    }

    /// Which release answers somebody who sends these headers.
    pub async fn release_for(&self, headers: &[(&str, &str)]) -> String {
        let (client, url) = self.client().await;
        let mut request = client.get(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.expect("an answer");
        let release = answer.headers().get("x-release").expect("a release");
        release.to_str().expect("text").to_owned()
    }

    /// Requests to the shop that take so many milliseconds each, all at once; gives their statuses.
    pub async fn slow_requests(&self, many: usize, ms: &str) -> tokio::task::JoinSet<u16> {
        let (client, url) = self.client().await;
        let url = format!("{url}/slow?ms={ms}");
        (0..many)
            .map(|_| {
                let request = client.get(&url).send();
                async move { request.await.map_or(0, |answer| answer.status().as_u16()) }
            })
            .collect()
    }

    /// Streams of so many events, one every 100 ms; gives how many each told.
    pub async fn streams(&self, many: usize, events: usize) -> tokio::task::JoinSet<usize> {
        let (client, url) = self.client().await;
        let url = format!("{url}/events?count={events}");
        (0..many)
            .map(|_| {
                let request = client.get(&url).send();
                async move {
                    let answer = request.await.expect("an answer");
                    let text = answer.text().await.unwrap_or_default();
                    text.matches("data: tick").count()
                }
            })
            .collect()
    }
}
