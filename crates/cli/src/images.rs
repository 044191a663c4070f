//! `images`: the machine images of the accounts, how old they are, and who runs on them.

use clap::Args;
use serde_json::Value;

use super::{
    Context,
    failure::{Exit, Failure},
    output::{self, Format, ago, text_at},
    screen::{Screen, Target},
};

/// Whose, and of which kind.
#[derive(Debug, Args)]
pub struct ImagesArgs {
    /// Only images of this account
    #[arg(long)]
    account: Option<String>,
    /// Only images of this kind, such as `web-base` for the image `web-base-1.4.0`
    #[arg(long, value_name = "TYPE")]
    kind: Option<String>,
}

/// Shows the images.
///
/// # Errors
/// When there is no such account, or the server cannot be reached.
pub async fn run(context: &Context, args: &ImagesArgs) -> Result<Exit, Failure> {
    let client = context.client()?;
    let mut url = client.url(&["images"]);
    if let Some(account) = &args.account {
        url.query_pairs_mut().append_pair("account", account);
    }
    let mut value: Value = client.get(url).await?;
    for account in accounts_mut(&mut value) {
        if let (Some(kind), Some(Value::Array(images))) = (&args.kind, account.get_mut("images")) {
            images.retain(|image| text_at(image, "kind") == *kind);
        }
    }
    output::value(context.format, &value, table)?;
    if context.format == Format::Table {
        let mut screen = Screen::new(Target::Stderr);
        for account in accounts(&value) {
            screen.log(&note(account));
        }
    }
    Ok(Exit::Ok)
}

fn accounts(value: &Value) -> &[Value] {
    let accounts = value.get("accounts").and_then(Value::as_array);
    accounts.map_or(&[], Vec::as_slice)
}

fn accounts_mut(value: &mut Value) -> &mut [Value] {
    let accounts = value.get_mut("accounts").and_then(Value::as_array_mut);
    accounts.map_or(&mut [], Vec::as_mut_slice)
}

fn table(value: &Value) -> String {
    let heading = [
        "ACCOUNT", "IMAGE", "NAME", "KIND", "VERSION", "STATE", "STABLE", "BEHIND", "CREATED",
        "GROUPS",
    ];
    let rows: Vec<_> = accounts(value)
        .iter()
        .flat_map(|account| {
            let images = account.get("images").and_then(Value::as_array);
            let images = images.map_or(&[][..], Vec::as_slice).iter();
            images.map(|image| row(&text_at(account, "account"), image))
        })
        .collect();
    output::table(&heading, &rows)
}

fn row(account: &str, image: &Value) -> Vec<String> {
    let text = |key| text_at(image, key);
    let is = |key: &str| image.get(key).and_then(Value::as_bool).unwrap_or(false);
    let stable = match (is("is_latest_stable"), is("stable")) {
        (true, _) => "latest",
        (false, true) => "yes",
        (false, false) => "-",
    };
    let version = match text("version") {
        none if none.is_empty() => "-".to_owned(),
        version => version,
    };
    vec![
        account.to_owned(),
        text("id"),
        text("name"),
        text("kind"),
        version,
        text("state"),
        stable.to_owned(),
        days(image.get("days_behind")),
        ago(&text("created_at")),
        text("server_groups"),
    ]
}

/// A number of days; `-` when it is not known.
pub fn days(days: Option<&Value>) -> String {
    match days.and_then(Value::as_u64) {
        None => "-".to_owned(),
        Some(1) => "1 day".to_owned(),
        Some(days) => format!("{days} days"),
    }
}

/// How old the list is, and what is wrong with it.
fn note(account: &Value) -> String {
    let name = text_at(account, "account");
    if let Some(trouble) = account.get("trouble").filter(|it| it.is_object()) {
        return format!(
            "{name}: the images are not known: {}",
            text_at(trouble, "sentence")
        );
    }
    let listed = ago(&text_at(account, "listed_at"));
    match account.get("truncated").and_then(Value::as_bool) {
        Some(true) => format!("{name}: listed {listed}; there are more images than are shown"),
        _ => format!("{name}: listed {listed}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_image_is_one_row() {
        let image = json!({
            "id": "ami-00000001", "name": "web-1.2.0", "kind": "web", "version": "1.2.0",
            "state": "available", "stable": true, "is_latest_stable": false, "days_behind": 1,
            "created_at": "not a time", "server_groups": 3,
        });
        let expected = [
            "main",
            "ami-00000001",
            "web-1.2.0",
            "web",
            "1.2.0",
            "available",
            "yes",
            "1 day",
            "not a time",
            "3",
        ];
        assert_eq!(row("main", &image), expected);
    }
}
