//! The `memobuild` program: the command line, or the inside of a sandbox.

use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|word| word == memobuild::exec::sandbox::ARGUMENT) {
        return memobuild::exec::sandbox::sandbox_main();
    }
    memobuild::cli::main()
}
