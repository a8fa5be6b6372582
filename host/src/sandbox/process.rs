//! What a guest learns of the process around it: nothing. No environment, no arguments, no terminal, no way out.

use wasmtime::component::Resource;

use super::contract::wasi::cli::terminal_input::{self, TerminalInput};
use super::contract::wasi::cli::terminal_output::{self, TerminalOutput};
use super::contract::wasi::cli::{environment, exit, terminal_stderr, terminal_stdin, terminal_stdout};
use super::ended::Ended;

/// The process as a guest sees it.
#[derive(Default)]
pub(super) struct Process;

impl environment::Host for Process {
    fn get_environment(&mut self) -> wasmtime::Result<Vec<(String, String)>> {
        Ok(vec![])
    }

    fn get_arguments(&mut self) -> wasmtime::Result<Vec<String>> {
        Ok(vec![])
    }

    fn initial_cwd(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(None)
    }
}

impl exit::Host for Process {
    fn exit(&mut self, _: Result<(), ()>) -> wasmtime::Result<()> {
        Err(Ended::Exited.into())
    }

    fn exit_with_code(&mut self, _: u8) -> wasmtime::Result<()> {
        Err(Ended::Exited.into())
    }
}

impl terminal_input::Host for Process {}

impl terminal_input::HostTerminalInput for Process {
    fn drop(&mut self, _: Resource<TerminalInput>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl terminal_output::Host for Process {}

impl terminal_output::HostTerminalOutput for Process {
    fn drop(&mut self, _: Resource<TerminalOutput>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl terminal_stdin::Host for Process {
    fn get_terminal_stdin(&mut self) -> wasmtime::Result<Option<Resource<TerminalInput>>> {
        Ok(None)
    }
}

impl terminal_stdout::Host for Process {
    fn get_terminal_stdout(&mut self) -> wasmtime::Result<Option<Resource<TerminalOutput>>> {
        Ok(None)
    }
}

impl terminal_stderr::Host for Process {
    fn get_terminal_stderr(&mut self) -> wasmtime::Result<Option<Resource<TerminalOutput>>> {
        Ok(None)
    }
}
