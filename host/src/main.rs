//! The `fnhost` command. Everything lies in the library; see [`fnhost::cli`].

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    fnhost::cli::main()
}
