//! The Procfile: the line that says how an instance is started.

/// The file that says how to start an instance.
pub const PROCFILE: &str = "Procfile";

/// The command of the `web` line of a Procfile. A byte order mark, carriage returns and space around
/// lines and commands do not count.
///
/// # Errors
/// When there is no such line, when there are two, or when it could not be started, in words that
/// follow "the package".
pub fn web_command(text: &str) -> Result<String, &'static str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let commands = text.lines().filter_map(|line| {
        let command = line.trim().strip_prefix("web:")?.trim();
        (!command.is_empty()).then_some(command)
    });
    let commands: Vec<&str> = commands.collect();
    match commands.as_slice() {
        [] => Err("has a Procfile without a line `web: COMMAND`"),
        [command] if command.chars().any(|c| c.is_control() && c != '\t') => {
            Err("has a Procfile with control characters in its `web` line")
        }
        [command] => Ok((*command).to_owned()),
        _ => Err("has a Procfile with two `web` lines; leave one"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_web_line_is_read_alike_everywhere() {
        let ok = |text| assert_eq!(web_command(text), Ok("./server".to_owned()), "{text:?}");
        ok("web: ./server");
        ok("\u{feff}web: ./server\r\nworker: x\r\n");
        ok("# web\nrelease: x\n  web:\t./server  \n");
        let refused = |text: &str, part: &str| {
            let why = web_command(text).unwrap_err();
            assert!(why.contains(part), "{text:?}: {why}");
        };
        refused("", "without a line `web: COMMAND`");
        refused("web:\nwebs: x", "without a line `web: COMMAND`");
        refused("  web: evil\nweb: good", "two `web` lines");
        refused("web: a\0b", "control characters");
    }
}
