//! Values as KDL 2. A text is written bare only where it is a reference or a word of ours.

/// What KDL would read as something else.
const KEYWORDS: [&str; 6] = ["true", "false", "null", "inf", "-inf", "nan"];

/// Bare where KDL allows it, else quoted.
pub(crate) fn word(text: &str) -> String {
    if is_identifier(text) { text.to_owned() } else { quoted(text) }
}

/// In one line.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => quoted += "\\\"",
            '\\' => quoted += "\\\\",
            '\n' => quoted += "\\n",
            '\r' => quoted += "\\r",
            '\t' => quoted += "\\t",
            _ if must_be_escaped(letter) => quoted += &format!("\\u{{{:x}}}", u32::from(letter)),
            _ => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

/// Over several lines if it has several, each after `indent`.
pub(crate) fn block(text: &str, indent: &str) -> String {
    let Some(lines) = text.contains('\n').then(|| text.split('\n')) else { return quoted(text) };
    // KDL takes the white space out of a line that has nothing else.
    let is_kept = |line: &str| line.is_empty() || !line.trim().is_empty();
    if !lines.clone().all(is_kept) || text.chars().any(|letter| letter != '\n' && must_be_escaped(letter)) {
        return quoted(text);
    }
    let signs = "#".repeat(longest_run(text, '#') + 1);
    let mut block = format!("{signs}\"\"\"\n");
    for line in lines {
        if !line.is_empty() {
            block += &format!("{indent}{line}");
        }
        block.push('\n');
    }
    block + indent + "\"\"\"" + &signs
}

fn is_identifier(text: &str) -> bool {
    let starts_well = text.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_');
    let rest = |letter: char| letter.is_ascii_alphanumeric() || "_-.+:@".contains(letter);
    starts_well && text.chars().all(rest) && !KEYWORDS.contains(&text)
}

/// Control and direction characters, the byte order mark, and what KDL takes for an end of line.
fn must_be_escaped(letter: char) -> bool {
    let is_turn =
        matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    is_turn
        || matches!(letter, '\u{feff}' | '\u{2028}' | '\u{2029}')
        || (letter.is_control() && letter != '\t')
}

fn longest_run(text: &str, sign: char) -> usize {
    text.split(|letter| letter != sign).map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use kdl::KdlDocument;
    use proptest::prelude::*;

    use super::*;

    fn read(line: &str) -> String {
        let document = KdlDocument::parse_v2(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        document.nodes()[0].get(0).unwrap().as_string().unwrap().to_owned()
    }

    fn check(text: &str) {
        for written in [word(text), quoted(text), block(text, "    ")] {
            assert_eq!(read(&format!("a {written}")), text, "{written}");
        }
    }

    #[test]
    fn texts_come_back_as_they_were() {
        for text in
            ["", "a\n", "\n", "a\n\nb\n", " \n", "  a\n b", "\"\"\"\n\"#", "#\"\n##", "\r\n\u{85}", "a\\\n"]
        {
            check(text);
        }
        for text in ["true", "-inf", "1", "-1", "a=b", "a/b", "é", "build.dist", "app[os=linux]", "//a:b"] {
            check(text);
        }
        assert_eq!(word("build.dist"), "build.dist");
        assert_eq!(word("./src"), "\"./src\"");
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text in "[a#\"\\\\ \t\n]{0,12}|\\PC{0,8}|(?s).{0,8}") {
            check(&text);
        }
    }
}
