//! `apply`, `diff`, `get`, `delete`: the catalogue as files.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use clap::{
    Args,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
};
use domain::catalogue::Kind;
use reqwest::{Method, header};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    Context,
    failure::{Exit, Failure},
    output::{self, Format},
    style::Style,
};

/// Longest manifest text in all, in bytes.
const TEXT_LEN_MAX: u64 = 16 * 1024 * 1024;

/// Which manifests.
#[derive(Debug, Args)]
pub struct FilesArgs {
    /// Manifest file, folder of manifests (*.yaml, *.yml, *.json), or - for standard input
    #[arg(short, long = "file", value_name = "PATH", required = true)]
    files: Vec<PathBuf>,
}

/// Which entry of the catalogue.
#[derive(Debug, Args)]
pub struct EntryArgs {
    /// Kind of the entry
    #[arg(value_parser = kind())]
    pub kind: Kind,
    /// Name of the entry; server groups are named SERVICE.ENVIRONMENT
    pub name: String,
}

/// Reads a kind as people type it.
fn kind() -> impl TypedValueParser<Value = Kind> {
    let values =
        Kind::ALL.map(|kind| PossibleValue::new(kind.as_str()).help(kind.words().sentence));
    PossibleValuesParser::new(values)
        .try_map(|word| Kind::find(|words| words.word == word).ok_or("there is no such kind"))
}

/// The manifest of an entry as the API answers it: the kind first, and no record keeping.
fn manifest(kind: Kind, value: Value) -> Value {
    let mut manifest = Map::new();
    manifest.insert("kind".to_owned(), kind.words().manifest.into());
    if let Value::Object(fields) = value {
        let kept = fields.into_iter().filter(|(name, value)| {
            let record = matches!(
                name.as_str(),
                "updated_at" | "updated_by" | "version" | "lock"
            );
            !record && name != "kind" && !value.is_null()
        });
        manifest.extend(kept);
    }
    Value::Object(manifest)
}

/// The answer to manifests.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Changes {
    changes: Vec<Change>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Change {
    kind: String,
    name: String,
    change: String,
    differences: Vec<Difference>,
    notes: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Difference {
    field: String,
    before: Value,
    after: Value,
}

/// Makes the catalogue what the manifests say, all or nothing.
///
/// # Errors
/// When a file cannot be read, or the server says no.
pub async fn apply(context: &Context, args: &FilesArgs) -> Result<Exit, Failure> {
    let answer = send(context, args, false).await?;
    show(context, answer)?;
    Ok(Exit::Ok)
}

/// Says what `apply` would change.
///
/// # Errors
/// When a file cannot be read, or the server says no.
pub async fn diff(context: &Context, args: &FilesArgs) -> Result<Exit, Failure> {
    let answer = send(context, args, true).await?;
    let differs = show(context, answer)?;
    Ok(if differs { Exit::NotReached } else { Exit::Ok })
}

/// Prints one entry of the catalogue, ready to be applied again.
///
/// # Errors
/// When it does not exist, or the server says no.
pub async fn get(context: &Context, args: &EntryArgs) -> Result<Exit, Failure> {
    let client = context.client()?;
    let url = client.url(&[args.kind.words().path, &args.name]);
    let value: Value = client.get(url).await?;
    let manifest = manifest(args.kind, value);
    output::value(context.format, &manifest, |manifest| {
        output::yaml(manifest).trim_end().to_owned()
    })?;
    Ok(Exit::Ok)
}

/// Deletes one entry of the catalogue.
///
/// # Errors
/// When something still refers to it, or it does not exist.
pub async fn delete(context: &Context, args: &EntryArgs) -> Result<Exit, Failure> {
    let client = context.client()?;
    let url = client.url(&[args.kind.words().path, &args.name]);
    client.send(client.request(Method::DELETE, url)).await?;
    context.say(&format!("deleted the {} {}", args.kind, args.name));
    Ok(Exit::Ok)
}

async fn send(context: &Context, args: &FilesArgs, dry_run: bool) -> Result<Value, Failure> {
    let text = read(&args.files)?;
    let client = context.client()?;
    let mut url = client.url(&["manifests"]);
    url.query_pairs_mut()
        .append_pair("dry_run", if dry_run { "true" } else { "false" });
    let request = client
        .request(Method::POST, url)
        .header(header::CONTENT_TYPE, "application/yaml")
        .body(text);
    Ok(client.send(request).await?.body)
}

/// Prints what changes; says whether anything does.
fn show(context: &Context, answer: Value) -> Result<bool, Failure> {
    let changes: Changes = serde_json::from_value(answer.clone()).unwrap_or_default();
    let style = Style::stdout();
    output::value(context.format, &answer, |_| {
        let lines: Vec<String> = changes.changes.iter().map(|c| c.text(style)).collect();
        lines.join("\n")
    })?;
    let differs = |change: &Change| change.change != "unchanged";
    if context.format == Format::Table && !changes.changes.iter().any(differs) {
        context.say("no differences");
    }
    Ok(changes.changes.iter().any(differs))
}

impl Change {
    fn text(&self, style: Style) -> String {
        let Self {
            kind, name, change, ..
        } = self;
        let (sign, rest) = match change.as_str() {
            "created" => (style.green("+"), ""),
            "unchanged" => (style.dim("="), ""),
            _ => (style.yellow("~"), ":"),
        };
        let mut lines = vec![format!("{sign} {kind} {name} {}{rest}", style.dim(change))];
        if change != "created" {
            for Difference {
                field,
                before,
                after,
            } in &self.differences
            {
                let (before, after) = (before.to_string(), after.to_string());
                lines.push(format!(
                    "    {field}: {} -> {}",
                    style.red(&before),
                    style.green(&after)
                ));
            }
        }
        let notes = self.notes.iter();
        lines.extend(notes.map(|note| format!("    {} {note}", style.yellow("note:"))));
        lines.join("\n")
    }
}

/// The text of all files, as one stream of YAML documents. JSON is YAML.
fn read(paths: &[PathBuf]) -> Result<String, Failure> {
    let mut documents = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            documents.push(read_limited(io::stdin().lock(), path)?);
        } else {
            for file in files(path)? {
                let opened = fs::File::open(&file).map_err(|error| unreadable(&file, &error))?;
                documents.push(read_limited(opened, &file)?);
            }
        }
    }
    let long = documents.iter().map(|text| text.len() as u64).sum::<u64>() > TEXT_LEN_MAX;
    if long {
        return Err(
            Failure::usage("the manifests are longer than 16 MiB").next("apply them in parts")
        );
    }
    Ok(documents.join("\n---\n"))
}

fn read_limited(reader: impl Read, path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    reader
        .take(TEXT_LEN_MAX + 1)
        .read_to_string(&mut text)
        .map_err(|error| unreadable(path, &error))?;
    Ok(text)
}

/// The file itself, or the manifests of a folder in the order of their names.
fn files(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let metadata = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    if !metadata.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(|error| unreadable(path, &error))? {
        let file = entry.map_err(|error| unreadable(path, &error))?.path();
        let suffix = file.extension().and_then(|suffix| suffix.to_str());
        if file.is_file() && matches!(suffix, Some("yaml" | "yml" | "json")) {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(
            Failure::usage(format!("{} contains no manifests", path.display()))
                .next("manifests end in .yaml, .yml or .json"),
        );
    }
    Ok(files)
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::usage(format!("{} cannot be read", path.display()))
        .because(error)
        .next("pass a manifest file, a folder of manifests, or - for standard input")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_read_in_the_order_of_names() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (name, text) in [
            ("b.yaml", "kind: B"),
            ("a.yml", "kind: A"),
            ("readme.md", "no"),
        ] {
            fs::write(folder.path().join(name), text).expect("written");
        }
        let text = read(&[folder.path().to_owned()]).expect("read");
        assert_eq!(text, "kind: A\n---\nkind: B");
    }

    #[test]
    fn changes_are_told_field_by_field() {
        let change = Change {
            kind: "Service".into(),
            name: "shop".into(),
            change: "updated".into(),
            differences: vec![Difference {
                field: "owner".into(),
                before: "web".into(),
                after: "shop".into(),
            }],
            notes: vec!["The shop is new to it.".into()],
        };
        assert_eq!(
            change.text(Style::PLAIN),
            "~ Service shop updated:\n    owner: \"web\" -> \"shop\"\n    note: The shop is new to it."
        );
    }
}
