//! The table as a page for people: `schema/reference.md`, which a test keeps current.

use std::fmt::Write as _;

use crate::lang::code::Code;
use crate::lang::rows::{self, Row};
use crate::lang::table::{
    Argument, COMMON, COMMON_PROPERTIES, CONDITIONS, Count, Holds, KINDS, Line, Often, Property, Slot, Wants,
};

/// Markdown.
pub fn reference() -> String {
    let mut page = String::from(
        "# memobuild.kdl: reference\n\nMade from the table in `src/lang/table.rs`; do not edit. \
         In a signature, `[…]` may be left out and `…` may be repeated.\n",
    );
    let rows = rows::rows();
    for line in KINDS {
        section(&mut page, line, "", &rows);
    }
    every_node(&mut page, &rows);
    page.push_str("\n## Codes of mistakes\n\n| code | means |\n|---|---|\n");
    for code in Code::ALL {
        let _ = writeln!(page, "| `{}` | {} |", code.as_str(), code.meaning());
    }
    page
}

/// A row that stands in several bodies is told once, in the first of them.
fn section(page: &mut String, line: &'static Line, within: &str, rows: &[Row]) {
    let title = rows::title(within, line);
    let level = if within.is_empty() { "##" } else { "###" };
    if let Some(first) = rows::find(rows, line)
        && first.title != title
    {
        let _ = write!(page, "\n{level} {title}\n\nAs `{}`.\n", first.title);
        return;
    }
    let _ = write!(page, "\n{level} {title}\n\n{}\n\n`{}`", line.doc, signature(line));
    let often = match line.often {
        _ if within.is_empty() => "",
        Often::Once => " (once)",
        Often::Maybe => " (at most once)",
        Often::Many => " (any number)",
    };
    let _ = write!(page, "{often}\n\n```kdl\n{}\n```\n", line.example);
    properties(page, line.properties);
    if let Some(holds) = holds(line) {
        let _ = write!(page, "\n{holds}\n");
    }
    for inner in line.body {
        section(page, inner, &title, rows);
    }
}

/// Told once.
fn every_node(page: &mut String, rows: &[Row]) {
    let conditions: Vec<String> = CONDITIONS.iter().map(|line| format!("`{}`", line.word)).collect();
    let _ = write!(
        page,
        "\n## In the block of every node\n\nThese lines, and {}, which are told above.\n",
        conditions.join(", ")
    );
    properties(page, COMMON_PROPERTIES);
    for line in COMMON {
        section(page, line, rows::NODE, rows);
    }
}

/// What else its block holds.
fn holds(line: &Line) -> Option<&'static str> {
    match line.holds {
        Holds::Lines => None,
        Holds::Node => Some("Its block may hold what that of every node may, too."),
        Holds::Nodes => Some("Its block holds nodes, as at file level."),
        Holds::Around => Some("Its block holds what may stand where it stands itself, or is used."),
        Holds::Values => Some("Its block holds a line for each parameter: its name and its value."),
        Holds::Rows => Some("Its block holds a line for each key: the key, then FIELD=VALUE…."),
    }
}

fn properties(page: &mut String, properties: &[Property]) {
    for property in properties {
        let required = if property.required { ", required" } else { "" };
        let _ =
            write!(page, "\n* `{}=` {}{required}. {}", property.name, property.slot.takes(), property.doc);
    }
    if !properties.is_empty() {
        page.push('\n');
    }
}

fn signature(line: &Line) -> String {
    let arguments = line.arguments.iter().map(argument);
    let properties = line.properties.iter().map(property);
    let free = line.free.iter().map(|_| "KEY=TEXT…".to_owned());
    let has_block = !line.body.is_empty() || line.holds != Holds::Lines;
    let body = has_block.then(|| "{ … }".to_owned());
    std::iter::once(line.word.to_owned())
        .chain(arguments)
        .chain(properties)
        .chain(free)
        .chain(body)
        .collect::<Vec<_>>()
        .join(" ")
}

fn argument(argument: &Argument) -> String {
    match argument.count {
        Count::One => argument.name.to_owned(),
        Count::Maybe => format!("[{}]", argument.name),
        Count::Some => format!("{}…", argument.name),
    }
}

fn property(property: &Property) -> String {
    let value = match property.slot {
        Slot::Word(words) => words.join("|"),
        Slot::Bool => "#true|#false".to_owned(),
        Slot::Int { .. } => "INT".to_owned(),
        Slot::Mode | Slot::ModeChange => "0o755".to_owned(),
        Slot::Duration => "DURATION".to_owned(),
        Slot::Size => "SIZE".to_owned(),
        Slot::Time => "TIME".to_owned(),
        Slot::Platform => "OS/ARCH".to_owned(),
        Slot::Regex => "REGEX".to_owned(),
        Slot::Path | Slot::Part | Slot::Folder => "PATH".to_owned(),
        Slot::Reference(Wants::Root | Wants::RootOrHost | Wants::Tree | Wants::Any) => "REF".to_owned(),
        Slot::Name => "NAME".to_owned(),
        Slot::Plain => "VALUE".to_owned(),
        Slot::Text | Slot::Choice | Slot::Late | Slot::Script | Slot::Expanded | Slot::Glob => {
            "TEXT".to_owned()
        }
    };
    let text = format!("{}={value}", property.name);
    if property.required { text } else { format!("[{text}]") }
}
