//! `kubescry completions` and `kubescry man`: what shells and man(1) know of the program, made of its options.

use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::{Args, Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;

use super::Cli;
use super::diagnostic::{Diagnostic, Printer};
use super::exit::Exit;
use super::query::printed;

/// Options of `kubescry completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: Shell,
}

/// Options of `kubescry man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// The command that the page is on, as in `man alert check` [default: the program as a whole]
    #[arg(value_name = "COMMAND")]
    pub command: Vec<String>,
    /// Write the pages of all commands to this folder
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    pub to: Option<PathBuf>,
}

/// Prints the script that completes commands and options in a shell.
pub(super) fn completions(args: &CompletionsArgs, printer: Printer) -> Exit {
    let mut script = Vec::new();
    let mut cli = Cli::command();
    let name = cli.get_name().to_owned();
    clap_complete::generate(args.shell, &mut cli, name, &mut script);
    printed(io::stdout().write_all(&script), printer)
}

/// Prints a page of the manual, or writes all of them.
pub(super) fn man(args: &ManArgs, printer: Printer) -> Exit {
    let mut cli = Cli::command();
    if let Some(folder) = &args.to {
        return match clap_mangen::generate_to(cli, folder) {
            Ok(()) => Exit::Done,
            Err(error) => {
                printer.error(format_args!(
                    "cannot write to `{}`: {error}",
                    folder.display()
                ));
                Exit::Usage
            }
        };
    }
    cli.build();
    let mut page = &cli;
    for name in &args.command {
        let Some(command) = page.find_subcommand(name) else {
            let names: Vec<&str> = page.get_subcommands().map(Command::get_name).collect();
            let error = format_args!("there is no command `{}`", args.command.join(" "));
            let hint = match &names[..] {
                [] => format!("`{}` has no commands of its own", page.get_name()),
                names => format!("there are {}", names.join(", ")),
            };
            printer.print(&Diagnostic::error(error).hint(hint));
            return Exit::Usage;
        };
        page = command;
    }
    let page = page.clone().version(env!("CARGO_PKG_VERSION"));
    let mut text = Vec::new();
    let rendered = Man::new(page).render(&mut text);
    printed(
        rendered.and_then(|()| io::stdout().write_all(&text)),
        printer,
    )
}
