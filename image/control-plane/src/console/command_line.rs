//! Parsing of command lines, with abbreviations, `help` and tab completion.

use alloc::collections::BinaryHeap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// A command. `R` is the type of the function that runs it.
#[derive(Clone, Copy, Debug)]
pub struct Command<R> {
    /// Its words, such as `show memory`.
    pub words: &'static str,
    /// Its description in `help`.
    pub help: &'static str,
    /// `true` if arguments may follow.
    pub arguments: bool,
    /// The function that runs it.
    pub run: R,
}

/// A parsed line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed<'a, R> {
    /// An empty line.
    Nothing,
    /// A request for the list of commands.
    Help,
    /// A command.
    Run {
        /// The function that runs it.
        run: R,
        /// The arguments.
        arguments: &'a str,
    },
}

/// The reason why a line is invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParseError {
    /// It is the beginning of several commands, which continue with one of these words.
    Incomplete(String),
    /// Its last word is an abbreviation of several words, these.
    Ambiguous(String),
    /// No command has this word.
    Unknown(String),
    /// The command doesn't take these arguments.
    Excess {
        /// The command.
        words: &'static str,
        /// What follows.
        rest: String,
    },
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Incomplete(choices) => write!(f, "incomplete command, one of: {choices}"),
            Self::Ambiguous(choices) => write!(f, "ambiguous command, one of: {choices}"),
            Self::Unknown(word) => write!(f, "unknown command \"{word}\" (\"help\" lists them)"),
            Self::Excess { words, rest } => write!(f, "\"{words}\" takes no \"{rest}\""),
        }
    }
}

impl core::error::Error for ParseError {}

/// Parses a line. Words may be abbreviated as long as they are unique.
///
/// # Errors
/// [`ParseError`].
pub fn parse<'a, R: Copy>(
    commands: &[Command<R>],
    line: &'a str,
) -> Result<Parsed<'a, R>, ParseError> {
    let mut rest = line.trim();
    if rest.is_empty() {
        return Ok(Parsed::Nothing);
    }
    let mut left: Vec<&Command<R>> = commands.iter().collect();
    let first = rest.split_ascii_whitespace().next().unwrap_or("");
    if first == "?" || ("help".starts_with(first) && !any_begins(&left, first)) {
        return Ok(Parsed::Help);
    }
    let mut depth = 0;
    loop {
        if let [only] = left.as_slice()
            && only.words.split(' ').count() == depth
        {
            if !only.arguments && !rest.is_empty() {
                return Err(ParseError::Excess {
                    words: only.words,
                    rest: rest.into(),
                });
            }
            return Ok(Parsed::Run {
                run: only.run,
                arguments: rest,
            });
        }
        let word = rest.split_ascii_whitespace().next().unwrap_or("");
        let next = matching(&left, depth, word);
        if word.is_empty() || distinct(&next, depth).len() > 1 {
            let choices = distinct(&next, depth).join(", ");
            return Err(match word {
                "" => ParseError::Incomplete(choices),
                _ => ParseError::Ambiguous(choices),
            });
        }
        if next.is_empty() {
            return Err(ParseError::Unknown(word.into()));
        }
        left = next;
        depth += 1;
        rest = rest.get(word.len()..).unwrap_or("").trim_start();
    }
}

/// Returns what the last word of `line` can become, for tab completion; after a space, which words
/// can follow.
pub fn completions<R>(commands: &[Command<R>], line: &str) -> Vec<String> {
    let mut left: Vec<&Command<R>> = commands.iter().collect();
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

/// Writes the list of commands.
///
/// # Errors
/// Those of `out`.
pub(super) fn help<R>(commands: &[Command<R>], out: &mut dyn fmt::Write) -> fmt::Result {
    let widest = commands.iter().map(|c| c.words.len()).max();
    let width = widest.unwrap_or(0).max(4);
    writeln!(out, "{:<width$}  this list", "help")?;
    for command in commands {
        writeln!(out, "{:<width$}  {}", command.words, command.help)?;
    }
    Ok(())
}

fn word_of<R>(command: &Command<R>, depth: usize) -> Option<&'static str> {
    command.words.split(' ').nth(depth)
}

fn any_begins<R>(commands: &[&Command<R>], word: &str) -> bool {
    commands
        .iter()
        .any(|c| word_of(c, 0).is_some_and(|w| w.starts_with(word)))
}

/// Returns the commands whose word at `depth` is `word`, or else begins with it.
fn matching<'c, R>(commands: &[&'c Command<R>], depth: usize, word: &str) -> Vec<&'c Command<R>> {
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

/// Returns the different words at `depth`.
fn distinct<R>(commands: &[&Command<R>], depth: usize) -> Vec<&'static str> {
    let words: BinaryHeap<&str> = commands.iter().filter_map(|c| word_of(c, depth)).collect();
    let mut words = words.into_sorted_vec();
    words.dedup();
    words
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    const fn command(words: &'static str, arguments: bool) -> Command<&'static str> {
        Command {
            words,
            help: "does so",
            arguments,
            run: words,
        }
    }

    const COMMANDS: [Command<&str>; 6] = [
        command("show interfaces", false),
        command("show routes", true),
        command("show vifs", false),
        command("show vrfs", false),
        command("show version", false),
        command("reboot", false),
    ];

    fn run(line: &str) -> Result<Parsed<'_, &'static str>, String> {
        parse(&COMMANDS, line).map_err(|error| error.to_string())
    }

    #[test]
    fn words_may_be_short() {
        for (line, run_, arguments) in [
            ("show interfaces", "show interfaces", ""),
            ("sh int", "show interfaces", ""),
            ("  s   i  ", "show interfaces", ""),
            ("sh ve", "show version", ""),
            ("sh r a b", "show routes", "a b"),
            ("sh r  vrf  blue ", "show routes", "vrf  blue"),
            ("r", "reboot", ""),
        ] {
            let run_ = Parsed::Run {
                run: run_,
                arguments,
            };
            assert_eq!(run(line), Ok(run_), "{line}");
        }
        for line in ["help", "h", "he", "?", " ? x", "help show"] {
            assert_eq!(run(line), Ok(Parsed::Help), "{line}");
        }
        for line in ["", "  ", "\n"] {
            assert_eq!(run(line), Ok(Parsed::Nothing));
        }
    }

    #[test]
    fn what_isnt_understood_is_answered() {
        for (line, wanted) in [
            (
                "sho",
                "incomplete command, one of: interfaces, routes, version, vifs, vrfs",
            ),
            ("sh v", "ambiguous command, one of: version, vifs, vrfs"),
            ("foo", "unknown command \"foo\" (\"help\" lists them)"),
            ("show foo", "unknown command \"foo\" (\"help\" lists them)"),
            ("show version 3", "\"show version\" takes no \"3\""),
            ("show interfaces é", "\"show interfaces\" takes no \"é\""),
        ] {
            assert_eq!(run(line), Err(wanted.to_string()), "{line}");
        }
    }

    #[test]
    fn completion() {
        let completions = |line| completions(&COMMANDS, line);
        assert_eq!(completions("sh"), ["show"]);
        assert_eq!(completions("show in"), ["interfaces"]);
        assert_eq!(completions("sh v"), ["version", "vifs", "vrfs"]);
        assert_eq!(completions("sh ").len(), 5);
        assert_eq!(completions(""), ["reboot", "show", "help"]);
        assert!(completions("foo b").is_empty());
    }

    #[test]
    fn help_lists_all() {
        let mut out = String::new();
        help(&COMMANDS[..2], &mut out).unwrap();
        assert_eq!(
            out,
            "help             this list\n\
             show interfaces  does so\n\
             show routes      does so\n"
        );
    }
}
