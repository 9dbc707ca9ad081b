//! Commands for the console.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::{Router, show};

/// What runs a command: it gets the words behind the command's own.
type Run<'a> = &'a dyn Fn(&Router, &str, &mut dyn fmt::Write) -> fmt::Result;

/// A command.
#[derive(Clone, Copy)]
pub struct Command<'a> {
    /// The words that call it, such as `show memory`.
    pub words: &'a str,
    /// What `help` says about it.
    pub help: &'a str,
    /// Whether words may follow.
    pub arguments: bool,
    /// Runs it, with the words that follow.
    pub run: Run<'a>,
}

fn own() -> [Command<'static>; 6] {
    let command = |words, help, run: Run<'static>| Command {
        words,
        help,
        arguments: false,
        run,
    };
    [
        command(
            "show interfaces",
            "interfaces, links and addresses",
            &|r, _, out| show::show_interfaces(r, out),
        ),
        Command {
            words: "show routes",
            help: "connected networks and routes, of the default table or \"vrf NAME\"",
            arguments: true,
            run: &|r, which, out| show::show_routes(r, which, out),
        },
        command(
            "show vrfs",
            "routing tables and their interfaces",
            &|r, _, out| show::show_vrfs(r, out),
        ),
        command(
            "show neighbors",
            "neighbors and their MAC addresses",
            &|r, _, out| show::show_neighbors(r, out),
        ),
        command(
            "show counters",
            "every counter, for scripts",
            &|r, _, out| show::show_counters(r, out),
        ),
        command("show version", "what this is", &|r, _, out| {
            show::show_version(r, out)
        }),
    ]
}

/// Runs one command line: the router's own commands, `help`, and those of `extras`. Words
/// may be shortened as long as they stay unique. An empty line does nothing.
///
/// # Errors
///
/// Those of `out`; a line that isn't understood is answered there.
pub fn execute(
    router: &Router,
    extras: &[Command<'_>],
    line: &str,
    out: &mut dyn fmt::Write,
) -> fmt::Result {
    let own = own();
    let commands: Vec<&Command<'_>> = own.iter().chain(extras).collect();
    let mut rest = line.trim();
    if rest.is_empty() {
        return Ok(());
    }
    let first = rest.split_ascii_whitespace().next().unwrap_or("");
    if first == "?" || ("help".starts_with(first) && !any_begins(&commands, first)) {
        return help(&commands, out);
    }
    let mut left = commands;
    let mut depth = 0;
    loop {
        if let [only] = left.as_slice()
            && only.words.split(' ').count() == depth
        {
            if !only.arguments && !rest.is_empty() {
                return writeln!(out, "\"{}\" takes no \"{rest}\"", only.words);
            }
            return (only.run)(router, rest, out);
        }
        let word = rest.split_ascii_whitespace().next().unwrap_or("");
        let next = matching(&left, depth, word);
        if word.is_empty() || distinct(&next, depth).len() > 1 {
            let choices = distinct(&next, depth).join(", ");
            let what = if word.is_empty() {
                "incomplete"
            } else {
                "ambiguous"
            };
            return writeln!(out, "{what} command, one of: {choices}");
        }
        if next.is_empty() {
            return writeln!(out, "unknown command \"{word}\" (\"help\" lists them)");
        }
        left = next;
        depth += 1;
        rest = rest.get(word.len()..).unwrap_or("").trim_start();
    }
}

/// What the last word of `line` can become, for tab completion; after a space, which words
/// can follow.
pub fn completions(extras: &[Command<'_>], line: &str) -> Vec<String> {
    let own = own();
    let mut left: Vec<&Command<'_>> = own.iter().chain(extras).collect();
    let mut words: Vec<&str> = line.split_ascii_whitespace().collect();
    let last = if line.ends_with(|c: char| c.is_ascii_whitespace()) || words.is_empty() {
        ""
    } else {
        words.pop().unwrap_or("")
    };
    for (depth, word) in words.iter().enumerate() {
        left = matching(&left, depth, word);
        if distinct(&left, depth).len() != 1 {
            return Vec::new();
        }
    }
    let depth = words.len();
    let mut found: Vec<String> = distinct(&left, depth)
        .into_iter()
        .filter(|word| word.starts_with(last))
        .map(String::from)
        .collect();
    if depth == 0 && "help".starts_with(last) {
        found.push(String::from("help"));
    }
    found
}

fn word_of<'a>(command: &Command<'a>, depth: usize) -> Option<&'a str> {
    command.words.split(' ').nth(depth)
}

fn any_begins(commands: &[&Command<'_>], word: &str) -> bool {
    commands
        .iter()
        .any(|c| word_of(c, 0).is_some_and(|w| w.starts_with(word)))
}

/// The commands whose word at `depth` is `word`, or else begins with it.
fn matching<'c, 'a>(
    commands: &[&'c Command<'a>],
    depth: usize,
    word: &str,
) -> Vec<&'c Command<'a>> {
    let all = |exact: bool| {
        let fits = move |w: &str| {
            if exact {
                w == word
            } else {
                w.starts_with(word)
            }
        };
        commands
            .iter()
            .copied()
            .filter(move |c| word_of(c, depth).is_some_and(fits))
            .collect::<Vec<_>>()
    };
    let exact = all(true);
    if exact.is_empty() { all(false) } else { exact }
}

/// The different words at `depth`.
fn distinct<'a>(commands: &[&Command<'a>], depth: usize) -> Vec<&'a str> {
    let mut words: Vec<&str> = commands.iter().filter_map(|c| word_of(c, depth)).collect();
    words.sort_unstable();
    words.dedup();
    words
}

fn help(commands: &[&Command<'_>], out: &mut dyn fmt::Write) -> fmt::Result {
    let width = commands
        .iter()
        .map(|c| c.words.len())
        .max()
        .unwrap_or(0)
        .max(4);
    writeln!(out, "{:<width$}  this list", "help")?;
    for command in commands {
        writeln!(out, "{:<width$}  {}", command.words, command.help)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Instant, config};

    fn run(line: &str) -> String {
        let config = config::from_extra("ip=0:10.0.0.1/24 hostname=tenant-a").unwrap();
        let router = Router::new(&config, 1, Instant(0));
        let extra = Command {
            words: "show memory",
            help: "pages",
            arguments: true,
            run: &|_, rest, out| writeln!(out, "memory [{rest}]"),
        };
        let reboot = Command {
            words: "reboot",
            help: "now",
            arguments: false,
            run: &|_, _, o| o.write_str("!"),
        };
        let mut out = String::new();
        execute(&router, &[extra, reboot], line, &mut out).unwrap();
        out
    }

    #[test]
    fn words_may_be_short() {
        for line in ["show interfaces", "sh int", "  s   i  "] {
            assert!(run(line).contains("vif0"), "{line}");
        }
        assert!(run("sh ver").starts_with("tenant-a: ringway "));
        assert_eq!(run("sh m a b"), "memory [a b]\n");
        assert_eq!(run("r"), "!");
        assert!(run("sh r").contains("10.0.0.0/24  connected, vif0 (down)"));
        for (line, wanted) in [
            ("sh r vrf default", "10.0.0.0/24  connected"),
            ("sh r vrf blue", "no vrf \"blue\", there are: default"),
            ("sh r blue", "takes \"vrf NAME\" or nothing"),
            ("sh vrfs", "default  0              vif0"),
        ] {
            assert!(run(line).contains(wanted), "{line}: {}", run(line));
        }
        assert!(run("sh n").starts_with("ADDRESS"));
        assert!(run("sh c").contains("interface.vif0.drop.bad_checksum 0\n"));
        assert!(run("help").contains("show memory"));
        assert!(run("?").contains("this list"));
        assert_eq!(run(""), "");
    }

    #[test]
    fn what_isnt_understood_is_answered() {
        for (line, wanted) in [
            (
                "sho",
                "incomplete command, one of: counters, interfaces, memory",
            ),
            ("foo", "unknown command \"foo\""),
            ("show foo", "unknown command \"foo\""),
            ("show version 3", "takes no \"3\""),
            ("show interfaces é", "takes no \"é\""),
        ] {
            assert!(run(line).contains(wanted), "{line}: {}", run(line));
        }
    }

    #[test]
    fn completion() {
        assert_eq!(completions(&[], "sh"), ["show"]);
        assert_eq!(completions(&[], "show in"), ["interfaces"]);
        assert_eq!(completions(&[], "sh ").len(), 6);
        assert_eq!(completions(&[], "").len(), 2);
        assert!(completions(&[], "foo b").is_empty());
    }
}
