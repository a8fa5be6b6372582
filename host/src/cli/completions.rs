//! `fnhost completions`: what a shell needs to complete fnhost's command lines.

use std::io::Write;

use clap::{Args, CommandFactory as _};
use clap_complete::{Shell, generate};

use super::{Cli, Failure};

/// Print what a shell needs to complete fnhost's command lines
///
/// Where shells look for it:
///
///   fnhost completions bash > ~/.local/share/bash-completion/completions/fnhost
///   fnhost completions fish > ~/.config/fish/completions/fnhost.fish
///   fnhost completions zsh > _fnhost    in a folder of $fpath
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct CompletionsArgs {
    /// Which shell
    shell: Shell,
}

/// Prints the script.
pub(super) fn completions(args: &CompletionsArgs, out: &mut dyn Write) -> Result<(), Failure> {
    // By way of memory: what cannot be written would be a panic in there.
    let mut script = Vec::new();
    generate(args.shell, &mut Cli::command(), "fnhost", &mut script);
    Ok(out.write_all(&script)?)
}
