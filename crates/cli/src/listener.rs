//! Who listens on a port of this machine, as the system tells.
//!
//! Another user of this machine may have taken the port of a server that is gone. A token that is
//! shown there belongs to that user from then on.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::unix::fs::MetadataExt,
    path::Path,
};

use reqwest::Url;

/// The user who may do everything, and read every token.
const ROOT: u32 = 0;
/// A socket that listens, in the words of `/proc/net/tcp`.
const LISTENS: &str = "0A";

/// The user who listens where `url` leads, unless that is the owner of the file `token` or root. `None`
/// also when nobody listens, and when `url` does not lead to an address of this machine.
pub(crate) fn stranger(url: &Url, token: &Path) -> Option<u32> {
    let addresses = url.socket_addrs(|| None).ok()?;
    let owner = fs::metadata(token).ok()?.uid();
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(fs::read_to_string);
    let tables = tables.into_iter().flatten();
    let users: Vec<u32> = tables
        .flat_map(|table| listeners(&table, &addresses))
        .collect();
    users.into_iter().find(|user| ![owner, ROOT].contains(user))
}

/// The users who listen on one of `addresses`, according to a table of the system.
fn listeners(table: &str, addresses: &[SocketAddr]) -> Vec<u32> {
    let rows = table.lines().skip(1);
    rows.filter_map(|row| {
        let fields: Vec<&str> = row.split_whitespace().collect();
        let local = address(fields.get(1)?)?;
        let reaches = addresses.iter().any(|it| {
            it.port() == local.port() && (local.ip().is_unspecified() || it.ip() == local.ip())
        });
        let listens = *fields.get(3)? == LISTENS && reaches;
        listens.then(|| fields.get(7)?.parse().ok()).flatten()
    })
    .collect()
}

/// Reads an address such as `0100007F:1BA8`: words of four bytes, the last byte first.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let words: Vec<[u8; 4]> = ip
        .as_bytes()
        .chunks(8)
        .map(|word| {
            let word = u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()?;
            Some(word.to_le_bytes())
        })
        .collect::<Option<_>>()?;
    let ip = match words.as_slice() {
        [word] => IpAddr::from(Ipv4Addr::from(*word)),
        [a, b, c, d] => {
            let bytes: [u8; 16] = [*a, *b, *c, *d].concat().try_into().ok()?;
            Ipv6Addr::from(bytes).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1BA8 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1001        0 1 1 0 100 0 0 10 0
   1: 00000000:1BA9 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1002        0 2 1 0 100 0 0 10 0
   2: 0100007F:1BA8 0100007F:C000 01 00000000:00000000 00:00000000 00000000  1003        0 3 1 0 100 0 0 10 0
   3: 00000000000000000000000001000000:1BAA 00000000000000000000000000000000:0000 0A 0:0 0:0 0 1004 0 4 1 0";

    #[test]
    fn whoever_listens_where_an_address_leads_is_found() {
        let users = |address: &str| listeners(TABLE, &[address.parse().expect("an address")]);
        assert_eq!(users("127.0.0.1:7080"), [1001]);
        assert_eq!(users("127.0.0.1:7081"), [1002], "it listens everywhere");
        assert_eq!(users("[::1]:7082"), [1004]);
        assert_eq!(users("127.0.0.2:7080"), [0_u32; 0]);
    }

    #[test]
    fn a_listener_of_our_own_is_no_stranger() {
        let folder = tempfile::tempdir().expect("a folder");
        let token = folder.path().join("token");
        fs::write(&token, "").expect("written");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let url = Url::parse(&format!("http://{address}")).expect("an address");
        assert_eq!(stranger(&url, &token), None);
    }
}
