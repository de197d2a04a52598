//! The `memobuild` program.

use std::process::ExitCode;

use memobuild::exec::sandbox;

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|argument| argument == sandbox::ARGUMENT) {
        return sandbox::sandbox_main();
    }
    ExitCode::SUCCESS
}
