//! count [--words] FILE…: lines (or words) of each file.

use std::ffi::OsString;
use std::process::ExitCode;

use lexopt::prelude::*;

fn main() -> ExitCode {
    match count() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("count: {error}");
            ExitCode::FAILURE
        }
    }
}

fn count() -> Result<(), lexopt::Error> {
    let mut words = false;
    let mut files: Vec<OsString> = Vec::new();
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("words") => words = true,
            Long("version") => println!("count {} for {}", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH),
            Value(file) => files.push(file),
            other => return Err(other.unexpected()),
        }
    }
    for file in files {
        let name = file.to_string_lossy();
        let text = std::fs::read_to_string(&file).map_err(|error| format!("{name}: {error}"))?;
        println!("{:8} {name}", if words { count_words(&text) } else { text.lines().count() });
    }
    Ok(())
}

fn count_words(text: &str) -> usize {
    text.split_whitespace().count()
}

#[cfg(test)]
mod tests {
    #[test]
    fn words_are_counted() {
        assert_eq!(super::count_words(" to be\nor  not "), 4);
    }
}
