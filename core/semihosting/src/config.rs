//! What the user said about semihosting.

/// Semihosting as it was asked for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Config {
    /// Programs without privilege may call.
    pub userspace: bool,
    /// The words of the command line that SYS_GET_CMDLINE gives.
    pub arguments: Vec<String>,
    /// The stream that is the console, if not standard input, output and error.
    pub stream: Option<String>,
}

impl Config {
    /// The value of `-semihosting-config`; `None` when it says off. What is not understood is a sentence.
    pub fn parse(text: &str) -> Result<Option<Config>, String> {
        let mut config = Config::default();
        let mut enabled = true;
        for (n, part) in split_commas(text).into_iter().enumerate() {
            let (key, value) = match part.split_once('=') {
                Some((k, v)) => (k, v),
                None if n == 0 && matches!(part.as_str(), "on" | "off") => ("enable", part.as_str()),
                None => (part.as_str(), "on"),
            };
            let switch = || match value {
                "on" | "yes" | "true" => Ok(true),
                "off" | "no" | "false" => Ok(false),
                _ => Err(format!("-semihosting-config {key}={value}: the value must be 'on' or 'off'")),
            };
            match key {
                "enable" => enabled = switch()?,
                "userspace" => config.userspace = switch()?,
                "arg" => config.arguments.push(value.to_owned()),
                "chardev" => config.stream = Some(value.to_owned()),
                "target" if matches!(value, "native" | "auto") => {}
                "target" if value == "gdb" => {
                    return Err("-semihosting-config target=gdb: calls are not handed to a debugger; leave it out or write target=native".to_owned());
                }
                "target" => return Err(format!("-semihosting-config target={value}: there are native and auto")),
                _ => {
                    return Err(format!("-semihosting-config: there is no '{key}'; there are enable, target, userspace, chardev and arg"));
                }
            }
        }
        Ok(enabled.then_some(config))
    }

    /// The command line: its words with a space between.
    pub fn command_line(&self) -> String {
        self.arguments.join(" ")
    }
}

/// The parts between commas; two commas are one that belongs to the part.
fn split_commas(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let last = parts.len() - 1;
        match c {
            ',' if chars.next_if_eq(&',').is_some() => parts[last].push(','),
            ',' => parts.push(String::new()),
            c => parts[last].push(c),
        }
    }
    parts
}
