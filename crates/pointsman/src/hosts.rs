//! Which hosts gates may ask. Whoever writes a gate chooses its address, and the server asks from where it
//! stands: inside a network, and on a machine in a cloud next to the service that hands out its credentials.
//!
//! Invariant: no link-local address is asked unless its host is listed; names are looked at after they
//! were resolved, on each connection.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};

/// Where the metadata service of AWS is, besides the link-local addresses.
const METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// Which hosts gates may ask. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Hosts {
    listed: Arc<[String]>,
}

impl Hosts {
    /// Only these hosts, by their names or addresses as gates write them; none listed: every host but
    /// link-local ones.
    #[must_use]
    pub fn new(listed: &[String]) -> Self {
        Self {
            listed: listed.iter().map(|host| host.to_lowercase()).collect(),
        }
    }

    /// Refuses an address whose host is not allowed.
    ///
    /// # Errors
    /// The sentence that says why.
    pub(crate) async fn allow(&self, url: &str) -> Result<(), String> {
        let url = Url::parse(url).map_err(|error| format!("its address is none: {error}"))?;
        let host = url.host_str().unwrap_or_default().to_lowercase();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if self.lists(bare) {
            return Ok(());
        }
        if !self.listed.is_empty() {
            return Err(format!(
                "{host} is not one of the hosts that this server lets gates ask"
            ));
        }
        let resolved: Vec<SocketAddr> = match bare.parse::<IpAddr>() {
            Ok(address) => vec![(address, 0).into()],
            // What cannot be resolved cannot be asked either.
            Err(_) => tokio::net::lookup_host((bare, 0))
                .await
                .map(Iterator::collect)
                .unwrap_or_default(),
        };
        match resolved.iter().any(|it| is_link_local(it.ip())) {
            false => Ok(()),
            true => Err(link_local(&host)),
        }
    }

    fn lists(&self, host: &str) -> bool {
        self.listed.iter().any(|it| it == host)
    }
}

impl Resolve for Hosts {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_lowercase();
        let listed = self.lists(&host);
        Box::pin(async move {
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            if !listed && found.iter().any(|it| is_link_local(it.ip())) {
                return Err(link_local(&host).into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

fn link_local(host: &str) -> String {
    format!(
        "{host} is a link-local address, which gates do not ask; list it with --gate-host if that is meant"
    )
}

fn is_link_local(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local() || address == METADATA,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn link_local_addresses_are_not_asked_unless_they_are_listed() {
        let usual = Hosts::default();
        for refused in [
            "http://169.254.169.254/latest",
            "http://[fe80::1]/",
            "http://[fd00:ec2::254]/",
            "http://[::ffff:169.254.169.254]/",
            "tcp://169.254.0.1:80",
        ] {
            let why = usual.allow(refused).await.expect_err(refused);
            assert!(why.contains("link-local"), "{why}");
        }
        for allowed in [
            "http://127.0.0.1:9090/x",
            "http://localhost",
            "https://10.0.0.1",
        ] {
            assert_eq!(usual.allow(allowed).await, Ok(()), "{allowed}");
        }
        let listed = Hosts::new(&["Prometheus.internal".to_owned(), "169.254.0.1".to_owned()]);
        for allowed in ["http://prometheus.INTERNAL:9090", "http://169.254.0.1"] {
            assert_eq!(listed.allow(allowed).await, Ok(()), "{allowed}");
        }
        let why = listed
            .allow("http://127.0.0.1")
            .await
            .expect_err("not listed");
        assert!(why.contains("not one of the hosts"), "{why}");
    }
}
