//! Data goes to stdout, everything else to stderr. A reader that has gone away ends the program
//! quietly: it has what it wanted.

use std::io::{self, ErrorKind, IsTerminal as _, Write};

use miette::GraphicalTheme;

use crate::cli::failure::Failure;
use crate::lang::mistake::{Mistake, Mistakes, draw};

/// Writes data for whoever reads stdout.
pub(super) fn data(bytes: impl AsRef<[u8]>) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes.as_ref()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Failure::Quiet),
        Err(error) => Err(Failure::environment(format!("cannot write to stdout: {error}"), None)),
    }
}

/// A value as indented JSON with a final newline, on stdout.
pub(super) fn json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let mut text = serde_json::to_string_pretty(value).expect("bug: what is printed is always JSON");
    text.push('\n');
    data(text)
}

/// A line for people. Where nobody reads stderr there is nothing to be done about it.
pub(super) fn note(text: &str) {
    let _ = io::stderr().lock().write_all(format!("{text}\n").as_bytes());
}

/// Each mistake in the user's own text, and how many there are beyond those shown.
pub(super) fn mistakes(mistakes: &Mistakes) {
    for (index, shown) in mistakes.shown.iter().enumerate() {
        if index > 0 {
            note("");
        }
        mistake(shown);
    }
    if mistakes.more > 0 {
        note(&format!("and {} more: {mistakes}", mistakes.more));
    }
}

/// Coloured only on a terminal; nothing needs the colour to be understood.
pub(super) fn mistake(mistake: &Mistake) {
    let coloured = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let theme = if coloured { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let text = draw(mistake, theme, columns());
    note(text.trim_end());
}

/// How wide the terminal is; on paper, and where it is not told, 100. Below 40 nothing could be read.
fn columns() -> usize {
    match rustix::termios::tcgetwinsize(io::stderr()) {
        Ok(size) if size.ws_col > 0 => usize::from(size.ws_col).clamp(40, 120),
        _ => 100,
    }
}
