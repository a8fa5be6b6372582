//! `fnhost man`: the manual, made from the command line itself.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, CommandFactory as _};
use clap_mangen::Man;

use super::{Cli, Failure};

/// Write fnhost's man pages, one a verb
///
///   fnhost man ~/.local/share/man/man1    for `man fnhost` and `man fnhost-run`
///   fnhost man | man -l -                 the first page, to read it now
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct ManArgs {
    /// The folder for the pages, which is made when it is missing; the first page goes to stdout when left out
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// Writes the pages, or prints the first one.
pub(super) fn man(args: &ManArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let command = Cli::command();
    let Some(folder) = &args.folder else {
        let mut page = Vec::new();
        Man::new(command.disable_help_subcommand(true)).render(&mut page)?;
        return Ok(out.write_all(&page)?);
    };
    let written = std::fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(command, folder));
    written.with_context(|| format!("no pages can be written to {}", folder.display())).map_err(Failure::fault)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use clap::Command;

    use super::*;

    /// A page as `man` shows its words.
    fn page(folder: &Path, name: &str) -> String {
        let page = std::fs::read_to_string(folder.join(format!("{name}.1"))).unwrap();
        ["\\fB", "\\fI", "\\fR", "\\"].iter().fold(page, |page, mark| page.replace(mark, ""))
    }

    fn each_option_is_named(command: &Command, name: &str, folder: &Path, names: &mut BTreeSet<String>) {
        names.insert(format!("{name}.1"));
        let page = page(folder, name);
        for argument in command.get_arguments() {
            let shown = match argument.get_long() {
                Some(long) => format!("--{long}"),
                None => argument.get_value_names().unwrap_or_default().join(" "),
            };
            assert!(page.contains(&shown), "{shown} is not in {name}:\n{page}");
            let variable = argument.get_env().map(|variable| variable.to_string_lossy().into_owned());
            assert!(variable.is_none_or(|variable| page.contains(&variable)), "{shown} of {name}:\n{page}");
        }
        for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
            each_option_is_named(below, &format!("{name}-{}", below.get_name()), folder, names);
        }
    }

    #[test]
    fn there_is_a_page_for_each_verb_and_it_names_each_option() {
        let folder = tempfile::tempdir().unwrap();
        let pages = folder.path().join("share/man1");
        man(&ManArgs { folder: Some(pages.clone()) }, &mut Vec::new()).unwrap();
        let mut command = Cli::command().disable_help_subcommand(true);
        command.build();
        let mut names = BTreeSet::new();
        each_option_is_named(&command, "fnhost", &pages, &mut names);
        assert!(names.contains("fnhost-topics-apply.1"), "{names:?}");
        let written = std::fs::read_dir(&pages).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert_eq!(written.collect::<BTreeSet<_>>(), names);
        let mut first = Vec::new();
        man(&ManArgs { folder: None }, &mut first).unwrap();
        assert_eq!(String::from_utf8(first).unwrap(), std::fs::read_to_string(pages.join("fnhost.1")).unwrap());
    }

    #[test]
    fn folder_that_cannot_be_written_to_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let failure = man(&ManArgs { folder: Some(file.path().join("man1")) }, &mut Vec::new()).unwrap_err();
        let mut said = Vec::new();
        failure.print(&mut said);
        assert!(String::from_utf8(said).unwrap().contains("no pages can be written to"));
    }
}
