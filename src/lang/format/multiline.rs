//! What goes over several lines: texts between `"""` and block comments. A text moves with its block and
//! keeps its data, since KDL takes what stands before the closing quotes off every line.

use crate::lang::token::{is_newline, is_space};

pub fn is_text(spelling: &str) -> bool {
    spelling.trim_start_matches('#').starts_with("\"\"\"")
}

pub fn trim_end(line: &str) -> &str {
    line.trim_end_matches(is_space)
}

/// The text with each line after `prefix`. One whose indentation is not plain to see stays as it is.
pub fn text(spelling: &str, prefix: &str, out: &mut String) {
    let lines: Vec<&str> = lines(spelling).collect();
    let moved = moved(&lines, spelling.starts_with('#'));
    for (index, line) in lines.iter().enumerate() {
        if index > 0 {
            out.push('\n');
        }
        match &moved {
            Some(moved) if index > 0 && !moved[index - 1].is_empty() => {
                out.push_str(prefix);
                out.push_str(moved[index - 1]);
            }
            Some(_) if index > 0 => {}
            _ => out.push_str(line),
        }
    }
}

/// Each line after the first without the prefix that KDL takes off.
fn moved<'a>(lines: &[&'a str], raw: bool) -> Option<Vec<&'a str>> {
    let (closing, body) = lines.get(1..)?.split_last()?;
    let quotes = closing.trim_start_matches(is_space);
    if !quotes.starts_with("\"\"\"") {
        return None;
    }
    let prefix = &closing[..closing.len() - quotes.len()];
    let mut moved = Vec::with_capacity(lines.len());
    let mut escaped = false;
    for line in body {
        let is_blank = trim_end(line).is_empty();
        moved.push(match line.strip_prefix(prefix) {
            _ if is_blank => "",
            Some(rest) => rest,
            // White space after an escaped line end is no data.
            None if escaped => line.trim_start_matches(is_space),
            None => return None,
        });
        escaped = if is_blank { escaped } else { !raw && escapes_line_end(line) };
    }
    moved.push(quotes);
    (!escaped).then_some(moved)
}

/// `\`, itself not escaped, and perhaps white space.
fn escapes_line_end(line: &str) -> bool {
    trim_end(line).bytes().rev().take_while(|&byte| byte == b'\\').count() % 2 == 1
}

/// A comment whose lines all begin with `*` is aligned; others are drawings and stay.
pub fn comment(spelling: &str, indent: &str, out: &mut String) {
    let is_aligned = lines(spelling).skip(1).all(|line| line.trim_start_matches(is_space).starts_with('*'));
    for (index, line) in lines(spelling).enumerate() {
        if index > 0 {
            out.push('\n');
        }
        let line = trim_end(line);
        if index > 0 && is_aligned {
            out.push_str(indent);
            out.push(' ');
            out.push_str(line.trim_start_matches(is_space));
        } else {
            out.push_str(line);
        }
    }
}

/// Ends of lines are those of KDL; `\r\n` is one.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = text.find(is_newline) else { return rest.take() };
        let after = &text[end..];
        let length =
            if after.starts_with("\r\n") { 2 } else { after.chars().next().map_or(0, char::len_utf8) };
        rest = Some(&after[length..]);
        Some(&text[..end])
    })
}
