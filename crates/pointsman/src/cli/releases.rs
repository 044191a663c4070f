//! `release create|list|get|withdraw`.

use std::path::PathBuf;

use clap::Subcommand;
use reqwest::{Body, Method, StatusCode, header};
use serde_json::{Value, json};
use tokio_util::io::ReaderStream;

use super::{
    Context,
    client::{Client, Reply, UPLOAD_MAX},
    failure::{Exit, Failure},
    output::{self, Format, ago, text_at},
    pack,
};

/// Most releases that one list shows.
const RELEASES_MAX: usize = 5_000;

/// What can be done with releases.
#[derive(Debug, Subcommand)]
pub enum ReleaseCommand {
    /// Upload an immutable version of a service
    Create {
        /// The service that it is a version of
        service: String,
        /// Its version, such as 1.4.0
        version: String,
        /// A folder with a Procfile, or a gzipped tarball of one
        #[arg(short, long, value_name = "DIR|TARBALL")]
        artifact: PathBuf,
    },
    /// List the releases of a service
    List {
        /// The service
        service: String,
    },
    /// Show one release
    Get {
        /// The service
        service: String,
        /// The version
        version: String,
    },
    /// Take a release out of use: it cannot be deployed any more
    Withdraw {
        /// The service
        service: String,
        /// The version
        version: String,
        /// Why, for those who are refused
        #[arg(short, long)]
        reason: String,
    },
}

/// Does it.
///
/// # Errors
/// When the artifact cannot be packed, the server cannot be reached, or says no.
pub async fn run(context: &Context, command: ReleaseCommand) -> Result<Exit, Failure> {
    match command {
        ReleaseCommand::Create {
            service,
            version,
            artifact,
        } => create(context, &service, &version, artifact).await,
        ReleaseCommand::List { service } => list(context, &service).await,
        ReleaseCommand::Get { service, version } => get(context, &service, &version).await,
        ReleaseCommand::Withdraw {
            service,
            version,
            reason,
        } => {
            let client = context.client()?;
            let url = client.url(&["services", &service, "releases", &version, "withdraw"]);
            client.post(url, &json!({ "reason": reason })).await?;
            context.say(&format!("withdrew {service} {version}"));
            Ok(Exit::Ok)
        }
    }
}

async fn create(
    context: &Context,
    service: &str,
    version: &str,
    artifact: PathBuf,
) -> Result<Exit, Failure> {
    let reply = upload(&context.client()?, service, version, artifact).await?;
    if context.format != Format::Table {
        output::value(context.format, &reply.body, output::yaml)?;
        return Ok(Exit::Ok);
    }
    let digest: String = text_at(&reply.body, "digest").chars().take(12).collect();
    let how = if reply.status == StatusCode::CREATED {
        "created"
    } else {
        "was there already, with the same content:"
    };
    context.say(&format!("{how} {service} {version} ({digest})"));
    Ok(Exit::Ok)
}

/// Packs and uploads a release.
///
/// # Errors
/// When the artifact cannot be packed, the server cannot be reached, or says no.
pub async fn upload(
    client: &Client,
    service: &str,
    version: &str,
    artifact: PathBuf,
) -> Result<Reply, Failure> {
    let packed = tokio::task::spawn_blocking(move || pack::artifact(&artifact))
        .await
        .map_err(|error| Failure::usage("the artifact cannot be packed").because(error))??;
    let url = client.url(&["services", service, "releases", version]);
    let body = Body::wrap_stream(ReaderStream::new(tokio::fs::File::from_std(packed.file)));
    let request = client
        .request(Method::PUT, url)
        .header(header::CONTENT_TYPE, "application/gzip")
        .header(header::CONTENT_LENGTH, packed.len)
        .timeout(UPLOAD_MAX)
        .body(body);
    client.reply(client.open(request).await?).await
}

async fn get(context: &Context, service: &str, version: &str) -> Result<Exit, Failure> {
    let client = context.client()?;
    let url = client.url(&["services", service, "releases", version]);
    let release: Value = client.get(url).await?;
    output::value(context.format, &release, |release| {
        output::yaml(release).trim_end().to_owned()
    })?;
    Ok(Exit::Ok)
}

async fn list(context: &Context, service: &str) -> Result<Exit, Failure> {
    let client = context.client()?;
    let url = client.url(&["services", service, "releases"]);
    let items = client.items(url, RELEASES_MAX).await?;
    output::value(context.format, &Value::Array(items), |items| {
        let releases = items.as_array().map_or(&[][..], Vec::as_slice);
        let rows: Vec<_> = releases.iter().map(row).collect();
        output::table(
            &["VERSION", "CREATED", "BY", "KIB", "DIGEST", "WITHDRAWN"],
            &rows,
        )
    })?;
    Ok(Exit::Ok)
}

fn row(release: &Value) -> Vec<String> {
    let size = release.get("size_bytes").and_then(Value::as_u64);
    let withdrawn = release.get("withdrawn").map(|w| text_at(w, "reason"));
    vec![
        text_at(release, "version"),
        ago(&text_at(release, "created_at")),
        text_at(release, "created_by"),
        size.map_or(String::new(), |bytes| bytes.div_ceil(1024).to_string()),
        text_at(release, "digest").chars().take(12).collect(),
        withdrawn.unwrap_or_default(),
    ]
}
