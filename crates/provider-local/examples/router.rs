//! A router with a fixed table, to be measured: `router LISTEN THREADS INSTANCE...`
//!
//! It serves `http://shop.staging.localhost` from the instances, such as
//! `cargo run --release --example router -- 127.0.0.1:7000 2 127.0.0.1:8080`.

use std::{collections::HashMap, net::SocketAddr, num::NonZeroUsize};

use domain::observation::{InstanceId, Slice};
use provider_local::router::{Backend, Limits, Route, Router, RouterConfig, SliceRoute, Table};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, threads, instances @ ..] = &arguments[..] else {
        return Err("usage: router LISTEN THREADS INSTANCE...".into());
    };
    let addresses = instances
        .iter()
        .map(|instance| instance.parse::<SocketAddr>());
    let backends = addresses
        .map(|address| address.map(|at| Backend::new(InstanceId(at.to_string()), at)))
        .collect::<Result<Vec<_>, _>>()?;
    let router = Router::start(RouterConfig {
        address: address.parse()?,
        threads: Some(threads.parse::<NonZeroUsize>()?),
        limits: Limits::default(),
        pass_key: None,
    })?;
    let slices = vec![SliceRoute {
        slice: Slice::Blue,
        weight: 100,
        backends,
    }];
    let hosts = HashMap::from([(
        "shop.staging".to_owned(),
        Route {
            slices,
            ..Route::default()
        },
    )]);
    router.publish(Table { hosts });
    println!("listening on {}", router.local_addr());
    loop {
        std::thread::park();
    }
}
