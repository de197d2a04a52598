//! `memobuild fmt`: build files in the house style. Our own printer over our own tokens, since it keeps what
//! a tree of data has lost: comments, blank lines, and how numbers and texts are spelled.

pub mod layout;
pub mod print;
pub mod multiline;
pub mod quotes;

use crate::lang::mistake::{Findings, Mistakes, SharedSource};
use crate::lang::table::{KINDS, MEMOBUILD, VERSION};
use crate::lang::token::{Kind, Token, Tokens};
use crate::lang::{parse, slip, token};

/// The same data in the house style, or what is wrong with it as KDL. What the lines mean is not looked at.
pub fn format(source: &SharedSource) -> Result<String, Mistakes> {
    let text = source.inner();
    let mut findings = Findings::default();
    slip::look(text, &mut findings);
    if findings.is_empty() {
        look_into_texts(source, &mut findings);
    }
    if findings.is_empty() { Ok(print(text)) } else { Err(findings.finish(source)) }
}

/// What `slip` leaves to the kdl crate is inside of texts. That crate takes seconds for the largest files, so
/// that it is asked about odd texts only.
fn look_into_texts(source: &SharedSource, findings: &mut Findings) {
    let text = source.inner();
    let texts = Tokens::new(text).filter(|token| matches!(token.kind, Kind::Text { .. }));
    for Token { span, .. } in texts.filter(|token| is_odd(&text[token.span.clone()])) {
        let mut inside = Findings::default();
        parse::parse(&text[span.clone()], &mut inside);
        for mut mistake in inside.finish(source).shown {
            for label in &mut mistake.labels {
                label.span = label.span.start + span.start..label.span.end + span.start;
            }
            findings.add(mistake);
        }
    }
}

fn is_odd(text: &str) -> bool {
    let is_plain = match multiline::is_text(text) {
        true => multiline::is_plain(text),
        false => !text.contains(token::is_newline),
    };
    !is_plain || text.contains(token::is_forbidden)
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
