//! A router with a fixed table, for measurements:
//! `router LISTEN THREADS INSTANCE... [--mirror PERCENT SHADOW [--compare]]`
//!
//! It serves `http://shop.staging.localhost` from the instances, such as `cargo run --release
//! --example router -- 127.0.0.1:7000 2 127.0.0.1:8080`, and copies some of the requests to an
//! instance that has no users.

use std::{collections::HashMap, error::Error, net::SocketAddr, num::NonZeroUsize, sync::Arc};

use domain::{
    observation::InstanceId,
    slice::Slice,
    time::UnixMs,
    traffic::{Compare, Mirror},
};
use router::{Backend, Limits, Mirroring, Route, Router, RouterConfig, SliceRoute, Table};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let at = arguments.iter().position(|a| a == "--mirror");
    let dark = at.map_or_else(Vec::new, |at| arguments.split_off(at));
    let [address, threads, instances @ ..] = &arguments[..] else {
        return Err("usage: router LISTEN THREADS INSTANCE... [--mirror PERCENT SHADOW]".into());
    };
    let router = Router::start(RouterConfig {
        address: address.parse()?,
        threads: Some(threads.parse::<NonZeroUsize>()?),
        limits: Limits::default(),
        passes: None,
    })?;
    let mut slices = vec![slice(Slice::Blue, 100, instances)?];
    let mut mirror = None;
    if let [_, percent, shadow, compare @ ..] = &dark[..] {
        slices.push(slice(Slice::Green, 0, std::slice::from_ref(shadow))?);
        let asked = Mirror {
            from: Slice::Blue,
            to: Slice::Green,
            percent: percent.parse()?,
            methods: Vec::new(),
            compare: (!compare.is_empty()).then(Compare::default),
        };
        mirror = Some(Mirroring::new(asked, UnixMs(0)));
    }
    let route = Route {
        slices,
        mirror,
        sticky: None,
        ignore_paths: Vec::new(),
    };
    let hosts = HashMap::from([("shop.staging".to_owned(), route)]);
    router.publish(Table { hosts });
    println!("listening on {}", router.local_addr());
    loop {
        std::thread::park();
    }
}

fn slice(slice: Slice, weight: u8, instances: &[String]) -> Result<SliceRoute, Box<dyn Error>> {
    let backend = |instance: &String| -> Result<Arc<Backend>, Box<dyn Error>> {
        let address = instance.parse::<SocketAddr>()?;
        Ok(Backend::new(InstanceId(address.to_string()), address))
    };
    let backends = instances.iter().map(backend).collect::<Result<_, _>>()?;
    Ok(SliceRoute {
        slice,
        weight,
        backends,
    })
}
