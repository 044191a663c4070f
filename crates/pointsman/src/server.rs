//! Wires store, engine, clouds and API together, and takes them down in order.
//!
//! ```text
//! data folder -- lock, token, artifacts, store --> engine --> API --> listener --> server.json
//! ```
//!
//! Invariant: `server.json` is written when requests are answered, and taken away before they are
//! not.

use std::{
    fs,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context, bail};
use domain::catalogue::ProviderKind;
use engine::runner::{Runner, RunnerConfig};
use serde_json::json;
use store::Store;
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    task::{AbortHandle, JoinHandle},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use operations::{
    Operations, Parts,
    artifacts::Artifacts,
    clock::SystemClock,
    clouds::Clouds,
    journal::{Changes, TellingJournal},
    lasting::lasting,
    metrics::{Counted, Metrics},
    packages::Packages,
};
use web::{
    App, PublicUrl, PublicUrls,
    door::{Keys, Token},
    listener,
    tls::Certificates,
};

use crate::{
    clouds,
    config::Config,
    data::{self, DataFolder},
    hosts::Hosts,
    identities, local,
    outside::Outside,
    telemetry,
};

/// The engine of this process.
type Engine = Runner<Clouds, Outside, Counted<TellingJournal>, SystemClock>;

/// How long stopping may take.
const STOP_MAX: Duration = Duration::from_secs(15);

/// A server that answers requests.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stopping: CancellationToken,
    engine: JoinHandle<()>,
    watch: JoinHandle<()>,
    listener: JoinHandle<()>,
    store: Store,
    note: PathBuf,
    portal_url: String,
    ends_tls: bool,
    /// The look at the files of the certificate.
    following: Option<AbortHandle>,
    _data: DataFolder,
}

/// Runs a server until SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot start; each error says what to do.
pub async fn run(config: Config) -> anyhow::Result<()> {
    telemetry::start(config.log);
    local::prepare().context("this process cannot be shut off from releases")?;
    let mut stop = StopSignals::listen()?;
    let server = tokio::select! {
        server = start_configured(&config) => server?,
        () = stop.asked() => return Ok(()),
    };
    telemetry::tell(&format!(
        "pointsman server listens on {}, its portal is at {}, and it keeps its data in {}",
        server.url(),
        server.portal_url(),
        config.data.display()
    ));
    stop.asked().await;
    tracing::info!("stopping");
    server.stop().await;
    Ok(())
}

async fn start_configured(config: &Config) -> anyhow::Result<Server> {
    // Before the clouds, of which one may start a process that stays.
    let data = prepare(config).await?;
    let store = open_store(config, &data).await?;
    settle(&store, config).await?;
    let clouds = clouds::configured(config, store.is_used().await?).await?;
    Server::start_in(data, store, config, clouds).await
}

/// SIGTERM and SIGINT, from the first moment on.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?,
        })
    }

    /// Ready when somebody asked this process to stop.
    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

impl Server {
    /// Starts a server over `clouds`.
    ///
    /// # Errors
    /// When the data folder, the database or the address cannot be used.
    pub async fn start(config: &Config, clouds: Clouds) -> anyhow::Result<Self> {
        let data = prepare(config).await?;
        let store = open_store(config, &data).await?;
        Self::start_in(data, store, config, clouds).await
    }

    async fn start_in(
        data: DataFolder,
        store: Store,
        config: &Config,
        clouds: Clouds,
    ) -> anyhow::Result<Self> {
        let keys = keys(&data, config, &store).await?;
        let front = front(config)?;
        let artifacts = Artifacts::open(&data.artifacts(), config.limits)
            .context("the artifact store cannot be opened")?;
        let listener = TcpListener::bind(config.listen).await.with_context(|| {
            format!(
                "cannot listen on {}; is a server running already? Choose another address with --listen",
                config.listen
            )
        })?;
        let address = listener
            .local_addr()
            .context("the listener has no address")?;
        let stopping = CancellationToken::new();
        let metrics = Metrics::default();
        let (engine, operations) = assemble(&store, artifacts, clouds, &metrics, config)?;
        let watch = tokio::spawn(watch_until(operations.clone(), stopping.clone()));
        let engine = tokio::spawn(drive_until(engine, stopping.clone()));
        let hosts = match config.allow_remote {
            true => web::Hosts::Any,
            false => web::Hosts::ThisMachine,
        };
        if config.owner && operations.make_owner().await? {
            tracing::info!("the one who started this server may do everything");
        }
        let here = PublicUrl::on_this_machine(address.port());
        let portal = PublicUrls::new(config.public_urls.clone(), here);
        let portal_url = portal.first().to_string();
        let app = App::new(operations, keys, metrics, hosts, portal, stopping.clone())
            .behind(front.tls.clone());
        let tls = front.tls.clone();
        let following = tls.map(|tls| tokio::spawn(tls.follow()).abort_handle());
        let ends_tls = front.tls.is_some();
        let listener = listener::serve(listener, web::router(app), front, stopping.clone());
        let note = data.note();
        let server = Self {
            address,
            stopping,
            engine,
            watch,
            listener: tokio::spawn(listener),
            store,
            note,
            portal_url,
            ends_tls,
            following,
            _data: data,
        };
        server
            .write_note()
            .context("server.json cannot be written")?;
        Ok(server)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How it is reached from this machine.
    #[must_use]
    pub fn url(&self) -> String {
        if self.ends_tls {
            // The certificate is good for the name, and not for an address.
            return self.portal_url.clone();
        }
        let mut address = self.address;
        if address.ip().is_unspecified() {
            match address {
                SocketAddr::V4(_) => address.set_ip(Ipv4Addr::LOCALHOST.into()),
                SocketAddr::V6(_) => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            }
        }
        format!("http://{address}")
    }

    /// Where people find it in a browser.
    #[must_use]
    pub fn portal_url(&self) -> &str {
        &self.portal_url
    }

    /// Takes no new requests, ends streams, finishes what is under way, and gives leases back.
    pub async fn stop(self) {
        // The note of another server that took over meanwhile would be gone too; the lock of the
        // data folder makes sure that there is none.
        let _ = fs::remove_file(&self.note);
        self.stopping.cancel();
        self.following.iter().for_each(AbortHandle::abort);
        let all = async {
            let _ = self.listener.await;
            let _ = self.engine.await;
            let _ = self.watch.await;
            self.store.close().await;
        };
        if tokio::time::timeout(STOP_MAX, all).await.is_err() {
            tracing::warn!("stopping took too long; leases that are left will expire");
        }
    }

    /// Lets the command line find this server.
    fn write_note(&self) -> std::io::Result<()> {
        let note = json!({
            "address": self.url(),
            "portal": self.portal_url(),
            "pid": std::process::id(),
            "version": env!("CARGO_PKG_VERSION"),
        });
        let draft = self.note.with_extension("new");
        fs::write(&draft, format!("{note:#}\n"))?;
        fs::rename(draft, &self.note)
    }
}

/// The tokens in the data folder: that of the one who started the server, or that of the first start.
async fn keys(data: &DataFolder, config: &Config, store: &Store) -> anyhow::Result<Keys> {
    if config.owner {
        return Ok(Keys {
            owner: Some(Token::load_or_create(&data.token())?),
            first_start: None,
        });
    }
    let file = data.first_start_token();
    if store.has_admin().await? {
        // It is good for nothing any more.
        let _ = fs::remove_file(&file);
        return Ok(Keys::default());
    }
    let first_start = Some(Token::load_or_create(&file)?);
    tracing::warn!(
        file = %file.display(),
        "nobody can manage people yet: make the first admin with the token in this file"
    );
    Ok(Keys {
        owner: None,
        first_start,
    })
}

/// What stands between the one who asks and the API.
fn front(config: &Config) -> anyhow::Result<listener::Front> {
    let tls = config.tls.clone().map(Certificates::load).transpose();
    let tls = tls.context("TLS cannot be used: see --tls-cert and --tls-key")?;
    if tls.is_some() && !config.public_urls.first().is_some_and(PublicUrl::is_secure) {
        bail!("a server that ends TLS needs an https:// address for people: add --public-url");
    }
    Ok(listener::Front {
        tls,
        hops: config.trusted_hops,
    })
}

/// What must hold before anything is started.
async fn prepare(config: &Config) -> anyhow::Result<DataFolder> {
    refuse_remote(config)?;
    let through = config.lets_instances_through();
    let through = through.context("the system does not say what this process may do")?;
    DataFolder::open(&config.data, through).await
}

/// Plain HTTP shows tokens on the way.
fn refuse_remote(config: &Config) -> anyhow::Result<()> {
    if !config.listen.ip().is_loopback() && !config.allow_remote {
        bail!(
            "{} can be reached from other machines, and plain HTTP would show the token on the way; listen on 127.0.0.1, or add --allow-remote when --tls-cert, a proxy with TLS or a private network protects it",
            config.listen
        );
    }
    Ok(())
}

async fn open_store(config: &Config, data: &DataFolder) -> anyhow::Result<Store> {
    if let Some(url) = &config.database {
        return Ok(Store::open(url).await?);
    }
    let store = Store::open(&store::sqlite_url(&data.database()?)).await?;
    // The lock of the data folder is ours, so whoever left a lease here has died.
    let left = store.release_all().await?;
    if left > 0 {
        tracing::info!(left, "deployments go on that an earlier server left behind");
    }
    Ok(store)
}

/// Everything of a database lives in one one-machine cloud: another one could not see what runs, and
/// would take it for lost.
async fn settle(store: &Store, config: &Config) -> anyhow::Result<()> {
    if config.no_local_cloud {
        return Ok(());
    }
    let state = config.local_state();
    let home = data::cloud_home(&state)?;
    // Nobody else uses a database of our own: its cloud is where we say.
    let replace = config.replace_local_cloud || !store.is_shared();
    if let Some(other) = store
        .settle_cloud(ProviderKind::Local, &home, replace)
        .await?
    {
        bail!(
            "what this database knows runs in another one-machine cloud: {} on {}. This server's is {} and cannot reach what runs there; start it with --local-state {} on that machine, or with --no-local-cloud to leave those deployments to others, or with a database of its own. If that cloud is gone for good, add --replace-local-cloud",
            other.folder,
            other.host,
            home.folder,
            other.folder
        );
    }
    Ok(())
}

/// The engine over these parts, and the operations that wake it.
fn assemble(
    store: &Store,
    artifacts: Artifacts,
    clouds: Clouds,
    metrics: &Metrics,
    config: &Config,
) -> anyhow::Result<(Engine, Operations)> {
    let changes = Changes::default();
    let journal = TellingJournal {
        store: store.clone(),
        changes: changes.clone(),
        drives: clouds::driven(config, &clouds)?,
    };
    let packages = Packages::new(artifacts, store);
    let clouds = clouds.counted(metrics.clone()).supplied(packages.clone());
    let gates = Hosts::new(&config.gate_hosts);
    let id = Uuid::now_v7().simple();
    let settings = RunnerConfig::named(format!("server-{}-{id}", std::process::id()));
    let engine = Engine::new(
        clouds.clone(),
        Outside::new(clouds.clone(), gates)?,
        metrics.counting(journal),
        SystemClock,
        settings,
    )
    .metered(metrics.clone());
    let operations = Operations::new(Parts {
        store: store.clone(),
        packages,
        clouds,
        providers: identities::configured(config.oidc.as_deref())?,
        waker: engine.waker(),
        changes,
    });
    Ok((engine, operations))
}

/// Runs the engine. A panic in it is a bug; deployments must not stand still because of it.
async fn drive_until(engine: Engine, stopping: CancellationToken) {
    lasting("the engine", || {
        let (engine, stopped) = (engine.clone(), stopping.clone().cancelled_owned());
        async move { engine.run(stopped).await }
    })
    .await;
}

/// Looks after the database until the server stops.
async fn watch_until(operations: Operations, stopping: CancellationToken) {
    let watch = lasting("the watch on the database", || {
        operations.clone().watch_writing()
    });
    tokio::select! {
        () = watch => {}
        () = stopping.cancelled() => {}
    }
}
