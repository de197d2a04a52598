//! `memobuild fmt`: build files in the house style. Our own printer over our own tokens, since it keeps what
//! a tree of data has lost: comments, blank lines, and how numbers and texts are spelled.

pub mod layout;
pub mod print;
pub mod multiline;
pub mod quotes;

use crate::lang::mistake::{Findings, Mistakes, SharedSource};
use crate::lang::parse;
use crate::lang::table::{KINDS, MEMOBUILD, VERSION};
use crate::lang::token::{Kind, Tokens};

/// The same data in the house style, or what is wrong with it as KDL. What the lines mean is not looked at.
pub fn format(source: &SharedSource) -> Result<String, Mistakes> {
    let mut findings = Findings::default();
    match parse::parse(source.inner(), &mut findings) {
        Some(_) => Ok(print(source.inner())),
        None => Err(findings.finish(source)),
    }
}

/// Whether a text begins with the version line of this language.
pub fn is_build_file(text: &str) -> bool {
    let is_shown = |kind| !matches!(kind, Kind::Space | Kind::Newline | Kind::Comment { .. });
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut tokens = Tokens::new(text).filter(|token| is_shown(token.kind)).map(|token| &text[token.span]);
    tokens.next() == Some(MEMOBUILD.word) && tokens.next() == Some(&VERSION.to_string())
}

/// Takes time in proportion to the text.
fn print(text: &str) -> String {
    let mut file = layout::read(text);
    quotes::enforce(&mut file, KINDS);
    print::print(&file, text.len())
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod laws;
