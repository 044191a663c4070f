//! `release create|list|get|withdraw`.

use std::path::PathBuf;

use clap::{ArgGroup, Subcommand};
use domain::release::ImageId;
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
    /// Create a release from a package or a machine image
    #[command(group = ArgGroup::new("content").required(true))]
    Create {
        /// The service
        service: String,
        /// The version, such as 1.4.0
        version: String,
        /// Folder with a Procfile, or a gzipped tarball of one
        #[arg(short, long, value_name = "DIR|TARBALL", group = "content")]
        artifact: Option<PathBuf>,
        /// AWS machine image that contains the service
        #[arg(long, value_name = "AMI", group = "content")]
        image: Option<ImageId>,
    },
    /// List the releases of a service
    List {
        /// The service
        service: String,
    },
    /// Show a release
    Get {
        /// The service
        service: String,
        /// The version
        version: String,
    },
    /// Withdraw a release: it can no longer be deployed
    Withdraw {
        /// The service
        service: String,
        /// The version
        version: String,
        /// Reason, for people whose deployments are refused
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
            image,
        } => {
            let client = context.client()?;
            let reply = match (artifact, image) {
                (Some(artifact), None) => upload(&client, &service, &version, artifact).await?,
                (None, Some(image)) => name(&client, &service, &version, &image).await?,
                _ => return Err(Failure::usage("use either --artifact or --image")),
            };
            created(context, &service, &version, &reply)
        }
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

fn created(
    context: &Context,
    service: &str,
    version: &str,
    reply: &Reply,
) -> Result<Exit, Failure> {
    if context.format != Format::Table {
        output::value(context.format, &reply.body, output::yaml)?;
        return Ok(Exit::Ok);
    }
    let content = content(&reply.body);
    let how = if reply.status == StatusCode::CREATED {
        "created"
    } else {
        "already exists with the same content:"
    };
    context.say(&format!("{how} {service} {version} ({content})"));
    let uploads = reply.body.get("uploads").and_then(Value::as_array);
    for upload in uploads.into_iter().flatten() {
        context.say(&format!("  {}", arrival(upload)));
    }
    Ok(Exit::Ok)
}

/// Where the package is, as far as an account goes.
fn arrival(upload: &Value) -> String {
    let [account, bucket, arrival, trouble] =
        ["account", "bucket", "arrival", "trouble"].map(|name| text_at(upload, name));
    match arrival.as_str() {
        "there" => format!("in the bucket {bucket} of the account {account}"),
        "under_way" => format!("on its way to the bucket {bucket} of the account {account}"),
        _ => format!(
            "not in the bucket {bucket} of the account {account}: {trouble}\n  \
             next: run `pointsman doctor {account}`; the first deployment there tries again"
        ),
    }
}

/// Makes a release of a machine image.
async fn name(
    client: &Client,
    service: &str,
    version: &str,
    image: &ImageId,
) -> Result<Reply, Failure> {
    let url = client.url(&["services", service, "releases", version]);
    let body = json!({ "image": image });
    client
        .send(client.request(Method::PUT, url).json(&body))
        .await
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
            &["VERSION", "CREATED", "BY", "KIB", "CONTENT", "WITHDRAWN"],
            &rows,
        )
    })?;
    Ok(Exit::Ok)
}

/// What a release is: the beginning of the package's digest, or the image.
fn content(release: &Value) -> String {
    let image = text_at(release, "image");
    if image.is_empty() {
        text_at(release, "digest").chars().take(12).collect()
    } else {
        image
    }
}

fn row(release: &Value) -> Vec<String> {
    let size = release.get("size_bytes").and_then(Value::as_u64);
    let withdrawn = release.get("withdrawn").map(|w| text_at(w, "reason"));
    vec![
        text_at(release, "version"),
        ago(&text_at(release, "created_at")),
        text_at(release, "created_by"),
        size.filter(|bytes| *bytes > 0)
            .map_or(String::new(), |bytes| bytes.div_ceil(1024).to_string()),
        content(release),
        withdrawn.unwrap_or_default(),
    ]
}
