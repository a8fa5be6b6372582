//! The `fnhost` command. Everything lies in the library; see [`fnhost::cli`].

fn main() -> std::process::ExitCode {
    fnhost::cli::main()
}
