//! How exactly a router keeps the weights: `weights [REQUESTS]`, by chance and with sticky users.
//!
//! Both slices have one instance that answers at once; what the router counted is compared with
//! what was asked. Beside it stands what throws of a coin would be off by (one standard deviation).

use std::{collections::HashMap, sync::Arc};

use domain::{catalogue::Stickiness, observation::InstanceId, slice::Slice};
use router::{
    Backend, Route, Router, RouterConfig, SliceRoute, Sticky, Table,
    pass::{KEY_LEN, PassKey},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// Connections to the router at once.
const CONNECTIONS: u64 = 16;
/// Requests of each sticky user.
const PER_USER: u64 = 10;
/// The first requests, which are looked at alone: shares should be right early.
const FIRST: u64 = 1_000;
/// Shares of green, in percent.
const SHARES: [u8; 4] = [1, 5, 25, 50];

/// Who the users are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Users {
    /// Each request is a new user.
    Chance,
    /// Each keeps the cookie that it is given.
    Cookie,
    /// Each has a name, which is hashed.
    Header,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let requests: u64 = match std::env::args().nth(1) {
        Some(requests) => requests.parse()?,
        None => 100_000,
    };
    println!(
        "{requests} requests, {CONNECTIONS} connections, {PER_USER} requests of each sticky user\n"
    );
    println!(
        "users      asked   measured      off   coin's off   first {FIRST}:     off   coin's off"
    );
    for users in [Users::Chance, Users::Cookie, Users::Header] {
        for share in SHARES {
            measure(users, share, requests).await?;
        }
    }
    Ok(())
}

/// Sends all requests and prints a line.
async fn measure(users: Users, share: u8, requests: u64) -> Result<(), std::io::Error> {
    let (blue, green) = (instance("blue").await?, instance("green").await?);
    let router = Router::start(RouterConfig::default())?;
    let stickiness = match users {
        Users::Chance => None,
        Users::Cookie => Some(Stickiness::Cookie { seconds: 60 }),
        Users::Header => Some(Stickiness::Header {
            name: "x-user".to_owned(),
        }),
    };
    let key = PassKey::from_bytes([7; KEY_LEN]);
    let slice = |slice, weight, backend: &Arc<Backend>| SliceRoute {
        slice,
        weight,
        backends: vec![Arc::clone(backend)],
    };
    let route = Route {
        slices: vec![
            slice(Slice::Blue, 100 - share, &blue),
            slice(Slice::Green, share, &green),
        ],
        sticky: stickiness.and_then(|by| Sticky::new("shop.staging", &by, &key)),
        mirror: None,
        ignore_paths: Vec::new(),
    };
    router.publish(Table {
        hosts: HashMap::from([("shop.staging".to_owned(), route)]),
    });
    let measured = || {
        let [blue, green] = [&blue, &green].map(|side| side.counters().read().requests());
        (green as f64 * 100.0 / (blue + green) as f64, blue + green)
    };
    send(&router, users, 0, FIRST).await?;
    let (first, _) = measured();
    send(&router, users, FIRST, requests.saturating_sub(FIRST)).await?;
    let (all, counted) = measured();
    let name = match users {
        Users::Chance => "chance",
        Users::Cookie => "cookie",
        Users::Header => "header",
    };
    let draws = |requests: u64| match users {
        Users::Chance => requests,
        Users::Cookie | Users::Header => requests / PER_USER,
    };
    let p = f64::from(share) / 100.0;
    let coin = |requests| (p * (1.0 - p) / draws(requests) as f64).sqrt() * 100.0;
    let off = |measured: f64| (measured - f64::from(share)).abs();
    println!(
        "{name:<8} {share:>5} %   {all:>6.3} %   {:>6.3}       {:>6.3}      {first:>6.2} %   {:>6.2}       {:>6.2}",
        off(all),
        coin(counted),
        off(first),
        coin(FIRST),
    );
    Ok(())
}

/// An instance that answers every request at once.
async fn instance(name: &str) -> Result<Arc<Backend>, std::io::Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                while head(&mut stream).await.is_some() {
                    if stream.get_mut().write_all(answer).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    Ok(Backend::new(InstanceId(name.to_owned()), address))
}

/// A head without a body; `None` at the end.
async fn head(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    Some(head)
}

/// Sends `many` requests, of users with numbers from `first / PER_USER` on.
async fn send(router: &Router, users: Users, first: u64, many: u64) -> Result<(), std::io::Error> {
    let address = router.local_addr();
    let mut set = JoinSet::new();
    for connection in 0..CONNECTIONS {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        set.spawn(async move {
            let mut stream = BufReader::new(stream);
            let all = first / PER_USER..(first + many) / PER_USER;
            let mine = all.filter(|user| user % CONNECTIONS == connection);
            for user in mine {
                let mut field = match users {
                    Users::Header => format!("x-user: {user}\r\n"),
                    Users::Chance | Users::Cookie => String::new(),
                };
                for _ in 0..PER_USER {
                    let text =
                        format!("GET / HTTP/1.1\r\nhost: shop.staging.localhost\r\n{field}\r\n");
                    stream.get_mut().write_all(text.as_bytes()).await?;
                    let answer = head(&mut stream).await;
                    let answer = answer.ok_or(std::io::ErrorKind::UnexpectedEof)?;
                    let given = answer.split("set-cookie: ").nth(1);
                    if let Some(pair) = given.and_then(|cookie| cookie.split(';').next()) {
                        field = format!("cookie: {pair}\r\n");
                    }
                }
            }
            Ok::<_, std::io::Error>(())
        });
    }
    while let Some(ended) = set.join_next().await {
        ended.map_err(std::io::Error::other)??;
    }
    Ok(())
}
