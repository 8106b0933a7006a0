//! `cargo xtask --help`: the commands as a table of contents, grouped by purpose.

use std::fmt::Write as _;

use clap::{Command, CommandFactory as _};

use crate::Arguments;

/// Purposes, and the commands for each.
const GROUPS: &[(&str, &[&str])] = &[
    ("Try it", &["up"]),
    ("Test a change", &["test", "sim", "chaos", "overload"]),
    ("Measure", &["bench", "bench-stream"]),
    ("Build what is shipped", &["dist", "render", "book"]),
];

const EXAMPLES: &str = "\
Examples:
  cargo xtask up                          a gateway on this machine, and requests to try
  cargo xtask test --only native          one step of the tests; --list shows all of them
  cargo xtask sim --seed 307 --trace      one run of the simulation, with all that happened";

/// Returns the command line with its grouped help.
pub(crate) fn command() -> Command {
    let command = Arguments::command();
    // Everything except placeholders is printed as it is.
    let template = format!(
        "{{about}}

{{usage-heading}} {{usage}}

{}{EXAMPLES}

Options:
{{options}}
",
        contents(&command)
    );
    command.help_template(template)
}

fn contents(command: &Command) -> String {
    let mut contents = String::new();
    for (purpose, names) in GROUPS {
        let _ = writeln!(contents, "{purpose}:");
        for name in *names {
            let about = command
                .find_subcommand(name)
                .and_then(Command::get_about)
                .map(ToString::to_string)
                .unwrap_or_default();
            let _ = writeln!(contents, "  {name:<14}{about}");
        }
        contents.push('\n');
    }
    contents
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_stands_in_one_group() {
        let mut grouped: Vec<&str> = GROUPS
            .iter()
            .flat_map(|(_, names)| *names)
            .copied()
            .collect();
        grouped.sort_unstable();
        let command = Arguments::command();
        let mut known: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
        known.sort_unstable();
        assert_eq!(grouped, known);
    }

    #[test]
    fn a_line_of_the_contents_fits_the_screen() {
        let contents = contents(&Arguments::command());
        assert_eq!(
            contents.lines().find(|line| line.chars().count() > 100),
            None
        );
    }
}
