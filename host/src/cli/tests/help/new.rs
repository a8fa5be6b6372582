//! The help of what only writes files, or the like.

use super::help;

#[test]
fn help_of_new() {
    insta::assert_snapshot!(help(&["new", "app"]), @r"
    Make a folder with an app: a route, a function with its tests, and all that it takes to build it

    Inside fnhost's own repository functions are written with the SDK that is there. Elsewhere the SDK
    of this fnhost is put into the app's folder, so that the two always fit.

    Usage: fnhost new app [OPTIONS] <NAME>

    Arguments:
      <NAME>
              The app's name, and its folder's; with a path before it, in that folder

    Options:
      -h, --help
              Print help (see a summary with '-h')

    Logging:
          --log-format <FORMAT>
              How log lines are written

              Possible values:
              - text: For people
              - json: A JSON object a line

              [env: FNHOST_LOG_FORMAT=]
              [default: text]

      -v, --verbose...
              Log more: -v for what happens to batches, -vv for every event
    ");
    insta::assert_snapshot!(help(&["new", "function"]), @r"
    Add a function to the app in this folder or above it

    Makes its crate in a folder of its name beside app.toml, and adds `[functions.NAME]`, the topics
    that are not there yet, and the crate's place in the Cargo workspace.

    Usage: fnhost new function [OPTIONS] <NAME>

    Arguments:
      <NAME>
              The function's name, and its crate's and folder's

    Options:
          --input <TOPIC>
              A topic that it reads; may be given again. One of the function's name when left out

          --output <TOPIC>
              A topic that it publishes to; may be given again. None when left out

          --lang <LANG>
              What it is written in: rust

              [default: rust]

      -h, --help
              Print help (see a summary with '-h')

    Logging:
          --log-format <FORMAT>
              How log lines are written

              Possible values:
              - text: For people
              - json: A JSON object a line

              [env: FNHOST_LOG_FORMAT=]
              [default: text]

      -v, --verbose...
              Log more: -v for what happens to batches, -vv for every event
    ");
}

#[test]
fn help_of_completions() {
    insta::assert_snapshot!(help(&["completions"]), @r"
    Print what a shell needs to complete fnhost's command lines

    Where shells look for it:

      fnhost completions bash > ~/.local/share/bash-completion/completions/fnhost
      fnhost completions fish > ~/.config/fish/completions/fnhost.fish
      fnhost completions zsh > _fnhost    in a folder of $fpath

    Usage: fnhost completions [OPTIONS] <SHELL>

    Arguments:
      <SHELL>
              Which shell

              [possible values: bash, elvish, fish, powershell, zsh]

    Options:
      -h, --help
              Print help (see a summary with '-h')

    Logging:
          --log-format <FORMAT>
              How log lines are written

              Possible values:
              - text: For people
              - json: A JSON object a line

              [env: FNHOST_LOG_FORMAT=]
              [default: text]

      -v, --verbose...
              Log more: -v for what happens to batches, -vv for every event
    ");
}
